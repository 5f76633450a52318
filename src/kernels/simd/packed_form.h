// SPDX-License-Identifier: Apache-2.0
/* The layout of kernels/packed.h as constants of a type, for kernels in which `type` is a constant:
 * every branch here folds away. All of it follows from EW__PACKED_MAP. */
#ifndef EW_KERNELS_SIMD_PACKED_FORM_H
#define EW_KERNELS_SIMD_PACKED_FORM_H

#include "kernels/packed.h"
#include "kernels/simd/unroll.h"

#include <stdbool.h>
#include <stddef.h>

/* What follows the integer sums of a block of 32 columns. */
enum packed_kind {
    PACKED_PLAIN,   /* one scale */
    PACKED_MINIMUM, /* one scale and a minimum */
    PACKED_HALVES   /* a scale for each half */
};

/* The type's line of the map. */
EW__INLINE struct ew__packed_format packed_form(ew__dtype type) {
    switch (type) {
#define FORM(name, tag, ...)                                                                       \
    case EW__##name:                                                                               \
        return (struct ew__packed_format){__VA_ARGS__};
        EW__PACKED_MAP(FORM)
#undef FORM
    default:
        return (struct ew__packed_format){0};
    }
}

/* Scales and minima of 6 bits, twelve bytes of them a row. */
EW__INLINE bool packed_is_k4(ew__dtype type) {
    return type == EW__Q4_K || type == EW__Q5_K;
}

/* Nibbles that are indices of levels. */
EW__INLINE bool packed_is_levels(ew__dtype type) {
    return type == EW__IQ4_NL || type == EW__IQ4_XS;
}

EW__INLINE enum packed_kind packed_kind(ew__dtype type) {
    if (packed_form(type).scale_columns == 16)
        return PACKED_HALVES;
    return packed_form(type).has_min ? PACKED_MINIMUM : PACKED_PLAIN;
}

/* Blocks of 32 columns in a cell, bytes of a block, bytes of scales before the first, bytes of a
 * cell and of its halves. */
EW__INLINE size_t packed_cell_blocks(ew__dtype type) {
    return packed_form(type).columns / 32;
}
EW__INLINE size_t packed_scale_bytes(ew__dtype type) {
    return packed_form(type).scale_bytes;
}
EW__INLINE size_t packed_cell_bytes(ew__dtype type) {
    return packed_form(type).cell_bytes;
}
EW__INLINE size_t packed_block_bytes(ew__dtype type) {
    return (packed_cell_bytes(type) - packed_scale_bytes(type)) / packed_cell_blocks(type);
}
EW__INLINE size_t packed_half_bytes(ew__dtype type) {
    return packed_form(type).half_bytes;
}

/* Bits of a weight, which say how many products fit 16 bits; 8 for those with a sign. A bit of a
 * block's 16 x 32 weights is one vector. */
EW__INLINE unsigned packed_bits(ew__dtype type) {
    return packed_is_levels(type) ? 8 : (unsigned)(packed_block_bytes(type) / EW__VECTOR_BYTES);
}

/* What a byte in the panel is above the weight that it stands for. */
EW__INLINE int packed_offset(ew__dtype type) {
    return packed_form(type).offset;
}

#endif
