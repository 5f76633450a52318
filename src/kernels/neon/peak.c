// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and for bytes widening products added in pairs. */
#include "kernels/neon/isa.h"

#include "kernels/neon/vec.h"

#include "kernels/simd/peak.inc"

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile int32_t sink;
    int32x4_t acc[PEAK_CHAINS];
    int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-1);
    EW__TILE_LOOP
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = vdupq_n_s32((int32_t)i);
    for (uint64_t round = 0; round < rounds; round++) {
        EW__TILE_LOOP
        for (size_t i = 0; i < PEAK_CHAINS; i++) {
            __asm__ volatile("" : "+w"(a)); /* no instruction: the product is not loop-invariant */
            int16x8_t pairs = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            acc[i] = vpadalq_s16(acc[i], vmlal_s8(pairs, vget_high_s8(a), vget_high_s8(b)));
        }
    }
    for (size_t i = 1; i < PEAK_CHAINS; i++)
        acc[0] = vaddq_s32(acc[0], acc[i]);
    sink = vaddvq_s32(acc[0]);
    (void)sink;
    return rounds * PEAK_CHAINS * 16 * 2;
}
