// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

#include <math.h>
#include <stdbool.h>

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

/* The fifth bits of Q5_0 and Q5_1 are spread to bytes first: a shift per element of one word would
 * keep the multiplications from being vectorised. */
static inline void spread_bits(const uint8_t qh[4], uint8_t bits[32]) {
    for (int i = 0; i < 32; i++)
        bits[i] = (uint8_t)((qh[i / 8] >> (i % 8) & 1) << 4);
}

void ew__decode_q5_0(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q5_0 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d);
        uint8_t high[32];
        spread_bits(b->qh, high);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)(((b->qs[j] & 15) | high[j]) - 16) * d;
            out[j + 16] = (float)((b->qs[j] >> 4 | high[j + 16]) - 16) * d;
        }
    }
}

void ew__decode_q5_1(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q5_1 *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK) {
        float d = ew__half_at(b->d), m = ew__half_at(b->m);
        uint8_t high[32];
        spread_bits(b->qh, high);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((b->qs[j] & 15) | high[j]) * d + m;
            out[j + 16] = (float)(b->qs[j] >> 4 | high[j + 16]) * d + m;
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

/* d = max|x| / 127 rounded to half, q = x / d with the unrounded d, halves away from zero. A block
 * that is not finite gets such a d, which readers detect, and zeros; 1 / d overflows only where d
 * rounds to zero as half. */
void ew__encode_q8_0(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q8_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float d = magnitude_max(src) / 127.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
        uint16_t half = ew__half_of(d);
        bool usable = isfinite(d) && isfinite(inverse);
        b->d[0] = (uint8_t)(half & 0xff);
        b->d[1] = (uint8_t)(half >> 8);
        for (int j = 0; j < EW__QK; j++)
            b->qs[j] = usable ? (int8_t)roundf(src[j] * inverse) : (int8_t)0;
    }
}
