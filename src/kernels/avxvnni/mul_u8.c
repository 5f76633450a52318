// SPDX-License-Identifier: Apache-2.0
#include "kernels/avxvnni/isa.h"

#include "kernels/avx2/vec.h"
#include "kernels/simd/unroll.h"

EW__INLINE __m256i dots_of(bool narrow, __m256i u, __m256i q) {
    (void)narrow;
    return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), u, q);
}

#include "kernels/avx2/mul_u8_tile.inc"
