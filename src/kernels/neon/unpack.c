// SPDX-License-Identifier: Apache-2.0
/* Byte form of the types that published checkpoints use most. */
#include "kernels/neon/isa.h"

#include "kernels/unpack.h"

#include <arm_neon.h>

static inline uint8x16_t low_nibbles(uint8x16_t x) {
    return vandq_u8(x, vdupq_n_u8(15));
}
static inline uint8x16_t high_nibbles(uint8x16_t x) {
    return vshrq_n_u8(x, 4);
}
/* 16 bytes -> their low nibbles, then their high nibbles */
static inline void split_nibbles(const uint8_t *qs, uint8_t *u) {
    uint8x16_t x = vld1q_u8(qs);
    vst1q_u8(u, low_nibbles(x));
    vst1q_u8(u + 16, high_nibbles(x));
}
static inline void levels(const uint8_t *qs, uint8_t *u) {
    const uint8x16_t table =
        vaddq_u8(vreinterpretq_u8_s8(vld1q_s8(ew__iq4_values)), vdupq_n_u8(127));
    uint8x16_t x = vld1q_u8(qs);
    vst1q_u8(u, vqtbl1q_u8(table, low_nibbles(x)));
    vst1q_u8(u + 16, vqtbl1q_u8(table, high_nibbles(x)));
}

static inline void q4_0_block(const struct ew__block_q4_0 *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    split_nibbles(block->qs, u);
    ew__unpack_fill(s, m, 2, d, -8.0f * d);
}

static inline void q8_0_block(const struct ew__block_q8_0 *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (size_t i = 0; i < 32; i += 16)
        vst1q_u8(u + i, veorq_u8(vreinterpretq_u8_s8(vld1q_s8(block->qs + i)), vdupq_n_u8(128)));
    ew__unpack_fill(s, m, 2, d, -128.0f * d);
}

static inline void iq4_nl_block(const struct ew__block_iq4_nl *block, uint8_t *u, float *s,
                                float *m) {
    float d = ew__half_at(block->d);
    levels(block->qs, u);
    ew__unpack_fill(s, m, 2, d, -127.0f * d);
}

static inline void iq4_xs_block(const struct ew__block_iq4_xs *block, uint8_t *u, float *s,
                                float *m) {
    for (size_t b = 0; b < 8; b++)
        levels(block->qs + 16 * b, u + 32 * b);
    ew__unpack_iq4_xs_scales(block, s, m);
}

static inline void q4_k_block(const struct ew__block_q4_k *block, uint8_t *u, float *s, float *m) {
    ew__unpack_k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t i = 0; i < 128; i += 16) {
        uint8x16_t x = vld1q_u8(block->qs + i);
        uint8_t *out = u + i / 32 * 64 + i % 32;
        vst1q_u8(out, low_nibbles(x));
        vst1q_u8(out + 32, high_nibbles(x));
    }
}

static inline void q5_k_block(const struct ew__block_q5_k *block, uint8_t *u, float *s, float *m) {
    const uint8x16_t sixteen = vdupq_n_u8(16);
    ew__unpack_k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t l = 0; l < 32; l += 16) {
        uint8x16_t high = vld1q_u8(block->qh + l);
        for (size_t p = 0; p < 4; p++) {
            uint8x16_t x = vld1q_u8(block->qs + 32 * p + l);
            uint8x16_t first = vandq_u8(vshlq_n_u8(high, 4), sixteen);
            uint8x16_t second = vandq_u8(vshlq_n_u8(high, 3), sixteen);
            vst1q_u8(u + 64 * p + l, vorrq_u8(low_nibbles(x), first));
            vst1q_u8(u + 64 * p + 32 + l, vorrq_u8(high_nibbles(x), second));
            high = vshrq_n_u8(high, 2);
        }
    }
}

static inline void q6_k_block(const struct ew__block_q6_k *block, uint8_t *u, float *s, float *m) {
    const uint8x16_t two_bits = vdupq_n_u8(0x30);
    ew__unpack_q6_scales(block, s, m);
    for (size_t i = 0; i < 64; i += 16) { /* i % 32 within half i / 32 */
        size_t half = i / 32, l = i % 32;
        uint8x16_t a = vld1q_u8(block->ql + 64 * half + l);
        uint8x16_t b = vld1q_u8(block->ql + 64 * half + 32 + l);
        uint8x16_t high = vld1q_u8(block->qh + 32 * half + l);
        uint8_t *out = u + 128 * half + l;
        vst1q_u8(out, vorrq_u8(low_nibbles(a), vandq_u8(vshlq_n_u8(high, 4), two_bits)));
        vst1q_u8(out + 32, vorrq_u8(low_nibbles(b), vandq_u8(vshlq_n_u8(high, 2), two_bits)));
        vst1q_u8(out + 64, vorrq_u8(high_nibbles(a), vandq_u8(high, two_bits)));
        vst1q_u8(out + 96, vorrq_u8(high_nibbles(b), vandq_u8(vshrq_n_u8(high, 2), two_bits)));
    }
}

EW__UNPACK_KERNEL(q4_0, EW__QK)
EW__UNPACK_KERNEL(q8_0, EW__QK)
EW__UNPACK_KERNEL(iq4_nl, EW__QK)
EW__UNPACK_KERNEL(iq4_xs, EW__QKK)
EW__UNPACK_KERNEL(q4_k, EW__QKK)
EW__UNPACK_KERNEL(q5_k, EW__QKK)
EW__UNPACK_KERNEL(q6_k, EW__QKK)
