// SPDX-License-Identifier: Apache-2.0
/* IQ3_K, IQ4_K, IQ5_K: non-linear values with a signed scale per group of 16. Layout and values:
 * ik_llama.cpp at 8337e4cd3861406fc04e0854b1409cd1b027fbc9 (MIT), format constants. */
#include "quant/decode.h"

#include "base/cursor.h"

/* Second rows: the values of groups whose bit of `extra` is set. */
static const int8_t values3[2][8] = {{-63, -40, -23, -10, 1, 13, 28, 47},
                                     {-59, -36, -19, -6, 5, 17, 32, 51}};
static const int8_t values4[2][16] = {
    {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    {-123, -100, -79, -61, -45, -31, -18, -6, 5, 17, 29, 42, 57, 73, 93, 117}};
static const int8_t values5[2][32] = {
    {-126, -114, -103, -92, -83, -74, -65, -57, -50, -43, -36, -30, -24, -18, -12, -6,
     -1,   5,    11,   17,  23,  29,  36,  43,  51,  59,  68,  77,  87,  97,  109, 121},
    {-124, -112, -101, -90, -81, -72, -63, -55, -48, -41, -34, -28, -22, -16, -10, -4,
     1,    7,    13,   19,  25,  31,  38,  45,  53,  61,  70,  79,  89,  99,  111, 123}};

/* The 6-bit scale of group g < 16, -32..31: nibble g of the low part, two bits g of the high part.
 */
static int scale6(const uint8_t *low, const uint8_t *high, unsigned g) {
    unsigned nibble = (unsigned)low[g / 2] >> 4 * (g % 2) & 15u;
    unsigned top = (unsigned)high[g / 4] >> 2 * (g % 4) & 3u;
    return (int)(nibble | top << 4) - 32;
}

void ew__decode_iq3_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq3_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++)
        for (unsigned g = 0; g < 16; g++, out += 16) {
            unsigned sub = g / 2, first = g % 2 * 16;
            unsigned nibble = (unsigned)b->scales_l[sub] >> 4 * (g % 2) & 15u;
            int sign = (ew__load_u16(b->scales_h) >> g & 1) != 0 ? -1 : 1;
            float scale = ew__half_at(b->d) * (float)((int)(2 * nibble + 1) * sign);
            const int8_t *values = values3[ew__load_u16(b->extra) >> g & 1];
            for (unsigned j = first; j < first + 16; j++) {
                unsigned low = (unsigned)b->qs[sub / 4 * 32 + j] >> 2 * (sub % 4) & 3u;
                unsigned high = (unsigned)b->qh[j] >> sub & 1u;
                out[j - first] = scale * (float)values[low | high << 2];
            }
        }
}

void ew__decode_iq4_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq4_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++)
        for (unsigned g = 0; g < 16; g++, out += 16) {
            float scale = ew__half_at(b->d) * (float)scale6(b->scales_l, b->scales_h, g);
            const int8_t *values = values4[ew__load_u16(b->extra) >> g & 1];
            for (unsigned j = 0; j < 16; j++)
                out[j] =
                    scale * (float)values[(unsigned)b->qs[g / 2 * 16 + j] >> 4 * (g % 2) & 15u];
        }
}

void ew__decode_iq5_k(const void *restrict src, float *restrict out, uint64_t blocks) {
    const struct ew__block_iq5_k *b = src;
    for (uint64_t i = 0; i < blocks; i++, b++)
        for (unsigned g = 0; g < 16; g++, out += 16) {
            unsigned quarter = g / 4, half = g % 4 / 2, first = g % 2 * 16;
            float scale = ew__half_at(b->d) * (float)scale6(b->scales_l, b->scales_h, g);
            const int8_t *values = values5[ew__load_u16(b->extra) >> g & 1];
            for (unsigned j = first; j < first + 16; j++) {
                unsigned low = (unsigned)b->qs[quarter * 32 + j] >> 4 * half & 15u;
                unsigned high = (unsigned)b->qh[j] >> (2 * quarter + half) & 1u;
                out[j - first] = scale * (float)values[low | high << 4];
            }
        }
}
