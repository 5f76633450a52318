// SPDX-License-Identifier: Apache-2.0
/* Packed weights with one instruction per product: four of them added to a 32-bit sum. */
#include "kernels/avxvnni/isa.h"

#include "kernels/avx2/packed.h"

#define PACKED_SIGNED          false
#define STREAM_REGS(T)         ((T) > 2 ? 1u : 2u)
#define TILE_REGS              2u
#define TILE_TOKENS            4u
#define PACKED_ADDS_IN_16_BITS 0

EW__INLINE bytes bytes_wide(bytes x) {
    return x;
}
EW__INLINE bytes bytes_levels(bytes nibbles) {
    return levels_of(nibbles, _mm_add_epi8(iq4_levels(), _mm_set1_epi8(127)));
}

struct dots {
    __m256i total;
};

EW__INLINE struct dots dots_start(const int32_t *start) {
    return (struct dots){_mm256_set1_epi32(*start)};
}

EW__INLINE struct dots dots_add(unsigned bits, size_t nth, struct dots dots, bytes u, quads q,
                                size_t g) {
    (void)bits;
    (void)nth;
    return (struct dots){_mm256_dpbusd_avx_epi32(dots.total, u, quad(q, g))};
}

EW__INLINE sums dots_end(struct dots dots, const int32_t *start) {
    (void)start;
    return dots.total;
}

#include "kernels/simd/packed.inc"
#include "kernels/simd/packed_tile_dots.inc"
