// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and VPDPBUSD for bytes. */
#include "kernels/avx512/isa.h"

#include "kernels/avx512/vec.h"

#include "kernels/simd/peak.inc"

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile int sink;
    __m512i acc[PEAK_CHAINS], u = _mm512_set1_epi8(3), q = _mm512_set1_epi8(-1);
    __m512i sum = _mm512_setzero_si512();
    EW__TILE_LOOP
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = _mm512_set1_epi32((int)i);
    for (uint64_t round = 0; round < rounds; round++) {
        EW__TILE_LOOP
        for (size_t i = 0; i < PEAK_CHAINS; i++)
            acc[i] = _mm512_dpbusd_epi32(acc[i], u, q);
    }
    EW__TILE_LOOP
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        sum = _mm512_add_epi32(sum, acc[i]);
    sink = _mm512_reduce_add_epi32(sum);
    (void)sink;
    return rounds * PEAK_CHAINS * 64 * 2;
}
