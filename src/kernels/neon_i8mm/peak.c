// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: SMMLA for bytes; floats are NEON's. */
#include "kernels/neon_i8mm/isa.h"

#include "kernels/simd/unroll.h"

#include <arm_neon.h>

#define PEAK_CHAINS 12u

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile int32_t sink;
    int32x4_t acc[PEAK_CHAINS];
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-1);
    EW__TILE_LOOP
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = vdupq_n_s32((int32_t)i);
    for (uint64_t round = 0; round < rounds; round++) {
        EW__TILE_LOOP
        for (size_t i = 0; i < PEAK_CHAINS; i++)
            acc[i] = vmmlaq_s32(acc[i], a, b);
    }
    for (size_t i = 1; i < PEAK_CHAINS; i++)
        acc[0] = vaddq_s32(acc[0], acc[i]);
    sink = vaddvq_s32(acc[0]);
    (void)sink;
    return rounds * PEAK_CHAINS * 32 * 2;
}
