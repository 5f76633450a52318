// SPDX-License-Identifier: Apache-2.0
/* Where the keys and values of one head lie in the memory of one page: EW__KV_PAGE_TOKENS positions
 * of width d, all keys in one area and all values in another, each ew__kv_bytes large. Written by
 * kv_store, read by attend_span, as they are.
 *
 *   F32         keys and values [position][d]
 *   F16         keys [position / 16][d][position % 16]: a vector of keys is one dimension of
 * sixteen positions, so that scores need no sum across lanes; values [column / 64][position][column
 * % 64]: a strip that registers can hold the sums of is read as one stream Q8_0, Q4_0  blocks of 32
 * dimensions of one position share an F16 scale, as in the files. Codes first, in pairs for
 * products of two 16-bit numbers, then the scales. Keys, Q8_0: [position / 16][d / 2][position %
 * 16][2] bytes; Q4_0: [position / 16][d / 4][position % 16][2] bytes, the low nibbles being
 *               dimensions 4i and 4i + 1, the high ones 4i + 2 and 4i + 3.
 *               Scales of keys [position / 16][d / 32][position % 16].
 *               Values, Q8_0: [column / 32][position / 2][32][2] bytes;
 *               Q4_0: [column / 32][position / 2][16][2], low nibbles columns 0-15 of the block,
 * high ones 16-31. Scales of values [d / 32][position]. Nibbles are two's complement. d is a
 * multiple of 32.
 *
 * A byte never holds elements of two positions: threads may store different positions at once. */
#ifndef EW_KERNELS_KV_H
#define EW_KERNELS_KV_H

#include "base/dtype.h"
#include "base/limits.h"

#include <stddef.h>

enum {
    EW__KV_PANEL = 16, /* positions of a panel of keys */
    EW__KV_STRIP = 64, /* columns of a strip of F16 values */
    EW__KV_BLOCK = 32  /* elements that share a scale */
};

/* Bytes of all quantised codes of one area; the scales follow. */
static inline size_t ew__kv_code_bytes(ew__dtype type, size_t d) {
    return EW__KV_PAGE_TOKENS * d / (type == EW__Q4_0 ? 2 : 1);
}

/* Bytes of the keys, or of the values, of one head in one page. */
static inline size_t ew__kv_bytes(ew__dtype type, size_t d) {
    if (type == EW__F32)
        return EW__KV_PAGE_TOKENS * d * 4;
    if (type == EW__F16)
        return EW__KV_PAGE_TOKENS * d * 2;
    return ew__kv_code_bytes(type, d) + EW__KV_PAGE_TOKENS * d / EW__KV_BLOCK * 2;
}

/* Element of an F16 key area; dimension i + 1 lies EW__KV_PANEL elements behind dimension i. */
static inline size_t ew__kv_key_at(size_t position, size_t dimension, size_t d) {
    return (position / EW__KV_PANEL * d + dimension) * EW__KV_PANEL + position % EW__KV_PANEL;
}

/* Columns of the F16 strip that `column` begins; a last one may be narrower. */
static inline size_t ew__kv_strip(size_t column, size_t d) {
    return d - column < EW__KV_STRIP ? d - column : EW__KV_STRIP;
}

/* Element of an F16 value area: the first of a strip at `position`; `column` begins the strip. */
static inline size_t ew__kv_value_at(size_t position, size_t column, size_t d) {
    return column * EW__KV_PAGE_TOKENS + position * ew__kv_strip(column, d);
}

/* Byte of a key code; for Q4_0 the dimension's nibble is the high one where it mod 4 is 2 or 3. */
static inline size_t ew__kv_key_code_at(ew__dtype type, size_t position, size_t dimension,
                                        size_t d) {
    size_t group = type == EW__Q4_0 ? 4 : 2;
    size_t row = position / EW__KV_PANEL * (d / group) + dimension / group;
    return (row * EW__KV_PANEL + position % EW__KV_PANEL) * 2 + dimension % 2;
}

/* Byte of a value code; for Q4_0 the high nibble where column mod 32 is 16 or more. */
static inline size_t ew__kv_value_code_at(ew__dtype type, size_t position, size_t column) {
    size_t width = type == EW__Q4_0 ? 16 : 32;
    size_t row = column / EW__KV_BLOCK * (EW__KV_PAGE_TOKENS / 2) + position / 2;
    return (row * width + column % width) * 2 + position % 2;
}

/* Scales, counted in F16 elements from the first one. */
static inline size_t ew__kv_key_scale_at(size_t position, size_t block, size_t d) {
    return (position / EW__KV_PANEL * (d / EW__KV_BLOCK) + block) * EW__KV_PANEL +
           position % EW__KV_PANEL;
}
static inline size_t ew__kv_value_scale_at(size_t position, size_t block) {
    return block * EW__KV_PAGE_TOKENS + position;
}

#endif
