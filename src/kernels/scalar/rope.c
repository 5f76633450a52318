// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/isa.h"

void K(rope)(float *x, const float *c, const float *s, size_t half) {
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half];
        x[i] = a * c[i] - b * s[i];
        x[i + half] = b * c[i] + a * s[i];
    }
}
