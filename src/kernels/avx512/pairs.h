// SPDX-License-Identifier: Apache-2.0
/* Products of two pairs of 16-bit integers per lane, for AVX-512 VNNI. */
#ifndef EW_KERNELS_AVX512_PAIRS_H
#define EW_KERNELS_AVX512_PAIRS_H

#include "kernels/avx512/vec.h"

#include <string.h>

typedef __m512i vint;

static inline vint vint_zero(void) {
    return _mm512_setzero_si512();
}
/* Pairs of int8, as 16-bit numbers. */
static inline vint vint_codes8(const uint8_t *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* Pairs of two's complement nibbles, as sixteen times their value: the low ones, the high ones. */
static inline void vint_codes4(const uint8_t *p, vint *low, vint *high) {
    const __m256i top = _mm256_set1_epi8((char)0xF0);
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    *low = _mm512_cvtepi8_epi16(_mm256_and_si256(_mm256_slli_epi16(x, 4), top));
    *high = _mm512_cvtepi8_epi16(_mm256_and_si256(x, top));
}
/* The same pair in every lane. */
static inline vint vint_pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}
/* acc + a[0] b[0] + a[1] b[1] per lane; the caller keeps it below 2^31 */
static inline vint vint_dot(vint acc, vint a, vint b) {
    return _mm512_dpwssd_epi32(acc, a, b);
}
static inline vint vint_add(vint a, vint b) {
    return _mm512_add_epi32(a, b);
}
static inline vec vint_float(vint x) {
    return _mm512_cvtepi32_ps(x);
}
/* VEC_LANES numbers within the range of int16, rounded to nearest even. */
static inline void vec_store_i16(int16_t *p, vec x) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
}

#endif
