// SPDX-License-Identifier: Apache-2.0
/* The vector words of the templates in simd/, for AVX-512. */
#ifndef EW_KERNELS_AVX512_VEC_H
#define EW_KERNELS_AVX512_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;
#define VEC_LANES     16u
#define VEC_TILE_R    4u /* weight rows of a 4-token register tile */
#define VEC_REGISTERS 32

static inline __mmask16 vec_mask(size_t count) {
    return (__mmask16)((1u << count) - 1);
}

static inline vec vec_zero(void) {
    return _mm512_setzero_ps();
}
static inline vec vec_set(float x) {
    return _mm512_set1_ps(x);
}
/* The same, kept in a register: compilers like to load a broadcast again inside every multiply-add
 * that uses it, and loads are what a loop with stores runs short of. */
static inline vec vec_hold(float x) {
    vec v = _mm512_set1_ps(x);
    __asm__("" : "+v"(v));
    return v;
}
static inline vec vec_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline vec vec_load_n(const float *p, size_t count) {
    return _mm512_maskz_loadu_ps(vec_mask(count), p);
}
static inline void vec_store(float *p, vec x) {
    _mm512_storeu_ps(p, x);
}
static inline void vec_store_n(float *p, vec x, size_t count) {
    _mm512_mask_storeu_ps(p, vec_mask(count), x);
}
static inline vec vec_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vec vec_load_f16_n(const uint16_t *p, size_t count) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vec_mask(count), p));
}
static inline vec vec_of_bf16(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
static inline vec vec_load_bf16(const uint16_t *p) {
    return vec_of_bf16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vec vec_load_bf16_n(const uint16_t *p, size_t count) {
    return vec_of_bf16(_mm256_maskz_loadu_epi16(vec_mask(count), p));
}
static inline __m256i vec_to_f16(vec x) {
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline void vec_store_f16(uint16_t *p, vec x) {
    _mm256_storeu_si256((__m256i *)(void *)p, vec_to_f16(x));
}
static inline void vec_store_f16_n(uint16_t *p, vec x, size_t count) {
    _mm256_mask_storeu_epi16(p, vec_mask(count), vec_to_f16(x));
}
/* Lanes from `count` on become zero. */
static inline vec vec_keep(vec x, size_t count) {
    return _mm512_maskz_mov_ps(vec_mask(count), x);
}

static inline vec vec_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return _mm512_div_ps(a, b);
}
/* a * b + c and c - a * b, rounded once */
static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return _mm512_fnmadd_ps(a, b, c);
}
/* b where either is NaN */
static inline vec vec_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}
static inline vec vec_round(vec x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x * 2^n for integral n, also into subnormals and infinity */
static inline vec vec_scale2(vec x, vec n) {
    return _mm512_scalef_ps(x, n);
}
/* Bit l: lanes l are equal. */
static inline uint32_t vec_equal(vec a, vec b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

/* Halves added onto halves: lanes 0+8.., +4, +2, +1. */
static inline float vec_sum(vec x) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    b = _mm_add_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}
static inline float vec_top(vec x) {
    return _mm512_reduce_max_ps(x);
}

#endif
