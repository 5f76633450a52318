// SPDX-License-Identifier: Apache-2.0
/* Byte form of the types that published checkpoints use most; AVX-512 keeps the
 * versions of this folder, for the work is bound by loads and stores. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/bytes.h"
#include "kernels/unpack.h"

static inline __m256i iq4_levels(__m256i nibbles) {
    const __m128i table = _mm_add_epi8(load16(ew__iq4_values), _mm_set1_epi8(127));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}
/* s = d and m = offset * d of eight blocks of 32, whose halves lie `stride` bytes apart. */
static inline void eight_scales(const uint8_t *d, size_t stride, float offset, float *s, float *m) {
    __m128i halves = _mm_cvtsi32_si128(ew__load_u16(d));
    halves = _mm_insert_epi16(halves, ew__load_u16(d + stride), 1);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 2 * stride), 2);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 3 * stride), 3);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 4 * stride), 4);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 5 * stride), 5);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 6 * stride), 6);
    halves = _mm_insert_epi16(halves, ew__load_u16(d + 7 * stride), 7);
    __m256 x = _mm256_cvtph_ps(halves);
    store_twice(s, x);
    store_twice(m, _mm256_mul_ps(_mm256_set1_ps(offset), x));
}

/* The kernel of a type of 32 elements with one half and value d (u + offset): eight blocks at a
 * time, the scales together. */
#define EIGHT_BLOCKS(suffix, offset)                                                               \
    void K(unpack_##suffix)(const void *row, size_t n, size_t n_pad, uint8_t *u, float *s,         \
                            float *m) {                                                            \
        const struct ew__block_##suffix *block = row;                                              \
        size_t i = 0;                                                                              \
        for (; i + 8 * EW__QK <= n; i += 8 * EW__QK, block += 8) {                                 \
            ew__unpack_prefetch(block, 8 * sizeof *block);                                         \
            for (size_t b = 0; b < 8; b++)                                                         \
                store32(u + i + EW__QK * b, suffix##_bytes(block + b));                            \
            eight_scales(block->d, sizeof *block, offset, s + i / 16, m + i / 16);                 \
        }                                                                                          \
        for (; i < n; i += EW__QK, block++) {                                                      \
            float d = half_at(block->d);                                                           \
            store32(u + i, suffix##_bytes(block));                                                 \
            ew__unpack_fill(s + i / 16, m + i / 16, 2, d, (offset)*d);                             \
        }                                                                                          \
        ew__unpack_tail(n, n_pad, u, s, m);                                                        \
    }

static inline __m256i q4_0_bytes(const struct ew__block_q4_0 *block) {
    return split_nibbles(block->qs);
}
EIGHT_BLOCKS(q4_0, -8.0f)

static inline __m256i q8_0_bytes(const struct ew__block_q8_0 *block) {
    return _mm256_xor_si256(load32(block->qs), _mm256_set1_epi8(-128));
}
EIGHT_BLOCKS(q8_0, -128.0f)

static inline __m256i iq4_nl_bytes(const struct ew__block_iq4_nl *block) {
    return iq4_levels(split_nibbles(block->qs));
}
EIGHT_BLOCKS(iq4_nl, -127.0f)

/* ew__k4_scale_min for all eight sub-blocks: three words of packed 6-bit fields a, b, c; the first
 * four scales are the low six bits of a, the other four c's low nibbles with a's top bits. */
static inline void k4_scales(const uint8_t d[2], const uint8_t dmin[2], const uint8_t packed[12],
                             float *s, float *m) {
    uint32_t a = ew__load_u32(packed), b = ew__load_u32(packed + 4), c = ew__load_u32(packed + 8);
    uint64_t scales = (a & 0x3f3f3f3fu) | (uint64_t)((c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u))
                                              << 32;
    uint64_t minima =
        (b & 0x3f3f3f3fu) | (uint64_t)((c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u)) << 32;
    __m256i scale = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)scales));
    __m256i minimum = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)minima));
    store_twice(s, _mm256_mul_ps(_mm256_set1_ps(half_at(d)), _mm256_cvtepi32_ps(scale)));
    /* the sign goes onto the unit: -(dmin * minimum), also for minimum 0 */
    store_twice(m, _mm256_mul_ps(_mm256_set1_ps(-half_at(dmin)), _mm256_cvtepi32_ps(minimum)));
}

static inline void q4_k_block(const struct ew__block_q4_k *block, uint8_t *u, float *s, float *m) {
    k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t p = 0; p < 4; p++) {
        __m256i x = load32(block->qs + 32 * p);
        store32(u + 64 * p, low_nibbles(x));
        store32(u + 64 * p + 32, high_nibbles(x));
    }
}

static inline void q5_k_block(const struct ew__block_q5_k *block, uint8_t *u, float *s, float *m) {
    const __m256i one = _mm256_set1_epi8(1);
    __m256i high = load32(block->qh);
    k4_scales(block->d, block->dmin, block->scales, s, m);
    for (size_t p = 0; p < 4; p++) {
        __m256i x = load32(block->qs + 32 * p);
        __m256i fifth = _mm256_slli_epi16(_mm256_and_si256(high, one), 4);
        store32(u + 64 * p, _mm256_or_si256(low_nibbles(x), fifth));
        high = _mm256_srli_epi16(high, 1);
        fifth = _mm256_slli_epi16(_mm256_and_si256(high, one), 4);
        store32(u + 64 * p + 32, _mm256_or_si256(high_nibbles(x), fifth));
        high = _mm256_srli_epi16(high, 1);
    }
}

static inline void q6_k_scales(const struct ew__block_q6_k *block, float *s, float *m) {
    __m256 d = _mm256_set1_ps(half_at(block->d));
    for (size_t g = 0; g < 16; g += 8) {
        __m256 x = _mm256_mul_ps(d, floats_of_i8(block->scales + g));
        _mm256_storeu_ps(s + g, x);
        _mm256_storeu_ps(m + g, _mm256_mul_ps(_mm256_set1_ps(-32.0f), x));
    }
}

static inline void q6_k_block(const struct ew__block_q6_k *block, uint8_t *u, float *s, float *m) {
    const __m256i two_bits = _mm256_set1_epi8(0x30);
    q6_k_scales(block, s, m);
    for (size_t half = 0; half < 2; half++) {
        __m256i a = load32(block->ql + 64 * half), b = load32(block->ql + 64 * half + 32);
        __m256i high = load32(block->qh + 32 * half);
        __m256i h0 = _mm256_and_si256(_mm256_slli_epi16(high, 4), two_bits);
        __m256i h1 = _mm256_and_si256(_mm256_slli_epi16(high, 2), two_bits);
        __m256i h2 = _mm256_and_si256(high, two_bits);
        __m256i h3 = _mm256_and_si256(_mm256_srli_epi16(high, 2), two_bits);
        uint8_t *out = u + 128 * half;
        store32(out, _mm256_or_si256(low_nibbles(a), h0));
        store32(out + 32, _mm256_or_si256(low_nibbles(b), h1));
        store32(out + 64, _mm256_or_si256(high_nibbles(a), h2));
        store32(out + 96, _mm256_or_si256(high_nibbles(b), h3));
    }
}

/* ew__iq4xs_scale for all eight sub-blocks */
static inline void iq4_xs_scales(const struct ew__block_iq4_xs *block, float *s, float *m) {
    uint32_t packed = ew__load_u32(block->scales_l);
    __m128i low = _mm_cvtsi32_si128((int)(packed & 0x0f0f0f0fu));
    __m128i odd = _mm_cvtsi32_si128((int)(packed >> 4 & 0x0f0f0f0fu));
    __m256i nibbles = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(low, odd));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(ew__load_u16(block->scales_h)),
                                     _mm256_set_epi32(14, 12, 10, 8, 6, 4, 2, 0));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256i scale = _mm256_sub_epi32(_mm256_or_si256(nibbles, high), _mm256_set1_epi32(32));
    __m256 x = _mm256_mul_ps(_mm256_set1_ps(half_at(block->d)), _mm256_cvtepi32_ps(scale));
    store_twice(s, x);
    store_twice(m, _mm256_mul_ps(_mm256_set1_ps(-127.0f), x));
}

static inline void iq4_xs_block(const struct ew__block_iq4_xs *block, uint8_t *u, float *s,
                                float *m) {
    for (size_t b = 0; b < 8; b++)
        store32(u + 32 * b, iq4_levels(split_nibbles(block->qs + 16 * b)));
    iq4_xs_scales(block, s, m);
}

EW__UNPACK_KERNEL(q4_k, EW__QKK)
EW__UNPACK_KERNEL(q5_k, EW__QKK)
EW__UNPACK_KERNEL(q6_k, EW__QKK)
EW__UNPACK_KERNEL(iq4_xs, EW__QKK)
