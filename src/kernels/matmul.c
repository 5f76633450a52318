// SPDX-License-Identifier: Apache-2.0
/* A work item is a block of weight rows, taken through all tokens by one thread: quantised rows are
 * unpacked (or decoded) into the thread's scratch once. Tokens go in tiles, so that a tile's
 * activations stay in the second-level cache while the block's rows pass over them. The kernels
 * make each output element by itself, so none of these cuts shows in the results. */
#include "kernels/matmul.h"

#include "base/size.h"

#include <math.h>

#define ROW_BLOCK 16u /* rows per work item */
/* Quantised rows unpacked at once while there are fewer tokens than that: their bytes stay in the
 * first-level cache on the way to the product. */
#define ROW_FEW     4u
#define REST_TOKENS 32u
#define TILE_BYTES  (256u * 1024u) /* activations of a token tile */

struct job {
    const struct ew__kernels *kernels;
    const struct ew__matrix *w;
    const struct ew__acts *x;
    float *y;
    size_t ldy;
};

static size_t padded(size_t n) {
    return ew__round_up(n, 64);
}

size_t ew__matmul_scratch_bytes(size_t n) {
    size_t bytes = padded(n) + 2 * padded(n) / 16 * sizeof(float);
    return ROW_BLOCK * ew__max_size(ew__round_up(bytes, 64), n * sizeof(float));
}

bool ew__matmul_wants_q8(const struct ew__kernels *kernels, const struct ew__matrix *w) {
    return (size_t)w->type < EW__DTYPE_COUNT && kernels->unpack[w->type] != NULL && w->n % 32 == 0;
}

/* Types whose byte form exceeds 127 (docs/kernels.md). */
static bool is_narrow(ew__dtype type) {
    return type != EW__Q8_0 && type != EW__IQ4_NL && type != EW__IQ4_XS;
}

static size_t tile_tokens(size_t bytes_per_token) {
    return ew__max_size(4, TILE_BYTES / ew__max_size(bytes_per_token, 1) / 4 * 4);
}

static const void *row_at(const struct ew__matrix *w, size_t row) {
    return (const char *)w->data + row * w->row_bytes;
}

/* Calls the kernel of a float type over token tiles. */
static void mul_floats(const struct job *job, ew__dtype type, const void *w, size_t ldw, size_t row,
                       size_t r) {
    const struct ew__kernels *kernels = job->kernels;
    const struct ew__acts *x = job->x;
    size_t n = job->w->n, tile = tile_tokens(n * sizeof(float));
    for (size_t j = 0; j < x->t; j += tile) {
        size_t t = ew__min_size(tile, x->t - j);
        const float *xs = x->x + j * x->ldx;
        float *y = job->y + j * job->ldy + row;
        if (type == EW__F32)
            kernels->mul_f32(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
        else if (type == EW__F16)
            kernels->mul_f16(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
        else
            kernels->mul_bf16(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
    }
}

static void float_rows(void *context, size_t begin, size_t end, void *scratch) {
    const struct job *job = context;
    const struct ew__matrix *w = job->w;
    size_t element = w->type == EW__F32 ? 4 : 2;
    (void)scratch;
    for (size_t row = begin; row < end; row += ROW_BLOCK)
        mul_floats(job, w->type, row_at(w, row), w->row_bytes / element, row,
                   ew__min_size(ROW_BLOCK, end - row));
}

static void decode_row(const struct ew__matrix *w, size_t row, float *out) {
    if (w->decode != NULL && w->decode(w->type, row_at(w, row), out, w->n))
        return;
    for (size_t k = 0; k < w->n; k++)
        out[k] = NAN;
}

static void decoded_rows(void *context, size_t begin, size_t end, void *scratch) {
    const struct job *job = context;
    const struct ew__matrix *w = job->w;
    float *rows = scratch;
    for (size_t row = begin; row < end; row += ROW_BLOCK) {
        size_t r = ew__min_size(ROW_BLOCK, end - row);
        for (size_t i = 0; i < r; i++)
            decode_row(w, row + i, rows + i * w->n);
        mul_floats(job, EW__F32, rows, w->n, row, r);
    }
}

static struct ew__urows urows_in(void *scratch, const struct ew__matrix *w) {
    size_t n_pad = padded(w->n), groups = n_pad / 16;
    float *scales = (float *)(void *)((uint8_t *)scratch + ROW_BLOCK * n_pad);
    return (struct ew__urows){scratch, scales, scales + ROW_BLOCK * groups, n_pad,
                              is_narrow(w->type)};
}

/* Adds the product with the second term of the activations, a few tokens at a time. */
static void add_rest(const struct job *job, const struct ew__urows *rows, size_t row, size_t r,
                     size_t first, size_t t) {
    float part[REST_TOKENS * ROW_BLOCK];
    for (size_t j = 0; j < t; j += REST_TOKENS) {
        size_t few = ew__min_size(REST_TOKENS, t - j);
        job->kernels->mul_u8(rows, r, &job->x->q, job->x->q.rest + first + j, few, part, ROW_BLOCK);
        for (size_t k = 0; k < few; k++)
            job->kernels->add(job->y + (first + j + k) * job->ldy + row, part + k * ROW_BLOCK, r);
    }
}

static void byte_rows(void *context, size_t begin, size_t end, void *scratch) {
    const struct job *job = context;
    const struct ew__matrix *w = job->w;
    struct ew__urows rows = urows_in(scratch, w);
    size_t groups = rows.n_pad / 16, tile = tile_tokens(rows.n_pad);
    size_t block = job->x->t < ROW_FEW ? ROW_FEW : ROW_BLOCK;
    for (size_t row = begin; row < end; row += block) {
        size_t r = ew__min_size(block, end - row);
        for (size_t i = 0; i < r; i++)
            job->kernels->unpack[w->type](row_at(w, row + i), w->n, rows.n_pad,
                                          rows.u + i * rows.n_pad, rows.s + i * groups,
                                          rows.m + i * groups);
        for (size_t j = 0; j < job->x->t; j += tile) {
            size_t t = ew__min_size(tile, job->x->t - j);
            job->kernels->mul_u8(&rows, r, &job->x->q, j, t, job->y + j * job->ldy + row, job->ldy);
            if (job->x->q.rest > 0)
                add_rest(job, &rows, row, r, j, t);
        }
    }
}

struct quantise_job {
    const struct ew__kernels *kernels;
    const float *x;
    size_t ldx, n;
    const struct ew__qact *q;
};

/* n values -> row `row` of q. */
static void quantise_row(const struct ew__kernels *kernels, const float *x, size_t n,
                         const struct ew__qact *q, size_t row) {
    size_t blocks = q->n_pad / 32;
    kernels->quantise_act(x, n, q->n_pad, q->q + row * q->n_pad, q->d + row * blocks,
                          q->sum + row * 2 * blocks, q->isum + row * 2 * blocks,
                          q->dsum + row * blocks);
}

static void quantise_tokens(void *context, size_t begin, size_t end, void *scratch) {
    const struct quantise_job *job = context;
    (void)scratch;
    for (size_t j = begin; j < end; j++)
        quantise_row(job->kernels, job->x + j * job->ldx, job->n, job->q, j);
}

void ew__quantise_acts(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q) {
    q->n_pad = padded(n);
    q->rest = 0;
    struct quantise_job job = {kernels, x, ldx, n, q};
    ew__pool_run(pool, t, 8, quantise_tokens, &job);
}

static void quantise_rests(void *context, size_t begin, size_t end, void *scratch) {
    const struct quantise_job *job = context;
    const struct ew__qact *q = job->q;
    float *left = scratch;
    for (size_t j = begin; j < end; j++) {
        const float *x = job->x + j * job->ldx, *d = q->d + j * (q->n_pad / 32);
        const int8_t *first = q->q + j * q->n_pad;
        for (size_t b = 0; b < job->n / 32; b++)
            for (size_t k = 32 * b; k < 32 * b + 32; k++)
                left[k] = x[k] - d[b] * (float)first[k];
        quantise_row(job->kernels, left, job->n, q, j + q->rest);
    }
}

void ew__quantise_rest(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q) {
    q->rest = t;
    struct quantise_job job = {kernels, x, ldx, n, q};
    ew__pool_run(pool, t, 8, quantise_rests, &job);
}

/* Pieces small enough that the threads end together, large enough that taking one costs nothing:
 * about eight per thread, whole row blocks. */
static size_t rows_per_piece(const struct ew__pool *pool, size_t rows) {
    size_t pieces = (size_t)ew__pool_threads(pool) * 8;
    return ew__round_up(ew__max_size(rows / pieces, 1), ROW_BLOCK);
}

void ew__matmul(const struct ew__kernels *kernels, struct ew__pool *pool,
                const struct ew__matrix *w, const struct ew__acts *x, bool exact, float *y,
                size_t ldy) {
    struct job job = {kernels, w, x, y, ldy};
    ew__task_fn *task = decoded_rows;
    if (w->type == EW__F32 || w->type == EW__F16 || w->type == EW__BF16)
        task = float_rows;
    else if (!exact && x->quantised && ew__matmul_wants_q8(kernels, w))
        task = byte_rows;
    ew__pool_run(pool, w->rows, rows_per_piece(pool, w->rows), task, &job);
}
