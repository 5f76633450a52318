// SPDX-License-Identifier: Apache-2.0
/* Byte form of the types without minima tables: 32-element blocks and the IQ4 pair. In the 4 and
 * 5-bit types the low nibbles are elements 0..15 and the high nibbles 16..31. */
#include "kernels/scalar/isa.h"

#include "kernels/unpack.h"

static void nibbles(const uint8_t qs[16], uint8_t *u) {
    for (size_t i = 0; i < 16; i++) {
        u[i] = qs[i] & 15;
        u[i + 16] = qs[i] >> 4;
    }
}

static void fifth_bits(const uint8_t qh[4], uint8_t *u) {
    uint32_t bits = ew__load_u32(qh);
    for (size_t i = 0; i < 32; i++)
        u[i] = (uint8_t)(u[i] | (bits >> i & 1u) << 4);
}

static void levels(const uint8_t qs[16], uint8_t *u) {
    for (size_t i = 0; i < 16; i++) {
        u[i] = (uint8_t)(ew__iq4_values[qs[i] & 15] + 127);
        u[i + 16] = (uint8_t)(ew__iq4_values[qs[i] >> 4] + 127);
    }
}

/* d (q - 8) */
static void q4_0_block(const struct ew__block_q4_0 *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    nibbles(block->qs, u);
    ew__unpack_fill(s, m, 2, d, -8.0f * d);
}

/* d q + m */
static void q4_1_block(const struct ew__block_q4_1 *block, uint8_t *u, float *s, float *m) {
    nibbles(block->qs, u);
    ew__unpack_fill(s, m, 2, ew__half_at(block->d), ew__half_at(block->m));
}

/* d (q - 16) */
static void q5_0_block(const struct ew__block_q5_0 *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    nibbles(block->qs, u);
    fifth_bits(block->qh, u);
    ew__unpack_fill(s, m, 2, d, -16.0f * d);
}

/* d q + m */
static void q5_1_block(const struct ew__block_q5_1 *block, uint8_t *u, float *s, float *m) {
    nibbles(block->qs, u);
    fifth_bits(block->qh, u);
    ew__unpack_fill(s, m, 2, ew__half_at(block->d), ew__half_at(block->m));
}

/* d q = d u - 128 d with u = q + 128 */
static void q8_0_block(const struct ew__block_q8_0 *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (size_t i = 0; i < 32; i++)
        u[i] = (uint8_t)(block->qs[i] + 128);
    ew__unpack_fill(s, m, 2, d, -128.0f * d);
}

/* d level = d u - 127 d with u = level + 127 */
static void iq4_nl_block(const struct ew__block_iq4_nl *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    levels(block->qs, u);
    ew__unpack_fill(s, m, 2, d, -127.0f * d);
}

static void iq4_xs_block(const struct ew__block_iq4_xs *block, uint8_t *u, float *s, float *m) {
    for (size_t b = 0; b < 8; b++)
        levels(block->qs + 16 * b, u + 32 * b);
    ew__unpack_iq4_xs_scales(block, s, m);
}

EW__UNPACK_KERNEL(q4_0, EW__QK)
EW__UNPACK_KERNEL(q4_1, EW__QK)
EW__UNPACK_KERNEL(q5_0, EW__QK)
EW__UNPACK_KERNEL(q5_1, EW__QK)
EW__UNPACK_KERNEL(q8_0, EW__QK)
EW__UNPACK_KERNEL(iq4_nl, EW__QK)
EW__UNPACK_KERNEL(iq4_xs, EW__QKK)
