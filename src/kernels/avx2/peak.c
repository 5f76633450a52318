// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and for bytes the three instructions that a dot
 * product takes without VNNI. */
#include "kernels/avx2/isa.h"

#include "kernels/avx2/vec.h"

#include "kernels/simd/peak.inc"

#define BYTE_CHAINS 8u

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile int sink;
    __m256i acc[BYTE_CHAINS], u = _mm256_set1_epi8(3), q = _mm256_set1_epi8(-1);
    const __m256i ones = _mm256_set1_epi16(1);
    EW__TILE_LOOP
    for (size_t i = 0; i < BYTE_CHAINS; i++)
        acc[i] = _mm256_set1_epi32((int)i);
    for (uint64_t round = 0; round < rounds; round++) {
        EW__TILE_LOOP
        for (size_t i = 0; i < BYTE_CHAINS; i++) {
            __asm__ volatile("" : "+x"(u)); /* no instruction: the product is not loop-invariant */
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(_mm256_maddubs_epi16(u, q), ones));
        }
    }
    for (size_t i = 1; i < BYTE_CHAINS; i++)
        acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    sink = _mm256_extract_epi32(acc[0], 0);
    (void)sink;
    return rounds * BYTE_CHAINS * 32 * 2;
}
