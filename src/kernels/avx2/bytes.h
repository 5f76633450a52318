// SPDX-License-Identifier: Apache-2.0
/* Byte moves that the unpackers share. */
#ifndef EW_KERNELS_AVX2_BYTES_H
#define EW_KERNELS_AVX2_BYTES_H

#include "quant/blocks.h"

#include <immintrin.h>
#include <stdint.h>

static inline __m128i load16(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}
static inline __m256i load32(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline void store32(uint8_t *p, __m256i x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}
static inline __m256i low_nibbles(__m256i x) {
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}
static inline __m256i high_nibbles(__m256i x) {
    return low_nibbles(_mm256_srli_epi16(x, 4));
}
/* 16 bytes -> their low nibbles, then their high nibbles */
static inline __m256i split_nibbles(const uint8_t *qs) {
    __m128i x = load16(qs);
    return low_nibbles(_mm256_set_m128i(_mm_srli_epi16(x, 4), x));
}
/* 0xff in byte i where bit i is set, else 0 */
static inline __m256i bits_to_bytes(uint32_t bits) {
    const __m256i which = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202,
                                            0x0101010101010101, 0x0000000000000000);
    const __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201u);
    __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), which);
    return _mm256_cmpeq_epi8(_mm256_and_si256(x, mask), mask);
}
static inline float half_at(const uint8_t d[2]) {
    return _cvtsh_ss(ew__load_u16(d));
}
/* Eight unsigned or signed bytes as floats. */
static inline __m256 floats_of_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
static inline __m256 floats_of_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

/* Eight floats, each stored twice in a row. */
static inline void store_twice(float *p, __m256 x) {
    const __m256i low = _mm256_set_epi32(3, 3, 2, 2, 1, 1, 0, 0);
    const __m256i high = _mm256_set_epi32(7, 7, 6, 6, 5, 5, 4, 4);
    _mm256_storeu_ps(p, _mm256_permutevar8x32_ps(x, low));
    _mm256_storeu_ps(p + 8, _mm256_permutevar8x32_ps(x, high));
}

#endif
