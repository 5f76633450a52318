// SPDX-License-Identifier: Apache-2.0
/* VPMADDUBSW adds two products u * q in 16 bits and saturates: with u <= 127 (narrow rows) two
 * products are at most 2 * 127 * 127 < 2^15. Wider bytes go in as their low seven bits and their
 * top bit; 2 * 128 * 127 < 2^15 as well. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/vec.h"
#include "kernels/simd/unroll.h"

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

#include "kernels/avx2/mul_u8_tile.inc"
