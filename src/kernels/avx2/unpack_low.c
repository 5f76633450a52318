// SPDX-License-Identifier: Apache-2.0
/* Byte form of the types with separate high bits, and of the 2 and 3-bit types. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/bytes.h"
#include "kernels/unpack.h"

static inline void q4_1_block(const struct ew__block_q4_1 *block, uint8_t *u, float *s, float *m) {
    store32(u, split_nibbles(block->qs));
    ew__unpack_fill(s, m, 2, half_at(block->d), half_at(block->m));
}

static inline __m256i five_bits(const uint8_t *qs, const uint8_t *qh) {
    __m256i fifth = _mm256_and_si256(bits_to_bytes(ew__load_u32(qh)), _mm256_set1_epi8(16));
    return _mm256_or_si256(split_nibbles(qs), fifth);
}

static inline void q5_0_block(const struct ew__block_q5_0 *block, uint8_t *u, float *s, float *m) {
    float d = half_at(block->d);
    store32(u, five_bits(block->qs, block->qh));
    ew__unpack_fill(s, m, 2, d, -16.0f * d);
}

static inline void q5_1_block(const struct ew__block_q5_1 *block, uint8_t *u, float *s, float *m) {
    store32(u, five_bits(block->qs, block->qh));
    ew__unpack_fill(s, m, 2, half_at(block->d), half_at(block->m));
}

/* Two bits of each of 32 bytes, from bit 2 j on. */
static inline __m256i two_bits(__m256i x, int j) {
    return _mm256_and_si256(_mm256_srli_epi16(x, 2 * j), _mm256_set1_epi8(3));
}

static inline void q2_k_scales(const struct ew__block_q2_k *block, float *s, float *m) {
    __m256 d = _mm256_set1_ps(half_at(block->d)), dmin = _mm256_set1_ps(-half_at(block->dmin));
    uint8_t parts[32]; /* scales, then minima */
    store32(parts, split_nibbles(block->scales));
    for (size_t g = 0; g < 16; g += 8) {
        _mm256_storeu_ps(s + g, _mm256_mul_ps(d, floats_of_u8(parts + g)));
        _mm256_storeu_ps(m + g, _mm256_mul_ps(dmin, floats_of_u8(parts + 16 + g)));
    }
}

static inline void q2_k_block(const struct ew__block_q2_k *block, uint8_t *u, float *s, float *m) {
    q2_k_scales(block, s, m);
    for (size_t half = 0; half < 2; half++) {
        __m256i x = load32(block->qs + 32 * half);
        for (int j = 0; j < 4; j++)
            store32(u + 128 * half + 32 * (size_t)j, two_bits(x, j));
    }
}

/* ew__q3k_scales, four scales to a word */
static inline void q3_k_scales(const uint8_t packed[12], int8_t scales[16]) {
    uint32_t a = ew__load_u32(packed), b = ew__load_u32(packed + 4), c = ew__load_u32(packed + 8);
    const uint32_t nibble = 0x0f0f0f0fu, pair = 0x30303030u;
    __m128i x = _mm_set_epi32(
        (int)((b >> 4 & nibble) | (c >> 2 & pair)), (int)((a >> 4 & nibble) | (c & pair)),
        (int)((b & nibble) | (c << 2 & pair)), (int)((a & nibble) | (c << 4 & pair)));
    _mm_storeu_si128((__m128i *)(void *)scales, _mm_sub_epi8(x, _mm_set1_epi8(32)));
}

static inline void q3_k_block(const struct ew__block_q3_k *block, uint8_t *u, float *s, float *m) {
    __m256 d = _mm256_set1_ps(half_at(block->d));
    __m256i high = load32(block->hmask);
    int8_t scales[16];
    q3_k_scales(block->scales, scales);
    for (size_t g = 0; g < 16; g += 8) {
        __m256 scale = _mm256_mul_ps(d, floats_of_i8(scales + g));
        _mm256_storeu_ps(s + g, scale);
        _mm256_storeu_ps(m + g, _mm256_mul_ps(_mm256_set1_ps(-4.0f), scale));
    }
    for (size_t half = 0; half < 2; half++) {
        __m256i x = load32(block->qs + 32 * half);
        for (int j = 0; j < 4; j++) {
            __m256i third = _mm256_and_si256(high, _mm256_set1_epi8(1));
            store32(u + 128 * half + 32 * (size_t)j,
                    _mm256_or_si256(two_bits(x, j), _mm256_slli_epi16(third, 2)));
            high = _mm256_srli_epi16(high, 1);
        }
    }
}

EW__UNPACK_KERNEL(q4_1, EW__QK)
EW__UNPACK_KERNEL(q5_0, EW__QK)
EW__UNPACK_KERNEL(q5_1, EW__QK)
EW__UNPACK_KERNEL(q2_k, EW__QKK)
EW__UNPACK_KERNEL(q3_k, EW__QKK)
