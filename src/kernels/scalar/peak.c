// SPDX-License-Identifier: Apache-2.0
/* What plain C does on registers: multiplies and adds, one number at a time. */
#include "kernels/scalar/isa.h"

#define PEAK_CHAINS 8u

uint64_t K(peak_f32)(uint64_t rounds) {
    volatile float half = 0.5f, sink;
    float acc[PEAK_CHAINS], factor = half;
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = (float)i;
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < PEAK_CHAINS; i++)
            acc[i] = acc[i] * factor + 0.25f;
    for (size_t i = 1; i < PEAK_CHAINS; i++)
        acc[0] += acc[i];
    sink = acc[0];
    (void)sink;
    return rounds * PEAK_CHAINS * 2;
}

uint64_t K(peak_i8)(uint64_t rounds) {
    volatile uint8_t three = 3;
    volatile uint32_t sink;
    uint32_t acc[PEAK_CHAINS], factor = three;
    for (size_t i = 0; i < PEAK_CHAINS; i++)
        acc[i] = (uint32_t)i;
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < PEAK_CHAINS; i++)
            acc[i] = acc[i] * factor + 1;
    for (size_t i = 1; i < PEAK_CHAINS; i++)
        acc[0] += acc[i];
    sink = acc[0];
    (void)sink;
    return rounds * PEAK_CHAINS * 2;
}
