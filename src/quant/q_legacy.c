// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

#include <math.h>
#include <string.h>

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

/* The largest magnitude; NaN when any element is one. */
static float magnitude_max(const float x[EW__QK]) {
    uint32_t max = 0; // the bits of non-negative floats order like the floats, NaN above all
    for (int j = 0; j < EW__QK; j++) {
        uint32_t bits = ew__bits_of_float(x[j]) & 0x7fffffffu;
        max = bits > max ? bits : max;
    }
    return ew__float_of_bits(max);
}

/* Nearest integer of |v| <= 128, halves away from zero: roundf without its call. v minus its whole
 * part is exact. */
static inline int8_t round_away(float v) {
    int whole = (int)v;
    float rest = v - (float)whole;
    return (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

/* d = max|x| / 127 rounded to half, q = x / d with the unrounded d, halves away from zero. A block
 * that is not finite gets such a d, which readers detect, and zeros; 1 / d overflows only where d
 * rounds to zero as half. */
void ew__encode_q8_0(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q8_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float d = magnitude_max(src) / 127.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
        uint16_t half = ew__half_of(d);
        b->d[0] = (uint8_t)(half & 0xff);
        b->d[1] = (uint8_t)(half >> 8);
        if (!isfinite(d) || !isfinite(inverse)) {
            memset(b->qs, 0, sizeof b->qs);
            continue;
        }
        for (int j = 0; j < EW__QK; j++)
            b->qs[j] = round_away(src[j] * inverse);
    }
}
