// SPDX-License-Identifier: Apache-2.0
/* Speeds: weight bytes per second when one token passes a matrix larger than the caches (decoding),
 * multiply-adds per second for 256 tokens (prefill), and time per call of the other kernels at the
 * sizes of the 9B model. The best of several runs counts. */
#include "check.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "kernels/kv.h"
#include "kernels/matmul.h"
#include "kernels/pool.h"
#include "quant/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS       4096u
#define DECODE_BYTES  ((size_t)512 << 20)
#define PREFILL_ROWS  1024u
#define PREFILL_BATCH 256u
#define ROUND_NS      30000000u /* repeat a call for at least this long */

struct bench {
    const struct ew__kernels *k;
    struct ew__pool *pool;
    struct ew__acts acts;
    uint8_t *weights;
    float *y;
    float *a, *b, *c; /* [248320] each, for the small kernels */
};

static uint64_t best_of(void (*call)(struct bench *, const void *), struct bench *bench,
                        const void *argument) {
    uint64_t best = UINT64_MAX;
    call(bench, argument);
    for (int round = 0; round < 5; round++) {
        uint64_t start = ew__now_ns(), calls = 0, spent;
        do {
            call(bench, argument);
            calls++;
            spent = ew__now_ns() - start;
        } while (spent < ROUND_NS);
        best = spent / calls < best ? spent / calls : best;
    }
    return best;
}

static void call_matmul(struct bench *bench, const void *argument) {
    const struct ew__matrix *w = argument;
    ew__matmul(bench->k, bench->pool, w, &bench->acts, false, bench->y, w->rows);
}

static void call_exact(struct bench *bench, const void *argument) {
    const struct ew__matrix *w = argument;
    ew__matmul(bench->k, bench->pool, w, &bench->acts, true, bench->y, w->rows);
}

/* Packed weights: the same bytes, read as panels. */
static void bench_packed(struct bench *bench, struct ew__matrix w) {
    if (!ew__matmul_can_pack(bench->k, &w))
        return;
    w.packed = bench->weights;
    printf("%-8s packed, GB/s at 1, 2, 4, 8 tokens", ew__dtype_name(w.type));
    for (bench->acts.t = 1; bench->acts.t <= 8; bench->acts.t *= 2)
        printf(" %6.2f", (double)(w.rows * w.row_bytes) / (double)best_of(call_matmul, bench, &w));
    double ops = 2.0 * PREFILL_ROWS * COLUMNS * PREFILL_BATCH;
    w.rows = PREFILL_ROWS;
    bench->acts.t = PREFILL_BATCH;
    printf("   prefill %7.1f GOP/s\n", ops / (double)best_of(call_matmul, bench, &w));
}

static void bench_matrix(struct bench *bench, ew__dtype type) {
    uint64_t row_bytes = 0;
    ew__dtype_row_bytes(type, COLUMNS, &row_bytes);
    struct ew__matrix w = {.data = bench->weights,
                           .type = type,
                           .rows = DECODE_BYTES / row_bytes / EW__PANEL_ROWS * EW__PANEL_ROWS,
                           .n = COLUMNS,
                           .row_bytes = row_bytes,
                           .decode = ew__dequantize_row};
    bench_packed(bench, w);
    bench->acts.t = 1;
    double decode = (double)(w.rows * w.row_bytes) / (double)best_of(call_matmul, bench, &w);
    double macs = (double)PREFILL_ROWS * COLUMNS * PREFILL_BATCH;
    w.rows = PREFILL_ROWS;
    bench->acts.t = PREFILL_BATCH;
    double prefill = macs / (double)best_of(call_matmul, bench, &w);
    double exact = macs / (double)best_of(call_exact, bench, &w);
    printf("%-8s decode %6.2f GB/s   prefill %7.1f GMAC/s   exact %7.1f GMAC/s\n",
           ew__dtype_name(type), decode, prefill, exact);
}

static void call_rms_norm(struct bench *x, const void *n) {
    x->k->rms_norm(x->a, x->b, x->c, *(const size_t *)n, 1e-6f);
}
static void call_silu_mul(struct bench *x, const void *n) {
    x->k->silu_mul(x->a, x->b, x->c, *(const size_t *)n);
}
static void call_gelu_tanh(struct bench *x, const void *n) {
    x->k->gelu_tanh(x->a, x->c, *(const size_t *)n);
}
static void call_gelu_erf(struct bench *x, const void *n) {
    x->k->gelu_erf(x->a, x->c, *(const size_t *)n);
}
static void call_add(struct bench *x, const void *n) {
    x->k->add(x->c, x->a, *(const size_t *)n);
}
static void call_softmax(struct bench *x, const void *n) {
    x->k->softmax(x->a, x->c, *(const size_t *)n);
}
static void call_argmax(struct bench *x, const void *n) {
    x->c[0] = (float)x->k->argmax(x->a, *(const size_t *)n);
}
static void call_quantise(struct bench *x, const void *n) {
    size_t count = *(const size_t *)n;
    static int16_t isum[4096 / 16];
    x->k->quantise_act(x->a, count, count, (int8_t *)x->c, x->b + count, x->b + 2 * count, isum,
                       x->b + 3 * count);
}
static void call_conv(struct bench *x, const void *n) {
    size_t count = *(const size_t *)n;
    x->k->conv4_silu(x->b, count, x->a, count, x->b, count, x->c, count, count, 1);
}
/* All 128 columns of one head in four blocks, t tokens. */
static void call_delta(struct bench *x, const void *t) {
    for (size_t block = 0; block < 4; block++)
        x->k->delta_rule(x->c + block * 4096, 128, 32, x->a, x->a, 128, x->a + 32 * block, 128,
                         x->b, x->b, 1, x->c + 65536 + 32 * block, 128, *(const size_t *)t);
}

/* Attention of the 0.8B: four query heads of 256 share a key head. */
enum { HEADS = 4, HEAD_DIM = 256, BLOCK_ROWS = 64 };
struct attend {
    struct bench *bench;
    ew__dtype type;
    size_t rows;
};
static size_t attend_scratch_bytes(void) {
    return (ew__attend_scratch(BLOCK_ROWS, HEAD_DIM) + BLOCK_ROWS * (HEAD_DIM + 2)) * sizeof(float);
}
/* Pages of keys and values, one behind the other, in the place of the weights. */
static void attend_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct attend *a = context;
    const size_t area = ew__kv_bytes(a->type, HEAD_DIM);
    float *max = (float *)scratch + ew__attend_scratch(a->rows, HEAD_DIM), *sum = max + a->rows;
    for (size_t page = begin; page < end; page++) {
        const uint8_t *k = a->bench->weights + 2 * page * area;
        struct ew__kv_view kv = {k, k + area, a->type};
        a->bench->k->attend_span(a->bench->a, HEAD_DIM, a->rows, HEADS, &kv, EW__KV_PAGE_TOKENS,
                                 HEAD_DIM, scratch, max, sum, sum + a->rows, HEAD_DIM);
    }
}
static size_t attend_pages(ew__dtype type) {
    return DECODE_BYTES / (2 * ew__kv_bytes(type, HEAD_DIM));
}
static void call_attend_deep(struct bench *x, const void *type) {
    struct attend a = {x, *(const ew__dtype *)type, HEADS};
    ew__pool_run(x->pool, attend_pages(a.type), 1, attend_task, &a);
}
/* 64 rows, of 16 tokens, over 16 pages. */
static void call_attend_block(struct bench *x, const void *type) {
    struct attend a = {x, *(const ew__dtype *)type, BLOCK_ROWS};
    ew__pool_run(x->pool, 16, 1, attend_task, &a);
}
static void bench_attend(struct bench *x, ew__dtype type) {
    double bytes = (double)(attend_pages(type) * 2 * ew__kv_bytes(type, HEAD_DIM));
    double macs = 16.0 * 2 * BLOCK_ROWS * EW__KV_PAGE_TOKENS * HEAD_DIM;
    double deep = (double)best_of(call_attend_deep, x, &type);
    double block = (double)best_of(call_attend_block, x, &type);
    printf("attend_span %-6s 4 rows %6.2f GB/s of keys and values   64 rows %7.1f GMAC/s\n",
           ew__dtype_name(type), bytes / deep, macs / block);
}

struct small {
    const char *label;
    void (*call)(struct bench *, const void *);
    size_t argument;
};

static void bench_small(struct bench *bench, const char *only) {
    static const struct small kernels[] = {
        {"rms_norm 4096", call_rms_norm, 4096},      {"add 4096", call_add, 4096},
        {"silu_mul 12288", call_silu_mul, 12288},    {"gelu_tanh 4096", call_gelu_tanh, 4096},
        {"gelu_erf 4096", call_gelu_erf, 4096},      {"quantise_act 4096", call_quantise, 4096},
        {"conv4_silu 8192", call_conv, 8192},        {"softmax 248320", call_softmax, 248320},
        {"argmax 248320", call_argmax, 248320},      {"delta_rule 128x128 t 1", call_delta, 1},
        {"delta_rule 128x128 t 64", call_delta, 64},
    };
    static const ew__dtype kv[] = {EW__F32, EW__F16, EW__Q8_0, EW__Q4_0};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        if (only == NULL || strncmp(kernels[i].label, only, strlen(only)) == 0)
            printf("%-28s %9.2f us\n", kernels[i].label,
                   (double)best_of(kernels[i].call, bench, &kernels[i].argument) / 1e3);
    }
    for (size_t i = 0; i < 4 && (only == NULL || strcmp("attend_span", only) == 0); i++)
        bench_attend(bench, kv[i]);
}

/* Every byte 0x11: whatever the type, small normal numbers. */
static bool bench_open(struct bench *x, uint32_t n_threads) {
    size_t width = 248320, tokens = PREFILL_BATCH, decode_rows = 8 * DECODE_BYTES / 1024;
    size_t scratch_bytes = ew__max_size(ew__matmul_scratch_bytes(COLUMNS), attend_scratch_bytes());
    float *in = ew__alloc_aligned(tokens * COLUMNS * sizeof(float));
    x->weights = ew__alloc_aligned(DECODE_BYTES);
    x->y = ew__alloc_aligned((PREFILL_ROWS * tokens + decode_rows) * sizeof(float));
    x->a = ew__alloc_aligned(width * sizeof(float));
    x->b = ew__alloc_aligned(width * sizeof(float));
    x->c = ew__alloc_aligned(width * sizeof(float));
    x->acts = (struct ew__acts){.x = in, .ldx = COLUMNS, .t = tokens, .quantised = true};
    x->acts.q.q = ew__alloc_aligned(tokens * COLUMNS);
    x->acts.q.d = ew__alloc_aligned(tokens * COLUMNS / 32 * sizeof(float));
    x->acts.q.sum = ew__alloc_aligned(tokens * COLUMNS / 16 * sizeof(float));
    x->acts.q.isum = ew__alloc_aligned(tokens * COLUMNS / 16 * sizeof(int16_t));
    x->acts.q.dsum = ew__alloc_aligned(tokens * COLUMNS / 32 * sizeof(float));
    if (in == NULL || x->weights == NULL || x->y == NULL || x->a == NULL || x->b == NULL ||
        x->c == NULL || x->acts.q.q == NULL || x->acts.q.d == NULL || x->acts.q.sum == NULL ||
        x->acts.q.isum == NULL || x->acts.q.dsum == NULL ||
        ew__pool_new(n_threads, scratch_bytes, &x->pool) != EW_OK)
        return false;
    memset(x->weights, 0x11, DECODE_BYTES);
    for (size_t i = 0; i < tokens * COLUMNS; i++)
        in[i] = sinf((float)i);
    for (size_t i = 0; i < width; i++) {
        x->a[i] = sinf((float)i) * 0.1f;
        x->b[i] = 0.5f;
    }
    return true;
}

static void bench_close(struct bench *x) {
    ew__pool_free(x->pool);
    ew__free_aligned((void *)(uintptr_t)x->acts.x);
    ew__free_aligned(x->acts.q.q);
    ew__free_aligned(x->acts.q.d);
    ew__free_aligned(x->acts.q.sum);
    ew__free_aligned(x->acts.q.isum);
    ew__free_aligned(x->acts.q.dsum);
    ew__free_aligned(x->weights);
    ew__free_aligned(x->y);
    ew__free_aligned(x->a);
    ew__free_aligned(x->b);
    ew__free_aligned(x->c);
}

void bench_run(const struct ew__kernels *k, uint32_t n_threads, const char *only) {
    static const ew__dtype types[] = {EW__F32,  EW__F16,  EW__BF16,  EW__Q8_0,   EW__Q6_K,
                                      EW__Q5_K, EW__Q4_K, EW__Q4_0,  EW__IQ4_XS, EW__IQ4_NL,
                                      EW__Q3_K, EW__Q2_K, EW__IQ3_S, EW__IQ2_XXS};
    struct bench bench = {.k = k};
    if (!bench_open(&bench, n_threads)) {
        printf("%s\n", ew_last_error());
        bench_close(&bench);
        return;
    }
    printf("%s, %u threads, %u columns\n", k->isa, ew__pool_threads(bench.pool), COLUMNS);
    ew__quantise_acts(k, bench.pool, bench.acts.x, COLUMNS, COLUMNS, PREFILL_BATCH, &bench.acts.q);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (only == NULL || strcmp(only, ew__dtype_name(types[i])) == 0)
            bench_matrix(&bench, types[i]);
    }
    bench_small(&bench, only);
    bench_close(&bench);
}
