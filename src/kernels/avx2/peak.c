// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and for bytes the three instructions that a dot
 * product takes without VNNI. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/peak.h"
#include "kernels/avx2/vec.h"
#include "kernels/simd/unroll.h"

#include "kernels/simd/peak.inc"

#define BYTE_CHAINS 8u

EW__INLINE sums sums_dot(sums acc, bytes u, bytes q) {
    __m256i pairs = _mm256_maddubs_epi16(u, q);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "kernels/simd/peak_i8.inc"
