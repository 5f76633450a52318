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

/* Eight entries of a lattice of four bytes each. */
static inline __m256i gather(const uint8_t grid[][4], __m256i index) {
    return _mm256_i32gather_epi32((const int *)(const void *)grid, index, 4);
}

static inline __m256i eight_indices(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

/* Four times seven sign bits -> four bytes, each with its parity on top (ew__iq_signs). */
static inline uint32_t spread_signs(uint32_t bits) {
    uint32_t x = (bits & 127u) | (bits << 1 & 127u << 8) | (bits << 2 & 127u << 16) |
                 (bits << 3 & 127u << 24);
    uint32_t parity = x ^ x >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return x | (parity & 0x01010101u) << 7;
}

/* unit (0.5 + scale) factor per 32 elements, from the top four bits of each sub-block's word */
static inline void top_scales(float unit, const uint32_t bits[8], float factor, float *s,
                              float *m) {
    __m256i scale = _mm256_srli_epi32(load32(bits), 28);
    __m256 x = _mm256_add_ps(_mm256_set1_ps(0.5f), _mm256_cvtepi32_ps(scale));
    x = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(unit), x), _mm256_set1_ps(factor));
    store_twice(s, x);
    store_twice(m, _mm256_mul_ps(_mm256_set1_ps(-(float)OFFSET), x));
}

static inline void iq2_xxs_block(const struct ew__block_iq2_xxs *block, uint8_t *u, float *s,
                                 float *m) {
    uint32_t bits[8];
    for (size_t b = 0; b < 8; b++) {
        const uint8_t *i = block->qs + 8 * b;
        bits[b] = ew__load_u32(i + 4);
        __m256i x = _mm256_set_epi64x(eight(ew__iq2xxs_grid[i[3]]), eight(ew__iq2xxs_grid[i[2]]),
                                      eight(ew__iq2xxs_grid[i[1]]), eight(ew__iq2xxs_grid[i[0]]));
        put32(u + 32 * b, x, spread_signs(bits[b]), OFFSET);
    }
    top_scales(half_at(block->d), bits, 0.25f, s, m);
}

/* IQ2_XS, IQ2_S: a scale for each 16 elements, d (0.5 + scale) / 4 */
static inline void iq2_scales(float unit, const uint8_t scales[8], float *s, float *m) {
    __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)scales);
    __m128i nibble = _mm_set1_epi8(15);
    uint8_t parts[16];
    _mm_storeu_si128((__m128i *)(void *)parts,
                     _mm_unpacklo_epi8(_mm_and_si128(packed, nibble),
                                       _mm_and_si128(_mm_srli_epi16(packed, 4), nibble)));
    for (size_t g = 0; g < 16; g += 8) {
        __m256 x = _mm256_add_ps(_mm256_set1_ps(0.5f), floats_of_u8(parts + g));
        x = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(unit), x), _mm256_set1_ps(0.25f));
        _mm256_storeu_ps(s + g, x);
        _mm256_storeu_ps(m + g, _mm256_mul_ps(_mm256_set1_ps(-(float)OFFSET), x));
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
    uint32_t bits[8];
    for (size_t b = 0; b < 8; b++) {
        bits[b] = ew__load_u32(block->signs + 4 * b);
        __m256i x = gather(ew__iq3xxs_grid, eight_indices(block->qs + 8 * b));
        put32(u + 32 * b, x, spread_signs(bits[b]), OFFSET);
    }
    top_scales(half_at(block->d), bits, 0.5f, s, m);
}

/* d (1 + 2 scale) */
static inline void iq3_s_scales(const struct ew__block_iq3_s *block, float *s, float *m) {
    uint32_t packed = ew__load_u32(block->scales);
    __m128i even = _mm_cvtsi32_si128((int)(packed & 0x0f0f0f0fu));
    __m128i odd = _mm_cvtsi32_si128((int)(packed >> 4 & 0x0f0f0f0fu));
    __m256i scale = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(even, odd));
    scale = _mm256_or_si256(_mm256_slli_epi32(scale, 1), _mm256_set1_epi32(1));
    __m256 x = _mm256_mul_ps(_mm256_set1_ps(half_at(block->d)), _mm256_cvtepi32_ps(scale));
    store_twice(s, x);
    store_twice(m, _mm256_mul_ps(_mm256_set1_ps(-(float)OFFSET_IQ3S), x));
}

static inline void iq3_s_block(const struct ew__block_iq3_s *block, uint8_t *u, float *s,
                               float *m) {
    iq3_s_scales(block, s, m);
    for (size_t b = 0; b < 8; b++) {
        __m256i ninth = _mm256_sllv_epi32(_mm256_set1_epi32(block->qh[b]),
                                          _mm256_set_epi32(1, 2, 3, 4, 5, 6, 7, 8));
        ninth = _mm256_and_si256(ninth, _mm256_set1_epi32(256));
        __m256i index = _mm256_or_si256(eight_indices(block->qs + 8 * b), ninth);
        put32(u + 32 * b, gather(ew__iq3s_grid, index), ew__load_u32(block->signs + 4 * b),
              OFFSET_IQ3S);
    }
}

EW__UNPACK_KERNEL(iq2_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq2_xs, EW__QKK)
EW__UNPACK_KERNEL(iq2_s, EW__QKK)
EW__UNPACK_KERNEL(iq3_xxs, EW__QKK)
EW__UNPACK_KERNEL(iq3_s, EW__QKK)
