// SPDX-License-Identifier: Apache-2.0
/* Words of simd/packed.inc for 256-bit registers: 8 rows x 4 columns of bytes. */
#ifndef EW_KERNELS_AVX2_PACKED_H
#define EW_KERNELS_AVX2_PACKED_H

#include "kernels/avx2/vec.h"
#include "kernels/simd/unroll.h"
#include "quant/blocks.h"

typedef __m256i bytes, sums;
typedef const int8_t *quads;

EW__INLINE bytes bytes_load(const uint8_t *p) {
    return _mm256_load_si256((const __m256i *)(const void *)p);
}
EW__INLINE void bytes_store(uint8_t *p, bytes x) {
    _mm256_store_si256((__m256i *)(void *)p, x);
}
EW__INLINE bytes bytes_low(bytes x) {
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}
EW__INLINE bytes bytes_high(bytes x) {
    return bytes_low(_mm256_srli_epi16(x, 4));
}
/* Bits cross from byte to byte; the mask drops those. */
EW__INLINE bytes bytes_put(bytes u, bytes bits, int left, int mask) {
    bits = left > 0 ? _mm256_slli_epi16(bits, left) : _mm256_srli_epi16(bits, -left);
    return _mm256_or_si256(u, _mm256_and_si256(bits, _mm256_set1_epi8((char)mask)));
}
EW__INLINE bytes bytes_fifth(bytes u, bytes bits, size_t g) {
    return bytes_put(u, bits, 4 - (int)g, 16);
}
EW__INLINE bytes bytes_top2(bytes u, bytes bits, size_t j) {
    return bytes_put(u, bits, 4 - 2 * (int)j, 48);
}

EW__INLINE quads quads_at(const int8_t *q) {
    return q;
}
/* Columns 4 g .. 4 g + 3 for every row. */
EW__INLINE __m256i quad(quads q, size_t g) {
    return _mm256_set1_epi32((int)ew__load_u32((const uint8_t *)q + 4 * g));
}

EW__INLINE vec vec_of_bits(sums x) {
    return _mm256_castsi256_ps(x);
}
EW__INLINE vec vec_of_int(sums x) {
    return _mm256_cvtepi32_ps(x);
}
EW__INLINE vec vec_of_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
EW__INLINE vec vec_of_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

EW__INLINE bytes levels_of(bytes indices, __m128i levels) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(levels), indices);
}
EW__INLINE __m128i iq4_levels(void) {
    return _mm_loadu_si128((const __m128i *)(const void *)ew__iq4_values);
}

#endif
