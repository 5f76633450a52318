// SPDX-License-Identifier: Apache-2.0
/* The vector words of the templates in simd/, for NEON. The first few lanes go through a small
 * array: tails are short, and nothing may be read behind them. */
#ifndef EW_KERNELS_NEON_VEC_H
#define EW_KERNELS_NEON_VEC_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vec;
#define VEC_LANES     4u
#define VEC_TILE_R    4u /* weight rows of a 4-token register tile */
#define VEC_REGISTERS 32

static inline vec vec_zero(void) {
    return vdupq_n_f32(0);
}
static inline vec vec_set(float x) {
    return vdupq_n_f32(x);
}
static inline vec vec_hold(float x) {
    return vec_set(x);
}
static inline vec vec_load(const float *p) {
    vec x;
    memcpy(&x, p, sizeof x); /* weights lie at any address */
    return x;
}
static inline vec vec_load_n(const float *p, size_t count) {
    float lanes[4] = {0};
    memcpy(lanes, p, count * sizeof *lanes);
    return vld1q_f32(lanes);
}
static inline void vec_store(float *p, vec x) {
    vst1q_f32(p, x);
}
static inline void vec_store_n(float *p, vec x, size_t count) {
    float lanes[4];
    vst1q_f32(lanes, x);
    memcpy(p, lanes, count * sizeof *lanes);
}
static inline uint16x4_t vec_load_u16(const void *p) {
    uint16x4_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline uint16x4_t vec_load_u16_n(const void *p, size_t count) {
    uint16_t lanes[4] = {0};
    memcpy(lanes, p, count * sizeof *lanes);
    return vld1_u16(lanes);
}
static inline vec vec_of_f16(uint16x4_t bits) {
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}
static inline vec vec_load_f16(const uint16_t *p) {
    return vec_of_f16(vec_load_u16(p));
}
static inline vec vec_load_f16_n(const uint16_t *p, size_t count) {
    return vec_of_f16(vec_load_u16_n(p, count));
}
static inline vec vec_of_bf16(uint16x4_t bits) {
    return vreinterpretq_f32_u32(vshll_n_u16(bits, 16));
}
static inline vec vec_load_bf16(const uint16_t *p) {
    return vec_of_bf16(vec_load_u16(p));
}
static inline vec vec_load_bf16_n(const uint16_t *p, size_t count) {
    return vec_of_bf16(vec_load_u16_n(p, count));
}
static inline void vec_store_f16(uint16_t *p, vec x) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
static inline void vec_store_f16_n(uint16_t *p, vec x, size_t count) {
    uint16_t lanes[4];
    vec_store_f16(lanes, x);
    memcpy(p, lanes, count * sizeof *lanes);
}
/* Lanes from `count` on become zero. */
static inline vec vec_keep(vec x, size_t count) {
    float lanes[4] = {0};
    vec_store_n(lanes, x, count);
    return vld1q_f32(lanes);
}

static inline vec vec_add(vec a, vec b) {
    return vaddq_f32(a, b);
}
static inline vec vec_sub(vec a, vec b) {
    return vsubq_f32(a, b);
}
static inline vec vec_mul(vec a, vec b) {
    return vmulq_f32(a, b);
}
static inline vec vec_div(vec a, vec b) {
    return vdivq_f32(a, b);
}
/* a * b + c and c - a * b, rounded once */
static inline vec vec_fma(vec a, vec b, vec c) {
    return vfmaq_f32(c, a, b);
}
static inline vec vec_fnma(vec a, vec b, vec c) {
    return vfmsq_f32(c, a, b);
}
/* b where either is NaN */
static inline vec vec_max(vec a, vec b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vec vec_min(vec a, vec b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vec vec_round(vec x) {
    return vrndnq_f32(x);
}
static inline vec vec_pow2(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
/* x * 2^n for integral n in [-160, 140], also into subnormals and infinity: in two steps, because
 * 2^n alone may be neither. */
static inline vec vec_scale2(vec x, vec n) {
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vec_mul(vec_mul(x, vec_pow2(half)), vec_pow2(vsubq_s32(whole, half)));
}
/* Bit l: lanes l are equal. */
static inline uint32_t vec_equal(vec a, vec b) {
    const uint32x4_t bits = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vceqq_f32(a, b), bits));
}

/* Lanes 0+2 and 1+3, then their sum. */
static inline float vec_sum(vec x) {
    float32x2_t pair = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
static inline float vec_top(vec x) {
    return vmaxvq_f32(x);
}

#endif
