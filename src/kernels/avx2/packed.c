// SPDX-License-Identifier: Apache-2.0
/* VPMADDUBSW adds two products in 16 bits, where weights of 4, 5 and 6 bits leave room for 8, 4 and
 * 2 of its results: 2 * 127 * (15, 31, 63) * (8, 4, 2) < 2^15. Weights of 8 bits go in as a
 * magnitude, up to 128, with their sign on the activations: 2 * 128 * 127 < 2^15. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/packed.h"

#define PACKED_SIGNED          true
#define STREAM_REGS(T)         ((T) > 2 ? 1u : 2u)
#define TILE_REGS              2u
#define TILE_TOKENS            4u
#define PACKED_ADDS_IN_16_BITS 1

EW__INLINE bytes bytes_wide(bytes x) {
    return _mm256_xor_si256(x, _mm256_set1_epi8(-128));
}
EW__INLINE bytes bytes_levels(bytes nibbles) {
    return levels_of(nibbles, iq4_levels());
}

struct dots {
    __m256i pairs, total;
};

EW__INLINE struct dots dots_start(const int32_t *start) {
    (void)start;
    return (struct dots){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

EW__INLINE struct dots dots_add(unsigned bits, size_t nth, struct dots dots, bytes u, quads q,
                                size_t g) {
    const size_t room = bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
    __m256i four = quad(q, g);
    __m256i pairs = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(four, u))
                              : _mm256_maddubs_epi16(u, four);
    dots.pairs = nth % room == 0 ? pairs : _mm256_add_epi16(dots.pairs, pairs);
    if (nth % room == room - 1) {
        __m256i fours = _mm256_madd_epi16(dots.pairs, _mm256_set1_epi16(1));
        dots.total = nth < room ? fours : _mm256_add_epi32(dots.total, fours);
    }
    return dots;
}

EW__INLINE sums dots_end(struct dots dots, const int32_t *start) {
    return _mm256_add_epi32(dots.total, _mm256_set1_epi32(*start));
}

#include "kernels/simd/packed.inc"
#include "kernels/simd/packed_tile_dots.inc"
