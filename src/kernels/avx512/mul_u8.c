// SPDX-License-Identifier: Apache-2.0
/* Byte weights times int8 activations with VNNI. Order of one output element: blocks of 64 in
 * rising order, each adding (dot of 4 bytes * s) * d to the lane of those bytes; then the products
 * m * sum in vectors of 16 groups, in the same lanes; then halves onto halves. */
#include "kernels/avx512/isa.h"

#include "kernels/avx512/vec.h"
#include "kernels/simd/unroll.h"

#define MUL_U8_ROWS   4
#define MUL_U8_TOKENS 4

/* Four scales, one for each group of 16, to the four lanes of each group. */
EW__INLINE __m512 spread_groups(const float *s) {
    const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(s)), lanes);
}

/* Two scales, one for each block of 32, to the eight lanes of each block. */
EW__INLINE __m512 spread_blocks(const float *d) {
    const __m512i lanes = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    __m128 pair = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)d));
    return _mm512_permutevar_ps(_mm512_broadcast_f32x4(pair), lanes);
}

EW__INLINE void mul_u8_tile(size_t R, size_t T, const struct ew__urows *w, size_t row,
                            const struct ew__qact *x, size_t token, float *y, size_t ldy) {
    size_t n = w->n_pad, groups = n / 16;
    const uint8_t *u = w->u + row * n;
    const int8_t *q = x->q + token * n;
    const float *s = w->s + row * groups, *m = w->m + row * groups;
    const float *d = x->d + token * (n / 32), *q_sum = x->sum + token * groups;
    __m512 acc[4][4], scale[4];
    __m512i bytes[4];
    EW__TILE_LOOP
    for (size_t i = 0; i < R; i++) {
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            acc[i][j] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < n; k += 64) {
        EW__TILE_LOOP
        for (size_t i = 0; i < R; i++) {
            bytes[i] = _mm512_loadu_si512(u + i * n + k);
            scale[i] = spread_groups(s + i * groups + k / 16);
        }
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++) {
            __m512i values = _mm512_loadu_si512(q + j * n + k);
            __m512 unit = spread_blocks(d + j * (n / 32) + k / 32);
            EW__TILE_LOOP
            for (size_t i = 0; i < R; i++) {
                __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes[i], values);
                __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), scale[i]);
                acc[i][j] = _mm512_fmadd_ps(part, unit, acc[i][j]);
            }
        }
    }
    for (size_t g = 0; g < groups; g += 16) {
        size_t count = groups - g < 16 ? groups - g : 16;
        EW__TILE_LOOP
        for (size_t i = 0; i < R; i++) {
            __m512 offset = vec_load_n(m + i * groups + g, count);
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

#include "kernels/simd/mul_u8_rows.inc"
