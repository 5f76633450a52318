// SPDX-License-Identifier: Apache-2.0
/* The vector words of the templates in simd/, for AVX2. */
#ifndef EW_KERNELS_AVX2_VEC_H
#define EW_KERNELS_AVX2_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vec;
#define VEC_LANES     8u
#define VEC_TILE_R    2u /* weight rows of a 4-token register tile: 16 registers */
#define VEC_REGISTERS 16

static inline __m256i vec_mask(size_t count) {
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones_then_zeros + 8 - count));
}

static inline vec vec_zero(void) {
    return _mm256_setzero_ps();
}
static inline vec vec_set(float x) {
    return _mm256_set1_ps(x);
}
static inline vec vec_hold(float x) {
    return vec_set(x);
}
static inline vec vec_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline vec vec_load_n(const float *p, size_t count) {
    return _mm256_maskload_ps(p, vec_mask(count));
}
static inline void vec_store(float *p, vec x) {
    _mm256_storeu_ps(p, x);
}
static inline void vec_store_n(float *p, vec x, size_t count) {
    _mm256_maskstore_ps(p, vec_mask(count), x);
}
static inline __m128i vec_load_u16(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}
static inline __m128i vec_load_u16_n(const void *p, size_t count) {
    uint16_t lanes[8] = {0};
    memcpy(lanes, p, count * sizeof *lanes);
    return vec_load_u16(lanes);
}
static inline vec vec_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(vec_load_u16(p));
}
static inline vec vec_load_f16_n(const uint16_t *p, size_t count) {
    return _mm256_cvtph_ps(vec_load_u16_n(p, count));
}
static inline vec vec_of_bf16(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
static inline vec vec_load_bf16(const uint16_t *p) {
    return vec_of_bf16(vec_load_u16(p));
}
static inline vec vec_load_bf16_n(const uint16_t *p, size_t count) {
    return vec_of_bf16(vec_load_u16_n(p, count));
}
static inline __m128i vec_to_f16(vec x) {
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline void vec_store_f16(uint16_t *p, vec x) {
    _mm_storeu_si128((__m128i *)(void *)p, vec_to_f16(x));
}
static inline void vec_store_f16_n(uint16_t *p, vec x, size_t count) {
    uint16_t lanes[8];
    vec_store_f16(lanes, x);
    memcpy(p, lanes, count * sizeof *lanes);
}
/* Lanes from `count` on become zero. */
static inline vec vec_keep(vec x, size_t count) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(vec_mask(count)));
}

static inline vec vec_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return _mm256_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return _mm256_div_ps(a, b);
}
/* a * b + c and c - a * b, rounded once */
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return _mm256_fnmadd_ps(a, b, c);
}
/* b where either is NaN */
static inline vec vec_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b) {
    return _mm256_min_ps(a, b);
}
static inline vec vec_round(vec x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec vec_pow2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* x * 2^n for integral n in [-160, 140], also into subnormals and infinity: in two steps, because
 * 2^n alone may be neither. */
static inline vec vec_scale2(vec x, vec n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return vec_mul(vec_mul(x, vec_pow2(half)), vec_pow2(_mm256_sub_epi32(whole, half)));
}
/* Bit l: lanes l are equal. */
static inline uint32_t vec_equal(vec a, vec b) {
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

/* Halves added onto halves: lanes 0+4.., +2, +1. */
static inline float vec_sum(vec x) {
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    b = _mm_add_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}
static inline float vec_top(vec x) {
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    b = _mm_max_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}

#endif
