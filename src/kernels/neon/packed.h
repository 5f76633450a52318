// SPDX-License-Identifier: Apache-2.0
/* Words of simd/packed.inc for 128-bit registers: 4 rows x 4 columns of bytes. Multiplications are
 * signed, so bytes of 8-bit types are unpacked as the weights themselves. */
#ifndef EW_KERNELS_NEON_PACKED_H
#define EW_KERNELS_NEON_PACKED_H

#include "kernels/neon/vec.h"
#include "kernels/simd/unroll.h"
#include "quant/blocks.h"

#define PACKED_SIGNED true

typedef uint8x16_t bytes;
typedef int32x4_t sums;

EW__INLINE bytes bytes_load(const uint8_t *p) {
    return vld1q_u8(p);
}
EW__INLINE void bytes_store(uint8_t *p, bytes x) {
    vst1q_u8(p, x);
}
EW__INLINE bytes bytes_low(bytes x) {
    return vandq_u8(x, vdupq_n_u8(15));
}
EW__INLINE bytes bytes_high(bytes x) {
    return vshrq_n_u8(x, 4);
}
EW__INLINE bytes bytes_put(bytes u, bytes bits, int left, uint8_t mask) {
    bits = vshlq_u8(bits, vdupq_n_s8((int8_t)left)); /* to the right where negative */
    return vorrq_u8(u, vandq_u8(bits, vdupq_n_u8(mask)));
}
EW__INLINE bytes bytes_fifth(bytes u, bytes bits, size_t g) {
    return bytes_put(u, bits, 4 - (int)g, 16);
}
EW__INLINE bytes bytes_top2(bytes u, bytes bits, size_t j) {
    return bytes_put(u, bits, 4 - 2 * (int)j, 48);
}
EW__INLINE bytes bytes_wide(bytes x) {
    return veorq_u8(x, vdupq_n_u8(128));
}
EW__INLINE bytes bytes_levels(bytes nibbles) {
    return vreinterpretq_u8_s8(vqtbl1q_s8(vld1q_s8(ew__iq4_values), nibbles));
}

EW__INLINE vec vec_of_bits(sums x) {
    return vreinterpretq_f32_s32(x);
}
EW__INLINE vec vec_of_int(sums x) {
    return vcvtq_f32_s32(x);
}
EW__INLINE vec vec_of_u8(const uint8_t *p) {
    uint8x8_t four = vcreate_u8(ew__load_u32(p));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(four))));
}
EW__INLINE vec vec_of_i8(const int8_t *p) {
    int8x8_t four = vcreate_s8(ew__load_u32((const uint8_t *)p));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))));
}

#endif
