// SPDX-License-Identifier: Apache-2.0
// Measures llama.cpp through npm's node-llama-cpp, and prints one JSON object:
//   node bench/node-peer.mjs DIR MODEL THREADS PREFILL DECODE DEPTH
// DIR is a folder where `npm install node-llama-cpp` was run. Either of PREFILL and DECODE may be 0.
// The time of decoding holds the binding's own work for each token, which a C program has not.
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const BATCH = 512;

async function library(folder) {
    const from = createRequire(path.join(path.resolve(folder), "package.json"));
    return await import(pathToFileURL(from.resolve("node-llama-cpp")).href);
}

// Always the same ids, all below 2^17: ordinary tokens of every vocabulary of the family.
function someIds(count) {
    let state = 20260101;
    return Array.from({length: count}, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 15);
}

const seconds = () => Number(process.hrtime.bigint()) * 1e-9;

async function timeOf(work) {
    const start = seconds();
    await work();
    return seconds() - start;
}

async function decode(sequence, token, count) {
    let left = count;
    for await (const _ of sequence.evaluate([token], {temperature: 0, yieldEogToken: true}))
        if (--left <= 0)
            break;
    if (left > 0)
        throw new Error(`decoding stopped ${left} tokens early`);
}

async function measure(sequence, {prefill, decode: n, depth}) {
    const ids = someIds(Math.max(prefill, depth, 32) + 1);
    const result = {};
    await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 32)); // pages and processors warm up
    await decode(sequence, ids[0], 4);
    if (prefill > 0) {
        await sequence.clearHistory();
        const took = await timeOf(() => sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, prefill)));
        result.prefill = prefill / took;
    }
    if (n > 0) {
        await sequence.clearHistory();
        if (depth > 0)
            await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, depth));
        result.decode = n / await timeOf(() => decode(sequence, ids[depth], n));
    }
    return result;
}

async function main([folder, modelPath, ...numbers]) {
    const [threads, prefill, n, depth] = numbers.map(Number);
    const {getLlama, LlamaLogLevel} = await library(folder);
    const llama = await getLlama({gpu: false, build: "never", progressLogs: false, maxThreads: threads,
        logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath: path.resolve(modelPath), gpuLayers: 0, useMmap: true});
    const context = await model.createContext({sequences: 1, threads, batchSize: BATCH, flashAttention: true,
        contextSize: Math.max(prefill, depth + n, 64) + 64});
    const result = await measure(context.getSequence(), {prefill, decode: n, depth});
    console.log(JSON.stringify({...result, release: llama.llamaCppRelease}));
    await llama.dispose();
}

if (process.argv.length !== 8) {
    console.error("usage: node bench/node-peer.mjs DIR MODEL THREADS PREFILL DECODE DEPTH");
    process.exit(2);
}
main(process.argv.slice(2)).catch((error) => {
    console.error(`node-peer: ${error.message}`);
    process.exit(1);
});
