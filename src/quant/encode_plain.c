// SPDX-License-Identifier: Apache-2.0
/* Plain encoders of the blocks of 32: the scale follows from the largest element, or from the
 * range, and every element is rounded by it. The order of the operations, all in single precision
 * and without contraction, is that of ggml's reference routines, and so are the bytes. The rounding
 * uses the scale before it is itself rounded to half. */
#include "quant/encode.h"
#include "quant/blocks.h"

#include <math.h>
#include <string.h>

static void store_half(uint8_t out[2], float v) {
    uint16_t half = ew__half_of(v);
    out[0] = (uint8_t)(half & 0xff);
    out[1] = (uint8_t)(half >> 8);
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

/* The element of the largest magnitude, the first of equals; NaN when any element is one. */
static float largest(const float x[EW__QK]) {
    float magnitude = magnitude_max(x);
    for (int j = 0; j < EW__QK; j++) {
        if (fabsf(x[j]) == magnitude)
            return x[j];
    }
    return magnitude;
}

/* 1 / d, or 0 where d is zero or so small that it is zero as half too; a d that is not finite stays
 * so in the block, with all its levels the same. */
static float inverse_of(float d) {
    float inverse = 1.0f / d;
    return isfinite(d) && isfinite(inverse) ? inverse : 0.0f;
}

/* Whole part of x * inverse + middle + 0.5, at most top: levels of a scale that maps the largest
 * element to 0, so that the sum is never negative. */
static void round_signed(const float x[EW__QK], float d, int middle, int top, uint8_t q[EW__QK]) {
    float inverse = inverse_of(d), offset = (float)middle + 0.5f;
    for (int j = 0; j < EW__QK; j++) {
        int level = inverse != 0.0f ? (int)(x[j] * inverse + offset) : middle;
        q[j] = (uint8_t)(level > top ? top : level);
    }
}

/* d and m of the range of x over `top` steps, and the levels. */
static void round_affine(const float x[EW__QK], int top, uint8_t d[2], uint8_t m[2],
                         uint8_t q[EW__QK]) {
    float low = x[0], high = x[0], magnitude = magnitude_max(x);
    for (int j = 1; j < EW__QK; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    float step = (high - low) / (float)top, inverse = inverse_of(step);
    if (!isfinite(magnitude))
        step = magnitude;
    inverse = isfinite(step) ? inverse : 0.0f;
    store_half(d, step);
    store_half(m, low);
    for (int j = 0; j < EW__QK; j++) {
        int level = inverse != 0.0f ? (int)((x[j] - low) * inverse + 0.5f) : 0;
        q[j] = (uint8_t)(level > top ? top : level);
    }
}

/* Elements 0-15 to the low nibbles, 16-31 to the high ones; the fifth bits to qh, if there is one.
 */
static void pack(const uint8_t q[EW__QK], uint8_t qs[16], uint8_t *qh) {
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    for (int k = 0; qh != NULL && k < 4; k++) {
        qh[k] = 0;
        for (int i = 0; i < 8; i++)
            qh[k] = (uint8_t)(qh[k] | (q[8 * k + i] >> 4) << i);
    }
}

void ew__encode_q4_0(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q4_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        uint8_t q[EW__QK];
        float d = largest(src) / -8.0f;
        store_half(b->d, d);
        round_signed(src, d, 8, 15, q);
        pack(q, b->qs, NULL);
    }
}

void ew__encode_q4_1(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q4_1 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        uint8_t q[EW__QK];
        round_affine(src, 15, b->d, b->m, q);
        pack(q, b->qs, NULL);
    }
}

void ew__encode_q5_0(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q5_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        uint8_t q[EW__QK];
        float d = largest(src) / -16.0f;
        store_half(b->d, d);
        round_signed(src, d, 16, 31, q);
        pack(q, b->qs, b->qh);
    }
}

void ew__encode_q5_1(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q5_1 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        uint8_t q[EW__QK];
        round_affine(src, 31, b->d, b->m, q);
        pack(q, b->qs, b->qh);
    }
}

/* Nearest integer of |v| <= 128, halves away from zero: roundf without its call. v minus its whole
 * part is exact. */
static inline int8_t round_away(float v) {
    int whole = (int)v;
    float rest = v - (float)whole;
    return (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

/* d = max|x| / 127 rounded to half, q = x / d with the unrounded d, halves away from zero. */
void ew__encode_q8_0(const float *restrict src, void *restrict out, uint64_t blocks) {
    struct ew__block_q8_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float d = magnitude_max(src) / 127.0f, inverse = d != 0.0f ? 1.0f / d : 0.0f;
        store_half(b->d, d);
        if (!isfinite(d) || !isfinite(inverse)) {
            memset(b->qs, 0, sizeof b->qs);
            continue;
        }
        for (int j = 0; j < EW__QK; j++)
            b->qs[j] = round_away(src[j] * inverse);
    }
}
