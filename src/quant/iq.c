// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"

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

/* Eight elements from one point of an IQ2 lattice, or from two points of an IQ3 lattice; bit j of
 * `signs` makes element j negative. */
static inline void signed_8(const uint8_t first[4], const uint8_t second[4], unsigned signs,
                            float scale, float *restrict out) {
    for (unsigned j = 0; j < 4; j++) {
        out[j] = scale * (float)first[j] * (signs >> j & 1u ? -1.0f : 1.0f);
        out[j + 4] = scale * (float)second[j] * (signs >> (j + 4) & 1u ? -1.0f : 1.0f);
    }
}

void ew__decode_iq2_xxs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_xxs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++) {
            const uint8_t *index = b->qs + 8 * sub;
            uint32_t rest = ew__load_u32(index + 4);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
            for (unsigned l = 0; l < 4; l++, out += 8) {
                const uint8_t *point = ew__iq2xxs_grid[index[l]];
                signed_8(point, point + 4, ew__iq_signs(rest >> (7 * l)), scale, out);
            }
        }
    }
}

/* IQ2_XS and IQ2_S: a byte of two 4-bit scales per 32 elements, the low one for the first 16. */
static inline float iq2_scale(float d, uint8_t scales, unsigned l) {
    return d * (0.5f + (float)(scales >> (l / 2 * 4) & 15)) * 0.25f;
}

void ew__decode_iq2_xs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_xs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned at = 0; at < 32; at++, out += 8) {
            unsigned q = ew__load_u16(b->qs + 2 * at);
            const uint8_t *point = ew__iq2xs_grid[q & 511];
            signed_8(point, point + 4, ew__iq_signs(q >> 9),
                     iq2_scale(d, b->scales[at / 4], at % 4), out);
        }
    }
}

void ew__decode_iq2_s(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq2_s *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned at = 0; at < 32; at++, out += 8) {
            unsigned high = (unsigned)b->qh[at / 4] >> (at % 4 * 2) & 3u;
            const uint8_t *point = ew__iq2s_grid[b->qs[at] | high << 8];
            signed_8(point, point + 4, b->signs[at], iq2_scale(d, b->scales[at / 4], at % 4), out);
        }
    }
}

void ew__decode_iq3_xxs(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq3_xxs *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned sub = 0; sub < 8; sub++) {
            const uint8_t *index = b->qs + 8 * sub;
            uint32_t rest = ew__load_u32(b->signs + 4 * sub);
            float scale = d * (0.5f + (float)(rest >> 28)) * 0.5f;
            for (unsigned l = 0; l < 4; l++, out += 8)
                signed_8(ew__iq3xxs_grid[index[2 * l]], ew__iq3xxs_grid[index[2 * l + 1]],
                         ew__iq_signs(rest >> (7 * l)), scale, out);
        }
    }
}

void ew__decode_iq3_s(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq3_s *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++) {
        float d = ew__half_at(b->d);
        for (unsigned at = 0; at < 32; at++, out += 8) { // two points of four elements
            unsigned high = (unsigned)b->qh[at / 4] >> (at % 4 * 2), sub = at / 4;
            int scale = 1 + 2 * (b->scales[sub / 2] >> (sub % 2 * 4) & 15);
            signed_8(ew__iq3s_grid[b->qs[2 * at] | (high & 1u) << 8],
                     ew__iq3s_grid[b->qs[2 * at + 1] | (high & 2u) << 7], b->signs[at],
                     d * (float)scale, out);
        }
    }
}
