// SPDX-License-Identifier: Apache-2.0
/* Activations f32 -> int8: bit-equal to the scalar twin, division included. */
#include "kernels/avx512/isa.h"

#include <immintrin.h>
#include <string.h>

static float largest(__m512 a, __m512 b) {
    return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
}

static __m128i quantise16(__m512 x, __m512 d) {
    __m512 q = _mm512_div_ps(x, d);
    q = _mm512_max_ps(q, _mm512_set1_ps(-127.0f)); /* NaN gives the second operand */
    q = _mm512_min_ps(q, _mm512_set1_ps(127.0f));
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(q));
}

static int16_t sum16(__m128i q) {
    return (int16_t)_mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(q));
}

static void quantise_block(const float *x, int8_t *q, float *d, float *sum, int16_t *isum,
                           float *dsum) {
    /* NaN loses against 0: max gives its second operand */
    __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16), zero = _mm512_setzero_ps();
    float scale =
        largest(_mm512_max_ps(_mm512_abs_ps(a), zero), _mm512_max_ps(_mm512_abs_ps(b), zero)) /
        127.0f;
    __m128i qa = _mm_setzero_si128(), qb = qa;
    if (scale != 0) {
        qa = quantise16(a, _mm512_set1_ps(scale));
        qb = quantise16(b, _mm512_set1_ps(scale));
    }
    _mm_storeu_si128((__m128i *)(void *)q, qa);
    _mm_storeu_si128((__m128i *)(void *)(q + 16), qb);
    *d = scale;
    isum[0] = sum16(qa);
    isum[1] = sum16(qb);
    sum[0] = scale * (float)isum[0];
    sum[1] = scale * (float)isum[1];
    *dsum = scale * (float)(isum[0] + isum[1]);
}

void K(quantise_act)(const float *x, size_t n, size_t n_pad, int8_t *q, float *d, float *sum,
                     int16_t *isum, float *dsum) {
    for (size_t b = 0; b < n / 32; b++)
        quantise_block(x + 32 * b, q + 32 * b, d + b, sum + 2 * b, isum + 2 * b, dsum + b);
    for (size_t b = n / 32; b < n_pad / 32; b++) {
        memset(q + 32 * b, 0, 32);
        d[b] = dsum[b] = sum[2 * b] = sum[2 * b + 1] = 0;
        isum[2 * b] = isum[2 * b + 1] = 0;
    }
}

void K(quantise_left)(const float *x, const int8_t *q, const float *d, float *y, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(q + i));
        __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)),
                                    _mm512_set1_ps(d[i / 32]));
        _mm512_storeu_ps(y + i, _mm512_sub_ps(_mm512_loadu_ps(x + i), part));
    }
}
