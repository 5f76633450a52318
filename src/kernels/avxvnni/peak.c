// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: VPDPBUSD for bytes; floats are AVX2's. */
#include "kernels/avxvnni/isa.h"

#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define PEAK_CHAINS 12u

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile int sink;
    __m256i acc[PEAK_CHAINS], u = _mm256_set1_epi8(3), q = _mm256_set1_epi8(-1);
    EW__TILE_LOOP
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = _mm256_set1_epi32((int)i);
    for (uint64_t round = 0; round < rounds; round++) {
        EW__TILE_LOOP
        for (size_t i = 0; i < PEAK_CHAINS; i++)
            acc[i] = _mm256_dpbusd_avx_epi32(acc[i], u, q);
    }
    for (size_t i = 1; i < PEAK_CHAINS; i++)
        acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    sink = _mm256_extract_epi32(acc[0], 0);
    (void)sink;
    return rounds * PEAK_CHAINS * 32 * 2;
}
