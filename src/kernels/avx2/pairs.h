// SPDX-License-Identifier: Apache-2.0
/* Products of two pairs of 16-bit integers per lane, for AVX2. */
#ifndef EW_KERNELS_AVX2_PAIRS_H
#define EW_KERNELS_AVX2_PAIRS_H

#include "kernels/avx2/vec.h"

typedef __m256i vint;

static inline vint vint_zero(void) {
    return _mm256_setzero_si256();
}
/* Pairs of int8, as 16-bit numbers. */
static inline vint vint_codes8(const uint8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
/* Pairs of two's complement nibbles, as sixteen times their value: the low ones, the high ones. */
static inline void vint_codes4(const uint8_t *p, vint *low, vint *high) {
    const __m128i top = _mm_set1_epi8((char)0xF0);
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    *low = _mm256_cvtepi8_epi16(_mm_and_si128(_mm_slli_epi16(x, 4), top));
    *high = _mm256_cvtepi8_epi16(_mm_and_si128(x, top));
}
/* The same pair in every lane. */
static inline vint vint_pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
}
/* acc + a[0] b[0] + a[1] b[1] per lane; the caller keeps it below 2^31 */
static inline vint vint_dot(vint acc, vint a, vint b) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
}
static inline vint vint_add(vint a, vint b) {
    return _mm256_add_epi32(a, b);
}
static inline vec vint_float(vint x) {
    return _mm256_cvtepi32_ps(x);
}
/* VEC_LANES numbers within the range of int16, rounded to nearest even. */
static inline void vec_store_i16(int16_t *p, vec x) {
    __m256i whole = _mm256_cvtps_epi32(x);
    __m128i packed =
        _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storeu_si128((__m128i *)(void *)p, packed);
}

#endif
