// SPDX-License-Identifier: Apache-2.0
/* Activations f32 -> int8: bit-equal to the scalar twin, division included. */
#include "kernels/avx2/isa.h"

#include <immintrin.h>
#include <string.h>

/* Largest |x| of 32; NaN loses, because max gives its second operand. */
static float largest(const float *x) {
    const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 max = _mm256_setzero_ps();
    for (size_t i = 0; i < 32; i += 8)
        max = _mm256_max_ps(_mm256_and_ps(_mm256_loadu_ps(x + i), no_sign), max);
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(max), _mm256_extractf128_ps(max, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static __m256i quantise8(const float *x, __m256 d) {
    __m256 q = _mm256_div_ps(_mm256_loadu_ps(x), d);
    q = _mm256_max_ps(q, _mm256_set1_ps(-127.0f)); /* NaN gives the second operand */
    q = _mm256_min_ps(q, _mm256_set1_ps(127.0f));
    return _mm256_cvtps_epi32(q);
}

/* 16 bytes from 16 values, and their sum. */
static int16_t quantise16(const float *x, __m256 d, int8_t *q) {
    __m256i words = _mm256_packs_epi32(quantise8(x, d), quantise8(x + 8, d));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
    _mm_storeu_si128((__m128i *)(void *)q, _mm_packs_epi16(low, high));
    __m128i sum = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
    sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1));
    return (int16_t)_mm_cvtsi128_si32(sum);
}

void K(quantise_act)(const float *x, size_t n, size_t n_pad, int8_t *q, float *d, float *sum,
                     int16_t *isum, float *dsum) {
    for (size_t b = 0; b < n / 32; b++) {
        d[b] = largest(x + 32 * b) / 127.0f;
        if (d[b] != 0) {
            __m256 scale = _mm256_set1_ps(d[b]);
            isum[2 * b] = quantise16(x + 32 * b, scale, q + 32 * b);
            isum[2 * b + 1] = quantise16(x + 32 * b + 16, scale, q + 32 * b + 16);
        } else {
            memset(q + 32 * b, 0, 32);
            isum[2 * b] = isum[2 * b + 1] = 0;
        }
    }
    for (size_t b = n / 32; b < n_pad / 32; b++) {
        memset(q + 32 * b, 0, 32);
        d[b] = 0;
        isum[2 * b] = isum[2 * b + 1] = 0;
    }
    for (size_t b = 0; b < n_pad / 32; b++) {
        sum[2 * b] = d[b] * (float)isum[2 * b];
        sum[2 * b + 1] = d[b] * (float)isum[2 * b + 1];
        dsum[b] = d[b] * (float)(isum[2 * b] + isum[2 * b + 1]);
    }
}

void K(quantise_left)(const float *x, const int8_t *q, const float *d, float *y, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(q + i));
        __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                                    _mm256_set1_ps(d[i / 32]));
        _mm256_storeu_ps(y + i, _mm256_sub_ps(_mm256_loadu_ps(x + i), part));
    }
}
