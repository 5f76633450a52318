// SPDX-License-Identifier: Apache-2.0
/* Pieces are handed out by the pool as those of a matrix are, so the threads end together and a
 * processor that is slow or taken away costs only its share. The best pass counts: what disturbs a
 * measurement only ever slows it. */
#include "kernels/probe.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

#include <string.h>

#define READ_BYTES_MAX ((size_t)1 << 30)
#define READ_PIECE     ((size_t)1 << 20) /* of one thread: long streams, many pieces per thread */
#define READ_AHEAD     2048u             /* bytes that the prefetches run ahead of the loads */
#define PASS_NS        250000000u        /* repeat a measurement for this long */
#define PASSES_LEAST   3u
#define PEAK_ROUNDS    10000u /* some 50 us of a piece: not lost in handing it out */
#define PEAK_PIECES    64u    /* per thread and pass */

enum { STREAMS = 4 };

/* 16 bytes at a time: what every processor loads in one instruction. */
typedef uint64_t pair __attribute__((vector_size(16)));
#define LINE_PAIRS 4u

struct sweep {
    const unsigned char *data;
    size_t streams;
};

static pair line_sum(const pair *line) {
    return (line[0] ^ line[1]) ^ (line[2] ^ line[3]);
}

/* Lines of the piece in `streams` equal runs, one line of each in turn. */
static pair read_piece(const unsigned char *piece, size_t streams) {
    const size_t run = READ_PIECE / streams;
    pair sum[STREAMS] = {{0}};
    for (size_t at = 0; at < run; at += 64) {
        for (size_t s = 0; s < streams; s++) {
            const unsigned char *line = piece + s * run + at;
            __builtin_prefetch(line + READ_AHEAD);
            sum[s] ^= line_sum((const pair *)(const void *)line);
        }
    }
    return (sum[0] ^ sum[1]) ^ (sum[2] ^ sum[3]);
}

static void read_pieces(void *context, size_t begin, size_t end, void *scratch) {
    const struct sweep *sweep = context;
    volatile uint64_t sink;
    (void)scratch;
    for (size_t i = begin; i < end; i++) {
        const unsigned char *piece = sweep->data + i * READ_PIECE;
        pair sum = sweep->streams == 1 ? read_piece(piece, 1) : read_piece(piece, STREAMS);
        sink = sum[0] ^ sum[1];
        (void)sink;
    }
}

static void write_pieces(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    memset((unsigned char *)context + begin * READ_PIECE, 0x5a, (end - begin) * READ_PIECE);
}

struct spin {
    ew__peak_fn *peak;
};

static void spin_pieces(void *context, size_t begin, size_t end, void *scratch) {
    const struct spin *spin = context;
    (void)scratch;
    for (size_t i = begin; i < end; i++)
        (void)spin->peak(PEAK_ROUNDS);
}

/* The best rate, in `units` per second, of passes over n pieces. */
static double best_rate(struct ew__pool *pool, size_t n, ew__task_fn *task, void *context,
                        double units) {
    uint64_t begin = ew__now_ns(), now = begin;
    double best = 0;
    for (size_t pass = 0; pass < PASSES_LEAST || now - begin < PASS_NS; pass++) {
        uint64_t start = ew__now_ns();
        ew__pool_run(pool, n, 1, task, context);
        now = ew__now_ns();
        double rate = units * 1e9 / (double)(now > start ? now - start : 1);
        best = rate > best ? rate : best;
    }
    return best;
}

static double peak_rate(struct ew__pool *pool, ew__peak_fn *peak) {
    if (peak == NULL)
        return 0;
    struct spin spin = {peak};
    size_t pieces = PEAK_PIECES * ew__pool_threads(pool);
    double ops = (double)peak(PEAK_ROUNDS) * (double)pieces;
    return best_rate(pool, pieces, spin_pieces, &spin, ops);
}

size_t ew__probe_bytes(void) {
    size_t memory = ew__memory_bytes() / 8;
    return memory == 0 || memory > READ_BYTES_MAX ? READ_BYTES_MAX : memory;
}

ew_status ew__probe_machine(const struct ew__kernels *kernels, struct ew__pool *pool, size_t bytes,
                            struct ew__probe *out) {
    size_t pieces = ew__max_size(bytes / READ_PIECE, 1);
    unsigned char *data = ew__alloc_aligned(pieces * READ_PIECE);
    if (data == NULL)
        return EW_NO_MEMORY;
    ew__pool_run(pool, pieces, 1, write_pieces, data);
    struct sweep linear = {data, 1}, parallel = {data, STREAMS};
    double size = (double)pieces * (double)READ_PIECE;
    double one = best_rate(pool, pieces, read_pieces, &linear, size);
    double four = best_rate(pool, pieces, read_pieces, &parallel, size);
    ew__free_aligned(data);
    *out = (struct ew__probe){
        .read_bytes_per_second = one > four ? one : four,
        .i8_ops_per_second = peak_rate(pool, kernels->peak_i8),
        .bf16_ops_per_second = peak_rate(pool, kernels->peak_bf16),
        .f32_ops_per_second = peak_rate(pool, kernels->peak_f32),
    };
    return EW_OK;
}
