// SPDX-License-Identifier: Apache-2.0
/* Words of simd/peak_i8.inc for 256-bit registers. */
#ifndef EW_KERNELS_AVX2_PEAK_H
#define EW_KERNELS_AVX2_PEAK_H

#include <immintrin.h>
#include <stdint.h>

#define BYTE_PRODUCTS 32u
#define REGISTER      "+x"

typedef __m256i sums, bytes;
#define bytes_set(b)   _mm256_set1_epi8(b)
#define sums_set(i)    _mm256_set1_epi32(i)
#define sums_add(a, b) _mm256_add_epi32(a, b)
#define sums_first(a)  _mm256_cvtsi256_si32(a)

#endif
