// SPDX-License-Identifier: Apache-2.0
/* Byte form of the lattice types: signed magnitudes around an offset, which is the smallest round
 * number that leaves room for them (a larger one would cost precision in s u + m). A sub-block has
 * 32 elements. */
#include "kernels/scalar/isa.h"

#include "kernels/unpack.h"

#define OFFSET      64 /* magnitudes up to 62 */
#define OFFSET_IQ3S 16 /* magnitudes up to 15 */

/* Sign bit j set: element j is negative. */
static void put(uint8_t *u, size_t count, const uint8_t *magnitudes, unsigned signs, int offset) {
    for (size_t j = 0; j < count; j++) {
        int value = signs >> j & 1u ? -magnitudes[j] : magnitudes[j];
        u[j] = (uint8_t)(offset + value);
    }
}

/* d (0.5 + scale) / 4, the scale in the top 4 bits of each sub-block's u32 */
static void iq2_xxs_block(const struct ew__block_iq2_xxs *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        const uint8_t *index = block->qs + 8 * b;
        uint32_t bits = ew__load_u32(index + 4);
        float ds = d * (0.5f + (float)(bits >> 28)) * 0.25f;
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET * ds);
        for (size_t l = 0; l < 4; l++)
            put(u + 32 * b + 8 * l, 8, ew__iq2xxs_grid[index[l]], ew__iq_signs(bits >> 7 * l),
                OFFSET);
    }
}

/* IQ2_XS, IQ2_S: a scale for each 16 elements, d (0.5 + scale) / 4 */
static void iq2_scales(float d, const uint8_t scales[8], float *s, float *m) {
    for (size_t g = 0; g < 16; g++) {
        s[g] = d * (0.5f + (float)(scales[g / 2] >> 4 * (g % 2) & 15)) * 0.25f;
        m[g] = -(float)OFFSET * s[g];
    }
}

static void iq2_xs_block(const struct ew__block_iq2_xs *block, uint8_t *u, float *s, float *m) {
    iq2_scales(ew__half_at(block->d), block->scales, s, m);
    for (size_t i = 0; i < 32; i++) {
        unsigned q = ew__load_u16(block->qs + 2 * i);
        put(u + 8 * i, 8, ew__iq2xs_grid[q & 511u], ew__iq_signs(q >> 9), OFFSET);
    }
}

static void iq2_s_block(const struct ew__block_iq2_s *block, uint8_t *u, float *s, float *m) {
    iq2_scales(ew__half_at(block->d), block->scales, s, m);
    for (size_t i = 0; i < 32; i++) {
        unsigned high = (unsigned)block->qh[i / 4] >> 2 * (i % 4) & 3u;
        put(u + 8 * i, 8, ew__iq2s_grid[block->qs[i] | high << 8], block->signs[i], OFFSET);
    }
}

/* d (0.5 + scale) / 2, the scale in the top 4 bits of each sub-block's u32 */
static void iq3_xxs_block(const struct ew__block_iq3_xxs *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        uint32_t bits = ew__load_u32(block->signs + 4 * b);
        float ds = d * (0.5f + (float)(bits >> 28)) * 0.5f;
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET * ds);
        for (size_t l = 0; l < 8; l++) {
            unsigned signs = (unsigned)ew__iq_signs(bits >> 7 * (l / 2)) >> 4 * (l % 2);
            put(u + 32 * b + 4 * l, 4, ew__iq3xxs_grid[block->qs[8 * b + l]], signs, OFFSET);
        }
    }
}

/* d (1 + 2 scale) */
static void iq3_s_block(const struct ew__block_iq3_s *block, uint8_t *u, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        int scale = block->scales[b / 2] >> 4 * (b % 2) & 15;
        float ds = d * (float)(1 + 2 * scale);
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET_IQ3S * ds);
        for (size_t l = 0; l < 8; l++) {
            unsigned index = block->qs[8 * b + l] | (block->qh[b] >> l & 1u) << 8;
            unsigned signs = (unsigned)block->signs[4 * b + l / 2] >> 4 * (l % 2);
            put(u + 32 * b + 4 * l, 4, ew__iq3s_grid[index], signs, OFFSET_IQ3S);
        }
    }
}

EW__UNPACK_KERNEL(iq2_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq2_xs, EW__QKK)
EW__UNPACK_KERNEL(iq2_s, EW__QKK)
EW__UNPACK_KERNEL(iq3_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq3_s, EW__QKK)
