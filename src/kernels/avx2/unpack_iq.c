// SPDX-License-Identifier: Apache-2.0
/* Byte form of the lattice types: a sub-block of 32 magnitudes is gathered from the lattice, and
 * its 32 sign bits turn them around the offset. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/bytes.h"
#include "kernels/unpack.h"

#define OFFSET      64 /* as in the scalar twin */
#define OFFSET_IQ3S 16

static inline void put32(uint8_t *u, __m256i magnitudes, uint32_t signs, char offset) {
    __m256i negative = bits_to_bytes(signs);
    __m256i value = _mm256_sub_epi8(_mm256_xor_si256(magnitudes, negative), negative);
    store32(u, _mm256_add_epi8(value, _mm256_set1_epi8(offset)));
}

static inline long long eight(const uint8_t magnitudes[8]) {
    return (long long)ew__load_u64(magnitudes);
}

static inline int four(const uint8_t magnitudes[4]) {
    return (int)ew__load_u32(magnitudes);
}

/* Four times seven sign bits -> 32 bits. */
static inline uint32_t spread_signs(uint32_t bits) {
    return ew__iq_signs(bits) | (uint32_t)ew__iq_signs(bits >> 7) << 8 |
           (uint32_t)ew__iq_signs(bits >> 14) << 16 | (uint32_t)ew__iq_signs(bits >> 21) << 24;
}

static inline void iq2_xxs_block(const struct ew__block_iq2_xxs *block, uint8_t *u, float *s,
                                 float *m) {
    float d = half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        const uint8_t *i = block->qs + 8 * b;
        uint32_t bits = ew__load_u32(i + 4);
        float ds = d * (0.5f + (float)(bits >> 28)) * 0.25f;
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET * ds);
        __m256i x = _mm256_set_epi64x(eight(ew__iq2xxs_grid[i[3]]), eight(ew__iq2xxs_grid[i[2]]),
                                      eight(ew__iq2xxs_grid[i[1]]), eight(ew__iq2xxs_grid[i[0]]));
        put32(u + 32 * b, x, spread_signs(bits), OFFSET);
    }
}

/* IQ2_XS, IQ2_S: a scale for each 16 elements, d (0.5 + scale) / 4 */
static inline void iq2_scales(float d, const uint8_t scales[8], float *s, float *m) {
    for (size_t g = 0; g < 16; g++) {
        s[g] = d * (0.5f + (float)(scales[g / 2] >> 4 * (g % 2) & 15)) * 0.25f;
        m[g] = -(float)OFFSET * s[g];
    }
}

static inline void iq2_xs_block(const struct ew__block_iq2_xs *block, uint8_t *u, float *s,
                                float *m) {
    iq2_scales(half_at(block->d), block->scales, s, m);
    for (size_t b = 0; b < 8; b++) {
        uint32_t q[4], signs = 0;
        for (unsigned l = 0; l < 4; l++) {
            q[l] = ew__load_u16(block->qs + 8 * b + 2 * l);
            signs |= (uint32_t)ew__iq_signs(q[l] >> 9) << 8 * l;
        }
        __m256i x =
            _mm256_set_epi64x(eight(ew__iq2xs_grid[q[3] & 511]), eight(ew__iq2xs_grid[q[2] & 511]),
                              eight(ew__iq2xs_grid[q[1] & 511]), eight(ew__iq2xs_grid[q[0] & 511]));
        put32(u + 32 * b, x, signs, OFFSET);
    }
}

static inline void iq2_s_block(const struct ew__block_iq2_s *block, uint8_t *u, float *s,
                               float *m) {
    iq2_scales(half_at(block->d), block->scales, s, m);
    for (size_t b = 0; b < 8; b++) {
        const uint8_t *low = block->qs + 4 * b;
        uint32_t high = block->qh[b];
        __m256i x = _mm256_set_epi64x(eight(ew__iq2s_grid[low[3] | (high << 2 & 0x300)]),
                                      eight(ew__iq2s_grid[low[2] | (high << 4 & 0x300)]),
                                      eight(ew__iq2s_grid[low[1] | (high << 6 & 0x300)]),
                                      eight(ew__iq2s_grid[low[0] | (high << 8 & 0x300)]));
        put32(u + 32 * b, x, ew__load_u32(block->signs + 4 * b), OFFSET);
    }
}

static inline void iq3_xxs_block(const struct ew__block_iq3_xxs *block, uint8_t *u, float *s,
                                 float *m) {
    float d = half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        uint32_t bits = ew__load_u32(block->signs + 4 * b);
        float ds = d * (0.5f + (float)(bits >> 28)) * 0.5f;
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET * ds);
        int x[8];
        for (size_t l = 0; l < 8; l++)
            x[l] = four(ew__iq3xxs_grid[block->qs[8 * b + l]]);
        put32(u + 32 * b, load32(x), spread_signs(bits), OFFSET);
    }
}

static inline void iq3_s_block(const struct ew__block_iq3_s *block, uint8_t *u, float *s,
                               float *m) {
    float d = half_at(block->d);
    for (size_t b = 0; b < 8; b++) {
        int scale = block->scales[b / 2] >> 4 * (b % 2) & 15;
        float ds = d * (float)(1 + 2 * scale);
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, ds, -(float)OFFSET_IQ3S * ds);
        int x[8];
        for (size_t l = 0; l < 8; l++)
            x[l] = four(ew__iq3s_grid[block->qs[8 * b + l] | (block->qh[b] >> l & 1u) << 8]);
        put32(u + 32 * b, load32(x), ew__load_u32(block->signs + 4 * b), OFFSET_IQ3S);
    }
}

EW__UNPACK_KERNEL(iq2_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq2_xs, EW__QKK)
EW__UNPACK_KERNEL(iq2_s, EW__QKK)
EW__UNPACK_KERNEL(iq3_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq3_s, EW__QKK)
