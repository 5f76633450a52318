// SPDX-License-Identifier: Apache-2.0
/* What plain C does on registers: multiplies and adds, one number at a time. */
#include "kernels/scalar/isa.h"

#define PEAK_CHAINS 8u

/* The factor is volatile so that the multiplication cannot become something else. */
#define PEAK(name, number, factor, addend)                                                         \
    uint64_t K(name)(uint64_t rounds) {                                                            \
        volatile number by = factor, sink;                                                         \
        number acc[PEAK_CHAINS], x = by;                                                           \
        for (size_t i = 0; i < PEAK_CHAINS; i++)                                                   \
            acc[i] = (number)i;                                                                    \
        for (uint64_t round = 0; round < rounds; round++)                                          \
            for (size_t i = 0; i < PEAK_CHAINS; i++)                                               \
                acc[i] = acc[i] * x + addend;                                                      \
        for (size_t i = 1; i < PEAK_CHAINS; i++)                                                   \
            acc[0] += acc[i];                                                                      \
        sink = acc[0];                                                                             \
        (void)sink;                                                                                \
        return rounds * PEAK_CHAINS * 2;                                                           \
    }
PEAK(peak_f32, float, 0.5f, 0.25f)
PEAK(peak_i8, uint32_t, 3, 1)
