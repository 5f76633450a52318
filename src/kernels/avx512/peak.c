// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and VPDPBUSD for bytes. */
#include "kernels/avx512/isa.h"

#include "kernels/avx512/vec.h"

#include "kernels/simd/peak.inc"

#define BYTE_CHAINS   12u
#define BYTE_PRODUCTS 64u
#define REGISTER      "+v"

typedef __m512i sums, bytes;
#define bytes_set(b)        _mm512_set1_epi8(b)
#define sums_set(i)         _mm512_set1_epi32(i)
#define sums_dot(acc, u, q) _mm512_dpbusd_epi32(acc, u, q)
#define sums_add(a, b)      _mm512_add_epi32(a, b)
#define sums_first(a)       _mm512_cvtsi512_si32(a)

#include "kernels/simd/peak_i8.inc"
