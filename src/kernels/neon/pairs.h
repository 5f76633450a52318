// SPDX-License-Identifier: Apache-2.0
/* Products of two pairs of 16-bit integers per lane, for NEON. */
#ifndef EW_KERNELS_NEON_PAIRS_H
#define EW_KERNELS_NEON_PAIRS_H

#include "kernels/neon/vec.h"

/* Four 32-bit sums, or eight 16-bit numbers: the pairs of four lanes. */
typedef int32x4_t vint;

static inline vint vint_zero(void) {
    return vdupq_n_s32(0);
}
/* Pairs of int8, as 16-bit numbers. */
static inline vint vint_codes8(const uint8_t *p) {
    return vreinterpretq_s32_s16(vmovl_s8(vreinterpret_s8_u8(vld1_u8(p))));
}
/* Pairs of two's complement nibbles, as sixteen times their value: the low ones, the high ones. */
static inline void vint_codes4(const uint8_t *p, vint *low, vint *high) {
    uint8x8_t x = vld1_u8(p), top = vdup_n_u8(0xF0);
    *low = vreinterpretq_s32_s16(vmovl_s8(vreinterpret_s8_u8(vshl_n_u8(x, 4))));
    *high = vreinterpretq_s32_s16(vmovl_s8(vreinterpret_s8_u8(vand_u8(x, top))));
}
/* The same pair in every lane. */
static inline vint vint_pair(const int16_t *p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return vdupq_n_s32(both);
}
/* acc + a[0] b[0] + a[1] b[1] per lane; the caller keeps it below 2^31 */
static inline vint vint_dot(vint acc, vint a, vint b) {
    int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    int32x4_t high = vmull_high_s16(x, y);
    return vaddq_s32(acc, vpaddq_s32(low, high));
}
static inline vint vint_add(vint a, vint b) {
    return vaddq_s32(a, b);
}
static inline vec vint_float(vint x) {
    return vcvtq_f32_s32(x);
}
/* VEC_LANES numbers within the range of int16, rounded to nearest even. */
static inline void vec_store_i16(int16_t *p, vec x) {
    vst1_s16(p, vqmovn_s32(vcvtnq_s32_f32(x)));
}

#endif
