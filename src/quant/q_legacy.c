// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

/* Blocks of 32 with one scale. Nibbles of 16 bytes give elements 0-15 (low) and 16-31 (high). */

void ew__decode_q4_0(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q4_0 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((b->qs[j] & 15) - 8) * d;
            out[j + 16] = (float)((b->qs[j] >> 4) - 8) * d;
        }
    }
}

void ew__decode_q4_1(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q4_1 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d), m = ew__half_at(b->m);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)(b->qs[j] & 15) * d + m;
            out[j + 16] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}

/* The fifth bits of Q5_0 and Q5_1 as bytes of 0 or 1. */
static inline void spread_32(const uint8_t qh[4], uint8_t high[32]) {
    for (int k = 0; k < 4; k++)
        ew__spread_bits(qh[k], high + 8 * k);
}

void ew__decode_q5_0(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q5_0 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d);
        uint8_t high[32];
        spread_32(b->qh, high);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((b->qs[j] & 15) + 16 * high[j] - 16) * d;
            out[j + 16] = (float)((b->qs[j] >> 4) + 16 * high[j + 16] - 16) * d;
        }
    }
}

void ew__decode_q5_1(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q5_1 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d), m = ew__half_at(b->m);
        uint8_t high[32];
        spread_32(b->qh, high);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((b->qs[j] & 15) + 16 * high[j]) * d + m;
            out[j + 16] = (float)((b->qs[j] >> 4) + 16 * high[j + 16]) * d + m;
        }
    }
}

void ew__decode_q8_0(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q8_0 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d);
        for (int j = 0; j < EW__QK; j++)
            out[j] = (float)b->qs[j] * d;
    }
}
