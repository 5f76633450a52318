// SPDX-License-Identifier: Apache-2.0
/* Byte form of the K types, 256 elements per block. */
#include "kernels/scalar/isa.h"

#include "kernels/unpack.h"

/* d sc q - dmin m; 64 elements per 32 bytes, low nibbles first */
static void q4_k_block(const struct ew__block_q4_k *block, uint8_t *u, float *s, float *m) {
    ew__unpack_k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t p = 0; p < 4; p++) {
        for (size_t l = 0; l < 32; l++) {
            u[64 * p + l] = block->qs[32 * p + l] & 15;
            u[64 * p + 32 + l] = block->qs[32 * p + l] >> 4;
        }
    }
}

/* as Q4_K; bit j of qh[l] is the fifth bit of element 32 j + l */
static void q5_k_block(const struct ew__block_q5_k *block, uint8_t *u, float *s, float *m) {
    ew__unpack_k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t i = 0; i < EW__QKK; i++) {
        size_t p = i / 64, j = i / 32, l = i % 32;
        int nibble = block->qs[32 * p + l] >> 4 * (j % 2) & 15;
        u[i] = (uint8_t)(nibble | (block->qh[l] >> j & 1) << 4);
    }
}

/* d sc (q - 32) */
static void q6_k_block(const struct ew__block_q6_k *block, uint8_t *u, float *s, float *m) {
    ew__unpack_q6_scales(block, s, m);
    for (size_t half = 0; half < 2; half++) {
        const uint8_t *ql = block->ql + 64 * half, *qh = block->qh + 32 * half;
        uint8_t *out = u + 128 * half;
        for (size_t l = 0; l < 32; l++) {
            out[l] = (uint8_t)((ql[l] & 15) | (qh[l] & 3) << 4);
            out[l + 32] = (uint8_t)((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4);
            out[l + 64] = (uint8_t)(ql[l] >> 4 | (qh[l] >> 4 & 3) << 4);
            out[l + 96] = (uint8_t)(ql[l + 32] >> 4 | (qh[l] >> 6 & 3) << 4);
        }
    }
}

/* d sc q - dmin m */
static void q2_k_block(const struct ew__block_q2_k *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d), dmin = ew__half_at(block->dmin);
    for (size_t g = 0; g < 16; g++) {
        s[g] = d * (float)(block->scales[g] & 15);
        m[g] = -(dmin * (float)(block->scales[g] >> 4));
    }
    for (size_t i = 0; i < EW__QKK; i++) {
        size_t half = i / 128, j = i % 128 / 32;
        u[i] = block->qs[32 * half + i % 32] >> 2 * j & 3;
    }
}

/* d sc (q - 4), q's third bit from hmask */
static void q3_k_block(const struct ew__block_q3_k *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    int8_t scales[16];
    ew__q3k_scales(block->scales, scales);
    for (size_t g = 0; g < 16; g++) {
        s[g] = d * (float)scales[g];
        m[g] = -4.0f * s[g];
    }
    for (size_t i = 0; i < EW__QKK; i++) {
        size_t half = i / 128, j = i % 128 / 32;
        int low = block->qs[32 * half + i % 32] >> 2 * j & 3;
        int high = block->hmask[i % 32] >> (4 * half + j) & 1;
        u[i] = (uint8_t)(low | high << 2);
    }
}

EW__UNPACK_KERNEL(q2_k, EW__QKK)
EW__UNPACK_KERNEL(q3_k, EW__QKK)
EW__UNPACK_KERNEL(q4_k, EW__QKK)
EW__UNPACK_KERNEL(q5_k, EW__QKK)
EW__UNPACK_KERNEL(q6_k, EW__QKK)
