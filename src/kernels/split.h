// SPDX-License-Identifier: Apache-2.0
/* A packed matrix in two planes, for rows of which only the largest products are wanted: the output
 * head. The high plane holds the upper five bits of every weight, the low plane the rest; together
 * they are as large as the panels of kernels/packed.h and hold the same rows. A product reads both.
 * A screening reads the high plane alone and says what no row of a panel can exceed.
 *
 * Layout. All panels' high parts, high_bytes apart, then all low parts, low_bytes apart. A high
 * part is laid out like a panel, with cells of
 *
 *     Q6_K   scales int8 [16][16 rows], then 8 x (4 vectors of nibbles, 1 of fifth bits)
 *     Q8_0   4 vectors of nibbles, 1 of fifth bits
 *
 * and halves d[16] behind the vectors. The five bits of u are its nibble (upper four, where the
 * panel's nibbles are) and below it the fifth bit, that of group g at bit
 *
 *     pi(g) = 3 - g mod 4 + 4 (g / 4).
 *
 * A low part holds, for each block of 32 columns, the lowest bits of u:
 *
 *     Q6_K   1 vector; bit of group g at ((g mod 4) xor 2) + 4 (g / 4): next to the fifth bit, so
 *            that two masked unions bring all pairs
 *     Q8_0   3 vectors; bits of group g mod 4 < 3 at bits 0..2 (g < 4) or 4..6 of vector g mod 4;
 *            bit 2 - v of groups 3 and 7 at bits 3 and 7 of vector v
 *
 * Product: the arithmetic and so the bits of kernels/packed.h. Second terms are not read.
 *
 * Screening. Per group of columns that share a scale s (16 in Q6_K, 32 in Q8_0; o is the type's
 * offset, k = u >> 1 or u >> 3, I the group's sum of (u - o) q):
 *
 *     Q6_K   J = sum (4 k - 63) q                    2 I = J + r,  |r| <= Q
 *     Q8_0   J = sum (8 k - 128) q + (7 sum q) / 2   I = J + r,    |r| <= (7 Q + 1) / 2
 *
 * with Q = sum |q| (the division is C's). Blocks b of 32 columns, ascending:
 *
 *     part  = J0 * s0; Q6_K: part = fma(J1, s1, part)
 *     acc   = fma(part, d'_b, acc)                   d' = d / 2 or d
 *     bound = fma(|s|, e, bound) for each s          e = d Q / 2 or d (7 Q + 1) / 2, times 1 + 2^-8
 *     upper = (acc + bound) + 2^-90
 *
 * Claim: where bound < 2^120, the product of the row, as computed, is at most upper. Proof. Write
 * E for e without its last factor, Z = sum |s| E, u = 2^-24, N = n / 32 <= 256 and M = sum |s| d o
 * Q, which no sum of sizes of terms of the product exceeds; M <= 64 Z (Q6_K; 37 Z for Q8_0).
 *   - The exact values of the product and of acc differ by at most Z, by the lines on r.
 *   - A term passes at most N + 2 roundings, so the computed product is within g M of its exact
 *     value and acc within g (M + Z) of its own, g = (N + 2) u / (1 - (N + 2) u) < 1.6e-5.
 *   - bound and the last sums lose less than (2 N + 8) u (M + Z) < 0.003 % of 65 Z.
 * All of it is less than Z (1 + 129 g + 0.0021) + ... < Z (1 + 2^-8 (1 - 2^-4)): the factor in e
 * covers it. Where numbers become subnormal each operation errs by up to 2^-150 times at most
 * 2^43, which 2^-90 covers. Below 2^120 nothing overflowed, since sums are at most 65 Z. An
 * infinite or NaN scale or activation makes bound infinite or NaN. */
#ifndef EW_KERNELS_SPLIT_H
#define EW_KERNELS_SPLIT_H

#include "kernels/packed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(TYPE, tag, bytes of a block of 32 columns in the low plane) */
#define EW__SPLIT_MAP(X)                                                                           \
    X(Q6_K, q6_k, 64)                                                                              \
    X(Q8_0, q8_0, 192)

#define EW__SPLIT_HIGH_BLOCK  320u  /* bytes of a block of 32 columns in the high plane */
#define EW__SPLIT_COLUMNS_MAX 8192u /* what the proof of the bound allows */

/* A split matrix; the memory is borrowed. high.data and high.panel_bytes are those of the high
 * plane, type, rows and n those of the matrix. */
struct ew__split {
    struct ew__packed high;
    const uint8_t *low;
    size_t low_bytes;
};

/* Whether matrices of a type with n columns can be split. */
bool ew__split_can(ew__dtype type, size_t n);
/* Bytes of all panels of both planes. */
size_t ew__split_bytes(ew__dtype type, size_t rows, size_t n);
/* The matrix that lies at data (64-byte aligned). */
struct ew__split ew__split_at(const uint8_t *data, ew__dtype type, size_t rows, size_t n);

/* A panel as ew__pack_panel makes it <-> panel i of a split matrix at data. Padding is zeros. */
void ew__split_panel(const uint8_t *panel, uint8_t *data, ew__dtype type, size_t rows, size_t n,
                     size_t i);
void ew__unsplit_panel(const struct ew__split *w, size_t i, uint8_t *panel);

/* One token's activations for a screening: quantised ones, and what the bound needs. */
struct ew__screen {
    const int8_t *q;
    const int16_t *isum;
    float *d; /* [n / 32]: d' */
    float *e; /* [n / 16] for Q6_K, [n / 32] for Q8_0 */
};
/* Fills d and e, whose memory is the caller's, and points q and isum into x. */
void ew__screen_make(ew__dtype type, size_t n, const struct ew__qact *x, size_t token,
                     struct ew__screen *out);

/* As ew__mul_packed_fn, without second terms. */
typedef void ew__mul_split_fn(const struct ew__split *w, size_t first, size_t count,
                              const struct ew__qact *x, size_t t0, size_t t, float *y, size_t ldy,
                              void *scratch);

/* top[p] for panels p = first .. first + count - 1: the largest upper of the panel's rows, or
 * +infinity when the bound of one of them is not below 2^120. The same bits for every set. */
typedef void ew__screen_split_fn(const struct ew__split *w, size_t first, size_t count,
                                 const struct ew__screen *x, float *top);

#define EW__SCREEN_WIDEN 0.501953125f /* (1 + 2^-8) / 2 */
#define EW__SCREEN_TINY  0x1p-90f
#define EW__SCREEN_MOST  0x1p120f

#endif
