// SPDX-License-Identifier: Apache-2.0
/* RMS, L2 and layer normalisation. */
#include "kernels/scalar/isa.h"

#include <math.h>

void K(rms_norm)(const float *x, const float *w, float *y, size_t n, float eps) {
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    float factor = 1.0f / sqrtf(sum / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factor * w[i];
}

void K(l2_norm)(float *x, size_t n, float eps, float scale) {
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    float factor = scale / sqrtf(sum + eps);
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

void K(layer_norm)(const float *x, const float *w, const float *b, float *y, size_t n, float eps) {
    float sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    float mean = sum / (float)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    float factor = 1.0f / sqrtf(square / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * factor * w[i] + b[i];
}
