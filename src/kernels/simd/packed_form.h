// SPDX-License-Identifier: Apache-2.0
/* The layout of kernels/packed.h as constants of a type, for kernels in which `type` is a constant:
 * every branch here folds away. */
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

EW__INLINE bool packed_is_k4(ew__dtype type) {
    return type == EW__Q4_K || type == EW__Q5_K;
}

EW__INLINE bool packed_is_levels(ew__dtype type) {
    return type == EW__IQ4_NL || type == EW__IQ4_XS;
}

EW__INLINE enum packed_kind packed_kind(ew__dtype type) {
    if (type == EW__Q6_K)
        return PACKED_HALVES;
    return type == EW__Q4_1 || type == EW__Q5_1 || packed_is_k4(type) ? PACKED_MINIMUM
                                                                      : PACKED_PLAIN;
}

/* Bits of a weight, which say how many products fit 16 bits; 8 for those with a sign. */
EW__INLINE unsigned packed_bits(ew__dtype type) {
    if (type == EW__Q8_0 || packed_is_levels(type))
        return 8;
    if (type == EW__Q6_K)
        return 6;
    return type == EW__Q5_0 || type == EW__Q5_1 || type == EW__Q5_K ? 5 : 4;
}

/* Blocks of 32 columns in a cell, bytes of a block, bytes of scales before the first, bytes of a
 * cell and of its halves. */
EW__INLINE size_t packed_cell_blocks(ew__dtype type) {
    return packed_is_k4(type) || type == EW__Q6_K || type == EW__IQ4_XS ? 8 : 1;
}
EW__INLINE size_t packed_block_bytes(ew__dtype type) {
    if (type == EW__Q8_0)
        return 512;
    return packed_bits(type) == 6 ? 384 : packed_bits(type) == 5 ? 320 : 256;
}
EW__INLINE size_t packed_scale_bytes(ew__dtype type) {
    return packed_is_k4(type) ? 192 : type == EW__Q6_K ? 256 : type == EW__IQ4_XS ? 64 : 0;
}
EW__INLINE size_t packed_cell_bytes(ew__dtype type) {
    return packed_scale_bytes(type) + packed_cell_blocks(type) * packed_block_bytes(type);
}
EW__INLINE size_t packed_half_bytes(ew__dtype type) {
    return packed_kind(type) == PACKED_MINIMUM || type == EW__IQ4_XS ? 64 : 32;
}

/* What a byte in the panel is above the weight that it stands for. */
EW__INLINE int packed_offset(ew__dtype type) {
    switch (type) {
    case EW__Q4_0:
        return 8;
    case EW__Q5_0:
        return 16;
    case EW__Q6_K:
        return 32;
    case EW__Q8_0:
        return 128;
    case EW__IQ4_NL:
    case EW__IQ4_XS:
        return 127;
    default:
        return 0;
    }
}

#endif
