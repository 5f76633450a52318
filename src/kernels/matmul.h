// SPDX-License-Identifier: Apache-2.0
/* Weight matrix times activations, over threads: the driver above the mul_* and unpack kernels. */
#ifndef EW_KERNELS_MATMUL_H
#define EW_KERNELS_MATMUL_H

#include "base/dtype.h"
#include "kernels/kernels.h"
#include "kernels/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row of n elements of any decodable type -> f32; false for a type it does not know. The model
 * passes ew__dequantize_row here, which this room may not call itself. */
typedef bool ew__decode_fn(ew__dtype type, const void *row, float *out, uint64_t n);

/* A weight matrix [rows][n] as it lies in the file; y = W x. data may be unaligned. */
struct ew__matrix {
    const void *data;
    bool mapped; /* data lies in a mapped file, whose pages can be dropped and read again */
    ew__dtype type;
    size_t rows, n, row_bytes;
    ew__decode_fn *decode; /* needed by types other than F32, F16, BF16, in exact mode or where
                            * ew__matmul_wants_q8 is false; without it such outputs are NaN */
    const uint8_t *packed; /* the same rows as panels (kernels/packed.h), or NULL; borrowed */
    bool split;            /* packed is, or is to be, in two planes (kernels/split.h) */
};

/* Activations of t tokens: f32 rows, and their quantised form where `quantised` says it was made.
 * With q.rest set, rows q.rest .. q.rest + t - 1 of q are second terms: what the first left over,
 * quantised again, so that the sum of both is x to 15 bits; products then use both. */
struct ew__acts {
    const float *x;
    size_t ldx, t;
    struct ew__qact q;
    bool quantised;
};

/* Scratch a thread needs for matrices of up to n columns: the pool must be made with it. */
size_t ew__matmul_scratch_bytes(size_t n);

/* Whether multiplying this matrix reads the quantised activations: it is of a quantised type with
 * an unpack kernel and n a multiple of 32. Otherwise its rows are decoded to f32 (or used as they
 * are). */
bool ew__matmul_wants_q8(const struct ew__kernels *kernels, const struct ew__matrix *w);

/* Whether a matrix has a packed form that these kernels multiply. */
bool ew__matmul_can_pack(const struct ew__kernels *kernels, const struct ew__matrix *w);

/* Makes q's rows as long as n activations need, and says whether second terms of t tokens follow
 * the first (t, or 0 for none). */
void ew__qact_begin(struct ew__qact *q, size_t n, size_t t);
/* n activations of token j -> row j of q. */
void ew__quantise_row(const struct ew__kernels *kernels, const float *x, size_t n,
                      const struct ew__qact *q, size_t j);
/* What row j of q leaves over of the same activations -> row j + q->rest. `left`: n floats of
 * scratch. */
void ew__quantise_row_rest(const struct ew__kernels *kernels, const float *x, size_t n,
                           const struct ew__qact *q, size_t j, float *left);

/* Fills q from x in parallel over tokens. q's arrays have room for t rows. There are no second
 * terms then. */
void ew__quantise_acts(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q);

/* Adds second terms behind the t rows that q has, from x - q, and sets q->rest: for projections
 * whose input must be finer than 8 bits. q's arrays have room for 2 t rows. Each thread needs
 * scratch for n floats, which ew__matmul_scratch_bytes covers. */
void ew__quantise_rest(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q);

/* What a product makes of its input. */
enum ew__precision {
    EW__COARSE, /* quantised activations, first terms */
    EW__FINE,   /* with their second terms, where there are any */
    EW__EXACT   /* f32 activations; quantised weights are decoded to f32 */
};

struct ew__product {
    const struct ew__matrix *w;
    float *y; /* y[j*ldy + i] for all rows i and tokens j */
    size_t ldy;
    enum ew__precision precision;
};

/* Several products over one input in one parallel region. Slow small ones belong first: the pieces
 * are handed out in order, and a long last piece would keep the other threads waiting. */
void ew__matmul_list(const struct ew__kernels *kernels, struct ew__pool *pool,
                     const struct ew__product *products, size_t n, const struct ew__acts *x);

/* One product, fine or exact. */
void ew__matmul(const struct ew__kernels *kernels, struct ew__pool *pool,
                const struct ew__matrix *w, const struct ew__acts *x, bool exact, float *y,
                size_t ldy);

#endif
