// SPDX-License-Identifier: Apache-2.0
/* Element-wise functions: activations, gates, addition, scaling. */
#include "kernels/scalar/isa.h"

#include <math.h>

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

void K(add)(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

void K(scale)(const float *x, float a, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * a;
}

void K(silu_mul)(const float *gate, const float *up, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void K(sigmoid_mul)(const float *x, const float *gate, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * sigmoid(gate[i]);
}

/* 0.5 (1 + tanh(z)) = sigmoid(2z), which keeps its relative precision where tanh nears -1. */
void K(gelu_tanh)(const float *x, float *y, size_t n) {
    const float root = 0.797884560802865356f; /* sqrt(2/pi) */
    for (size_t i = 0; i < n; i++) {
        float z = root * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        y[i] = x[i] * sigmoid(2.0f * z);
    }
}

/* 0.5 (1 + erf(x/sqrt 2)) = 0.5 erfc(-x/sqrt 2), for the same reason. */
void K(gelu_erf)(const float *x, float *y, size_t n) {
    const float root = 0.707106781186547524f; /* 1/sqrt(2) */
    for (size_t i = 0; i < n; i++)
        y[i] = 0.5f * x[i] * erfcf(-x[i] * root);
}
