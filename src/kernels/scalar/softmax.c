// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/isa.h"

#include <math.h>

float K(softmax)(const float *x, float *y, size_t n) {
    float max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) {
        y[i] = expf(x[i] - max);
        sum += y[i];
    }
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
    return sum;
}

size_t K(argmax)(const float *x, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (best == n ? x[i] == x[i] : x[i] > x[best])
            best = i;
    }
    return best == n ? 0 : best;
}
