// SPDX-License-Identifier: Apache-2.0
/* Packed weights: the rows of a quantised matrix rearranged once, at loading, so that one vector
 * load brings the same four columns of sixteen rows. The layout is the same for every instruction
 * set, and lanes are rows: no sum crosses lanes, so every set gives the same bits.
 *
 * Layout. A matrix [rows][n] is a run of panels of 16 rows; the rows that the last one lacks are
 * zeros. A panel covers all n columns in cells, ascending, one for each block of the type in the
 * file (32 or 256 columns), and has two areas:
 *
 *     vectors   cell 0, cell 1, ...   cell_bytes each, a multiple of 64
 *     halves    cell 0, cell 1, ...   half_bytes each: IEEE halves, 16 rows of each kind
 *
 * and is padded to a multiple of 64 bytes; with the first panel at a multiple of 64, so is every
 * vector. The size is that of the file's rows (rounded up to 16 rows, and 32 bytes a panel).
 *
 * A vector is 64 bytes: byte 4 r + c belongs to row r (of 16) and column c (of 4). The 32 columns
 * of a block are eight column groups g: columns 4 g .. 4 g + 3.
 *
 *     nibbles    4 vectors v = 0..3: low nibbles are group v, high nibbles group 4 + v
 *     bytes      8 vectors, one per group (Q8_0, stored plus 128)
 *     5th bits   1 vector behind the nibbles: bit g of a byte is the top bit of group g
 *     top 2 bits 2 vectors behind the nibbles: bits 2 j, 2 j + 1 of vector h are those of group
 *                4 h + j
 *
 * | type    | vectors of a cell                                             | halves     |
 * |---------|---------------------------------------------------------------|------------|
 * | Q4_0    | nibbles                                                       | d[16]      |
 * | Q4_1    | nibbles                                                       | d[16] m[16]|
 * | Q5_0    | nibbles, 5th bits                                             | d[16]      |
 * | Q5_1    | nibbles, 5th bits                                             | d[16] m[16]|
 * | Q8_0    | bytes                                                         | d[16]      |
 * | IQ4_NL  | nibbles (indices of levels)                                   | d[16]      |
 * | Q4_K    | scale bytes [12][16 rows], then 8 x nibbles                   | d[16] dmin[16] |
 * | Q5_K    | scale bytes [12][16 rows], then 8 x (nibbles, 5th bits)       | d[16] dmin[16] |
 * | Q6_K    | scales int8 [16][16 rows], then 8 x (nibbles, top 2 bits)     | d[16]      |
 * | IQ4_XS  | scales_l [4][16 rows], then 8 x nibbles                       | d[16] scales_h[16] |
 *
 * Scale bytes are those of the file (ew__k4_scale_min, ew__iq4xs_scale), byte i of row r at
 * 16 i + r.
 *
 * Arithmetic: the definition, which the scalar twin spells out. For each block b of 32 columns,
 * ascending, with weights u (unsigned) minus the type's offset, activations q and their scale d_b:
 *
 *     isum = sum (u - offset) * q                      exact
 *     part = isum * s                                  rounded once; s = d or d * scale
 *            (Q6_K: part = isum0 * s0; part = fma(isum1, s1, part), halves of 16 columns)
 *     acc  = fma(part, d_b, acc)
 *     acc  = fma(m, dsum_b, acc)                       types with a minimum only;
 *                                                      m = m or -(dmin * minimum)
 *
 * acc starts at 0. The sign of a part that is zero is not defined. The offset is folded into the
 * start of the integer sum: isum = -offset * (sum of q) + sum u * q. |isum| < 2^21.
 *
 * Float weights. A cell is two columns, one vector; there are no halves. BF16: element 2 r + c
 * belongs to row r and column c, so that either column is a shift or a mask away from 16 floats.
 * F16: element 16 c + r. They meet f32 activations, columns ascending:
 *
 *     acc = fma(w, x, acc)                             acc starts at 0 */
#ifndef EW_KERNELS_PACKED_H
#define EW_KERNELS_PACKED_H

#include "base/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EW__PANEL_ROWS   16u
#define EW__VECTOR_BYTES 64u

/* X(TYPE, tag, members of struct ew__packed_format in their order) */
#define EW__PACKED_MAP(X)                                                                          \
    X(Q4_0, q4_0, 32, 256, 0, 32, 8, 0, 32)                                                        \
    X(Q4_1, q4_1, 32, 256, 0, 64, 0, 1, 32)                                                        \
    X(Q5_0, q5_0, 32, 320, 0, 32, 16, 0, 32)                                                       \
    X(Q5_1, q5_1, 32, 320, 0, 64, 0, 1, 32)                                                        \
    X(Q8_0, q8_0, 32, 512, 0, 32, 128, 0, 32)                                                      \
    X(IQ4_NL, iq4_nl, 32, 256, 0, 32, 127, 0, 32)                                                  \
    X(Q4_K, q4_k, 256, 2240, 192, 64, 0, 1, 32)                                                    \
    X(Q5_K, q5_k, 256, 2752, 192, 64, 0, 1, 32)                                                    \
    X(Q6_K, q6_k, 256, 3328, 256, 32, 32, 0, 16)                                                   \
    X(IQ4_XS, iq4_xs, 256, 2112, 64, 64, 127, 0, 32)

/* The same for float weights. */
#define EW__PACKED_FLOAT_MAP(X)                                                                    \
    X(F16, f16, 2, 64, 0, 0, 0, 0, 0)                                                              \
    X(BF16, bf16, 2, 64, 0, 0, 0, 0, 0)

struct ew__packed_format {
    size_t columns;     /* of a cell: the type's block; 0 for a type without a packed form */
    size_t cell_bytes;  /* in the area of vectors */
    size_t scale_bytes; /* of them, before the first block of 32 columns */
    size_t half_bytes;  /* in the area of halves */
    int offset;         /* value = s * (u - offset) [+ m] */
    bool has_min;
    size_t scale_columns; /* 32 or 16; 0 for float weights */
};

/* The format of a type; a type without one (or an unknown id) has columns 0. */
const struct ew__packed_format *ew__packed_format(ew__dtype type);

/* A packed matrix. The memory is borrowed. */
struct ew__packed {
    const uint8_t *data; /* panels, panel_bytes apart, 64-byte aligned */
    size_t panel_bytes;
    ew__dtype type;
    size_t rows, n; /* n is a multiple of the format's columns */
};

/* Distance from a panel to the next, and bytes of all of them; type and n as above. */
size_t ew__packed_panel_bytes(ew__dtype type, size_t n);
size_t ew__packed_bytes(ew__dtype type, size_t rows, size_t n);
/* Where a panel's halves begin, from its start. */
static inline size_t ew__packed_halves_at(const struct ew__packed_format *format, size_t n) {
    return n / format->columns * format->cell_bytes;
}
static inline size_t ew__packed_panels(size_t rows) {
    return (rows + EW__PANEL_ROWS - 1) / EW__PANEL_ROWS;
}

/* Packs r (1..16) rows of n columns, row_bytes apart as in the file, into one panel of
 * ew__packed_panel_bytes, which is written whole. */
void ew__pack_panel(ew__dtype type, const void *rows, size_t row_bytes, size_t r, size_t n,
                    uint8_t *panel);

struct ew__qact;

/* y[j*ldy + i] for tokens t0 .. t0 + t - 1 (j from 0) and the rows i of the matrix that lie in
 * panels first .. first + count - 1: i counts from row 0 of the matrix. Where x->rest is not 0, the
 * token's second term is row t0 + j + x->rest of x, and y is the sum of both products (the first
 * plus the second). scratch: EW__PACKED_SCRATCH_BYTES, 64-byte aligned, contents do not matter.
 * Any t >= 1; the kernel chooses between streaming the packed vectors (few tokens) and unpacking
 * them to scratch (many). Same bits for every t, first and count. */
typedef void ew__mul_packed_fn(const struct ew__packed *w, size_t first, size_t count,
                               const struct ew__qact *x, size_t t0, size_t t, float *y, size_t ldy,
                               void *scratch);

/* y[j*ldy + i] for j < t and the rows i of panels first .. first + count - 1, as above, of float
 * weights and f32 activations x[j*ldx + k]. Same bits for every t, first and count, and every set.
 */
typedef void ew__mul_packed_float_fn(const struct ew__packed *w, size_t first, size_t count,
                                     const float *x, size_t ldx, size_t t, float *y, size_t ldy);

#define EW__PACKED_SCRATCH_BYTES ((size_t)192 << 10)

#endif
