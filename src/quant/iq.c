// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

#include <string.h>

/* IQ4: nibbles choose from sixteen values. IQ2, IQ3: indices choose a point of a lattice, which
 * gives the magnitudes of 8 or 4 elements; signs are stored apart. */

static inline void iq4_values(const uint8_t q[16], float d, float *restrict out) {
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)ew__iq4_values[q[j] & 15];
        out[j + 16] = d * (float)ew__iq4_values[q[j] >> 4];
    }
}

void ew__decode_iq4_nl(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq4_nl *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++, out += EW__QK)
        iq4_values(b->qs, ew__half_at(b->d), out);
}

void ew__decode_iq4_xs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq4_xs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32)
            iq4_values(b->qs + 16 * sub, d * (float)ew__iq4xs_scale(b, sub), out);
    }
}

/* A sub-block of 32 before its scales: what the five lattice types unpack to. */
struct lattice_32 {
    uint8_t magnitudes[32], signs[4]; /* bit j of signs[l]: element 8 l + j is negative */
};

/* Elements 0-15 have scale `first`, 16-31 `second`. Negating the integer instead of the product
 * gives the same float. */
static inline void scale_32(const struct lattice_32 *q, float first, float second,
                            float *restrict out) {
    uint8_t negative[32];
    int8_t values[32];
    for (int l = 0; l < 4; l++)
        ew__spread_bits(q->signs[l], negative + 8 * l);
    for (int i = 0; i < 32; i++) // two's complement: ~m + 1 where negative
        values[i] = (int8_t)(uint8_t)((q->magnitudes[i] ^ (0 - negative[i])) + negative[i]);
    for (int i = 0; i < 16; i++) {
        out[i] = first * (float)values[i];
        out[i + 16] = second * (float)values[i + 16];
    }
}

void ew__decode_iq2_xxs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_xxs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32) {
            const uint8_t *index = b->qs + 8 * sub;
            uint32_t rest = ew__load_u32(index + 4);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
            struct lattice_32 q;
            for (unsigned l = 0; l < 4; l++) {
                memcpy(q.magnitudes + 8 * l, ew__iq2xxs_grid[index[l]], 8);
                q.signs[l] = ew__iq_signs(rest >> (7 * l));
            }
            scale_32(&q, scale, scale, out);
        }
    }
}

/* IQ2_XS and IQ2_S: a byte of two 4-bit scales per 32 elements, the low one for the first 16. */
static inline void scale_32_iq2(const struct lattice_32 *q, float d, uint8_t scales,
                                float *restrict out) {
    scale_32(q, d * (0.5f + (float)(scales & 15)) * 0.25f,
             d * (0.5f + (float)(scales >> 4)) * 0.25f, out);
}

void ew__decode_iq2_xs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_xs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32) {
            struct lattice_32 q;
            for (unsigned l = 0; l < 4; l++) {
                unsigned packed = ew__load_u16(b->qs + 8 * sub + 2 * l);
                memcpy(q.magnitudes + 8 * l, ew__iq2xs_grid[packed & 511], 8);
                q.signs[l] = ew__iq_signs(packed >> 9);
            }
            scale_32_iq2(&q, d, b->scales[sub], out);
        }
    }
}

void ew__decode_iq2_s(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_s *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32) {
            struct lattice_32 q;
            for (unsigned l = 0; l < 4; l++) {
                unsigned high = (unsigned)b->qh[sub] >> (2 * l) & 3u;
                memcpy(q.magnitudes + 8 * l, ew__iq2s_grid[b->qs[4 * sub + l] | high << 8], 8);
            }
            memcpy(q.signs, b->signs + 4 * sub, 4);
            scale_32_iq2(&q, d, b->scales[sub], out);
        }
    }
}

void ew__decode_iq3_xxs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq3_xxs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32) {
            uint32_t rest = ew__load_u32(b->signs + 4 * sub);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
            struct lattice_32 q;
            for (unsigned l = 0; l < 8; l++)
                memcpy(q.magnitudes + 4 * l, ew__iq3xxs_grid[b->qs[8 * sub + l]], 4);
            for (unsigned l = 0; l < 4; l++)
                q.signs[l] = ew__iq_signs(rest >> (7 * l));
            scale_32(&q, scale, scale, out);
        }
    }
}

void ew__decode_iq3_s(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq3_s *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++, out += 32) {
            float scale = d * (float)(1 + 2 * (b->scales[sub / 2] >> (sub % 2 * 4) & 15));
            struct lattice_32 q;
            for (unsigned l = 0; l < 8; l++) {
                unsigned high = (unsigned)b->qh[sub] >> l & 1u;
                memcpy(q.magnitudes + 4 * l, ew__iq3s_grid[b->qs[8 * sub + l] | high << 8], 4);
            }
            memcpy(q.signs, b->signs + 4 * sub, 4);
            scale_32(&q, scale, scale, out);
        }
    }
}
