// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

/* Super-blocks of 256 whose sub-blocks of 16 or 32 have small integer scales. */

/* Sixteen 2-bit values at `shift` of q: x = scale * q - minimum. */
static inline void q2_group(const uint8_t q[16], int shift, float scale, float minimum,
                            float *restrict out) {
    for (int l = 0; l < 16; l++)
        out[l] = scale * (float)(q[l] >> shift & 3) - minimum;
}

void ew__decode_q2_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q2_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d), dmin = ew__half_at(b->dmin);
        for (int group = 0; group < 16; group++, out += 16) { // half, shift, 16 of 32 bytes
            int scale = b->scales[group];
            q2_group(b->qs + group / 8 * 32 + group % 2 * 16, group % 8 / 2 * 2,
                     d * (float)(scale & 15), dmin * (float)(scale >> 4), out);
        }
    }
}

/* Sixteen 3-bit values: two bits at `shift` of q, the third is bit `high` of h; 0 there means -4.
 */
static inline void q3_group(const uint8_t q[16], int shift, const uint8_t h[16], int high,
                            float scale, float *restrict out) {
    for (int l = 0; l < 16; l++)
        out[l] = scale * (float)((q[l] >> shift & 3) + (h[l] >> high & 1) * 4 - 4);
}

void ew__decode_q3_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q3_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        int8_t scales[16];
        ew__q3k_scales(b->scales, scales);
        for (int group = 0; group < 16; group++, out += 16)
            q3_group(b->qs + group / 8 * 32 + group % 2 * 16, group % 8 / 2 * 2,
                     b->hmask + group % 2 * 16, group / 2, d * (float)scales[group], out);
    }
}

/* Scale and minimum of sub-block j in floats, for Q4_K and Q5_K. */
struct affine {
    float scale, minimum;
};
static inline struct affine k4_affine(const uint8_t s[12], unsigned j, float d, float dmin) {
    uint8_t scale, minimum;
    ew__k4_scale_min(s, j, &scale, &minimum);
    return (struct affine){d * (float)scale, dmin * (float)minimum};
}

void ew__decode_q4_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q4_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d), dmin = ew__half_at(b->dmin);
        for (unsigned pair = 0; pair < 4; pair++, out += 64) {
            struct affine low = k4_affine(b->scales, 2 * pair, d, dmin);
            struct affine high = k4_affine(b->scales, 2 * pair + 1, d, dmin);
            const uint8_t *q = b->qs + 32 * pair;
            for (int l = 0; l < 32; l++) {
                out[l] = low.scale * (float)(q[l] & 15) - low.minimum;
                out[l + 32] = high.scale * (float)(q[l] >> 4) - high.minimum;
            }
        }
    }
}

void ew__decode_q5_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q5_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d), dmin = ew__half_at(b->dmin);
        for (unsigned pair = 0; pair < 4; pair++, out += 64) {
            struct affine low = k4_affine(b->scales, 2 * pair, d, dmin);
            struct affine high = k4_affine(b->scales, 2 * pair + 1, d, dmin);
            const uint8_t *q = b->qs + 32 * pair, *h = b->qh;
            for (int l = 0; l < 32; l++) {
                int bits = h[l] >> (2 * pair);
                out[l] = low.scale * (float)((q[l] & 15) + (bits & 1) * 16) - low.minimum;
                out[l + 32] = high.scale * (float)((q[l] >> 4) + (bits & 2) * 8) - high.minimum;
            }
        }
    }
}

/* Thirty-two 6-bit values: four bits at `low` of q, two at `high` of h; s = scales of 16 each. */
static inline void q6_group(const uint8_t q[32], int low, const uint8_t h[32], int high, float d,
                            const int8_t s[2], float *restrict out) {
    float first = d * (float)s[0], second = d * (float)s[1];
    for (int l = 0; l < 16; l++) {
        out[l] = first * (float)(((q[l] >> low & 15) | (h[l] >> high & 3) << 4) - 32);
        out[l + 16] =
            second * (float)(((q[l + 16] >> low & 15) | (h[l + 16] >> high & 3) << 4) - 32);
    }
}

void ew__decode_q6_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_q6_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (int half = 0; half < 2; half++, out += 128) {
            const uint8_t *q = b->ql + 64 * half, *h = b->qh + 32 * half;
            const int8_t *s = b->scales + 8 * half;
            q6_group(q, 0, h, 0, d, s, out);
            q6_group(q + 32, 0, h, 2, d, s + 2, out + 32);
            q6_group(q, 4, h, 4, d, s + 4, out + 64);
            q6_group(q + 32, 4, h, 6, d, s + 6, out + 96);
        }
    }
}
