// SPDX-License-Identifier: Apache-2.0
/* Pieces of the packed kernels (kernels/packed.h): a cell's bytes and scales in registers. `type`
 * is a constant wherever these are used, so that every branch on it folds away. */
#ifndef EW_KERNELS_AVX512_PACKED_H
#define EW_KERNELS_AVX512_PACKED_H

#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "kernels/simd/packed_form.h"
#include "kernels/simd/unroll.h"
#include "quant/blocks.h"

#include <immintrin.h>

/* Integer sums become floats for nothing: a sum that starts at the bits of the float 1.5 * 2^23 and
 * stays within +-2^22 of it is, read as a float, MAGIC + isum. Then
 *     fma(MAGIC + isum, s, -MAGIC * s) = isum * s rounded once,
 * because MAGIC * s is exact: 3 s has two bits more than s, which is a product of a half and at
 * most 8 bits. One operation for conversion and scale. */
#define MAGIC      12582912.0f
#define MAGIC_BITS 0x4b400000

EW__INLINE __m512i nibbles_of(const uint8_t *block, size_t group) {
    __m512i x = _mm512_load_si512(block + 64 * (group & 3));
    x = group < 4 ? x : _mm512_srli_epi16(x, 4);
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
}

/* Bits of bytes, left or (negative) right; bits that cross bytes are the caller's to mask. Spelled
 * out, because compilers disagree on the sign of the intrinsics' counts. */
EW__INLINE __m512i shift_bytes(__m512i x, int left) {
    switch (left) {
    case 4:
        return _mm512_slli_epi16(x, 4);
    case 3:
        return _mm512_slli_epi16(x, 3);
    case 2:
        return _mm512_slli_epi16(x, 2);
    case 1:
        return _mm512_slli_epi16(x, 1);
    case -1:
        return _mm512_srli_epi16(x, 1);
    case -2:
        return _mm512_srli_epi16(x, 2);
    case -3:
        return _mm512_srli_epi16(x, 3);
    default:
        return x;
    }
}

/* u of a column group: byte 4 r + c is row r, column 4 group + c of the block. */
EW__INLINE __m512i group_bytes(ew__dtype type, const uint8_t *block, size_t group) {
    if (type == EW__Q8_0)
        return _mm512_load_si512(block + 64 * group);
    __m512i u = nibbles_of(block, group);
    if (packed_is_levels(type)) {
        __m128i levels = _mm_loadu_si128((const __m128i *)(const void *)ew__iq4_values);
        levels = _mm_add_epi8(levels, _mm_set1_epi8(127));
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(levels), u);
    }
    /* u | (bits shifted to where they belong & their mask) */
    if (packed_bits(type) == 5) {
        __m512i top = shift_bytes(_mm512_load_si512(block + 256), 4 - (int)group);
        return _mm512_ternarylogic_epi32(u, top, _mm512_set1_epi8(16), 0xf8);
    }
    if (packed_bits(type) == 6) {
        __m512i top = _mm512_load_si512(block + 256 + 64 * (group / 4));
        top = shift_bytes(top, 4 - 2 * (int)(group & 3));
        return _mm512_ternarylogic_epi32(u, top, _mm512_set1_epi8(48), 0xf8);
    }
    return u;
}

/* The scales of a cell of 16 rows. */
struct cell_scales {
    __m512 d, m;        /* m: the minimum, or minus dmin */
    uint8_t bytes[256]; /* Q4_K, Q5_K: scales [8][16], minima [8][16] */
};

EW__INLINE __m512 halves_at(const uint8_t *at) {
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)at));
}

EW__INLINE void load_scales(ew__dtype type, const uint8_t *cell, const uint8_t *halves,
                            struct cell_scales *s) {
    s->d = halves_at(halves);
    if (packed_kind(type) == PACKED_MINIMUM)
        s->m = halves_at(halves + 32);
    if (!packed_is_k4(type))
        return;
    s->m = _mm512_sub_ps(_mm512_setzero_ps(), s->m);
    const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15),
                  high2 = _mm512_set1_epi8(48);
    __m512i a = _mm512_load_si512(cell), b = _mm512_load_si512(cell + 64),
            c = _mm512_load_si512(cell + 128);
    __m512i scales = _mm512_and_si512(c, low4);
    __m512i minima = _mm512_and_si512(_mm512_srli_epi16(c, 4), low4);
    scales = _mm512_ternarylogic_epi32(scales, _mm512_srli_epi16(a, 2), high2, 0xf8);
    minima = _mm512_ternarylogic_epi32(minima, _mm512_srli_epi16(b, 2), high2, 0xf8);
    _mm512_storeu_si512(s->bytes, _mm512_and_si512(a, low6));
    _mm512_storeu_si512(s->bytes + 64, scales);
    _mm512_storeu_si512(s->bytes + 128, _mm512_and_si512(b, low6));
    _mm512_storeu_si512(s->bytes + 192, minima);
}

EW__INLINE __m512 bytes_to_floats(const uint8_t *at) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

/* IQ4_XS: 4 low and 2 high bits of scale + 32. */
EW__INLINE __m512 iq4_xs_scale(const uint8_t *cell, const uint8_t *halves, size_t b) {
    __m128i bytes = _mm_load_si128((const __m128i *)(const void *)(cell + 16 * (b / 2)));
    __m256i words = _mm256_load_si256((const __m256i *)(const void *)(halves + 32));
    __m512i low = _mm512_srlv_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(4 * (b & 1)));
    __m512i high = _mm512_srlv_epi32(_mm512_cvtepu16_epi32(words), _mm512_set1_epi32((int)(2 * b)));
    low = _mm512_and_si512(low, _mm512_set1_epi32(15));
    high = _mm512_and_si512(high, _mm512_set1_epi32(3));
    low = _mm512_or_si512(low, _mm512_slli_epi32(high, 4));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(low, _mm512_set1_epi32(32)));
}

/* s of block b of the cell; for Q6_K of its half h. */
EW__INLINE __m512 block_scale(ew__dtype type, const struct cell_scales *s, const uint8_t *cell,
                              const uint8_t *halves, size_t b, size_t h) {
    if (packed_is_k4(type))
        return _mm512_mul_ps(bytes_to_floats(s->bytes + 16 * b), s->d);
    if (type == EW__Q6_K) {
        __m128i bytes = _mm_load_si128((const __m128i *)(const void *)(cell + 32 * b + 16 * h));
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), s->d);
    }
    if (type == EW__IQ4_XS)
        return _mm512_mul_ps(iq4_xs_scale(cell, halves, b), s->d);
    return s->d;
}

EW__INLINE __m512 block_minimum(ew__dtype type, const struct cell_scales *s, size_t b) {
    return packed_is_k4(type) ? _mm512_mul_ps(bytes_to_floats(s->bytes + 128 + 16 * b), s->m)
                              : s->m;
}

/* Lanes of panel `panel` that are rows of a matrix of `rows`. */
EW__INLINE __mmask16 panel_mask(size_t rows, size_t panel) {
    size_t left = rows - panel * EW__PANEL_ROWS;
    return left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
}

#endif
