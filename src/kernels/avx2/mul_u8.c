// SPDX-License-Identifier: Apache-2.0
/* Byte weights times int8 activations. VPMADDUBSW adds two products u * q in 16 bits and saturates:
 * with u <= 127 (narrow rows) two products are at most 2 * 127 * 127 < 2^15. Wider bytes go in as
 * their low seven bits and their top bit; 2 * 128 * 127 < 2^15 as well.
 *
 * Order of one output element: blocks of 32 in rising order, each adding (dot of 4 bytes * s) * d
 * to the lane of those bytes; then the products m * sum in vectors of 8 groups (the last of 4), in
 * the same lanes; then halves onto halves. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/vec.h"
#include "kernels/simd/unroll.h"

#define MUL_U8_ROWS   2
#define MUL_U8_TOKENS 2

/* Two scales, one for each group of 16, to the four lanes of each group. */
EW__INLINE __m256 spread_groups(const float *s) {
    return _mm256_set_m128(_mm_set1_ps(s[1]), _mm_set1_ps(s[0]));
}

/* Sums of four products each. */
EW__INLINE __m256i dots_of(bool narrow, __m256i u, __m256i q) {
    const __m256i ones = _mm256_set1_epi16(1);
    if (narrow)
        return _mm256_madd_epi16(_mm256_maddubs_epi16(u, q), ones);
    const __m256i top = _mm256_set1_epi8(-128);
    __m256i low = _mm256_maddubs_epi16(_mm256_andnot_si256(top, u), q);
    __m256i high = _mm256_maddubs_epi16(_mm256_and_si256(top, u), q);
    return _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
}

EW__INLINE __m256i load_bytes(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

EW__INLINE void tile(bool narrow, size_t R, size_t T, const struct ew__urows *w, size_t row,
                     const struct ew__qact *x, size_t token, float *y, size_t ldy) {
    size_t n = w->n_pad, groups = n / 16;
    const uint8_t *u = w->u + row * n;
    const int8_t *q = x->q + token * n;
    const float *s = w->s + row * groups, *m = w->m + row * groups;
    const float *d = x->d + token * (n / 32), *q_sum = x->sum + token * groups;
    __m256 acc[4][2];
    EW__TILE_LOOP
    for (size_t i = 0; i < R; i++) {
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            acc[i][j] = _mm256_setzero_ps();
    }
    for (size_t k = 0; k < n; k += 32) {
        EW__TILE_LOOP
        for (size_t i = 0; i < R; i++) {
            __m256i bytes = load_bytes(u + i * n + k);
            __m256 scale = spread_groups(s + i * groups + k / 16);
            EW__TILE_LOOP
            for (size_t j = 0; j < T; j++) {
                __m256i dots = dots_of(narrow, bytes, load_bytes(q + j * n + k));
                __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), scale);
                __m256 unit = _mm256_broadcast_ss(d + j * (n / 32) + k / 32);
                acc[i][j] = _mm256_fmadd_ps(part, unit, acc[i][j]);
            }
        }
    }
    for (size_t g = 0; g < groups; g += 8) {
        size_t count = groups - g < 8 ? groups - g : 8;
        EW__TILE_LOOP
        for (size_t i = 0; i < R; i++) {
            __m256 offset = vec_load_n(m + i * groups + g, count);
            EW__TILE_LOOP
            for (size_t j = 0; j < T; j++)
                acc[i][j] = vec_fma(offset, vec_load_n(q_sum + j * groups + g, count), acc[i][j]);
        }
    }
    EW__TILE_LOOP
    for (size_t i = 0; i < R; i++) {
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            y[j * ldy + i] = vec_sum(acc[i][j]);
    }
}

EW__INLINE void mul_u8_tile(size_t R, size_t T, const struct ew__urows *w, size_t row,
                            const struct ew__qact *x, size_t token, float *y, size_t ldy) {
    if (w->narrow)
        tile(true, R, T, w, row, x, token, y, ldy);
    else
        tile(false, R, T, w, row, x, token, y, ldy);
}

#include "kernels/simd/mul_u8_rows.inc"
