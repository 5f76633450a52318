// SPDX-License-Identifier: Apache-2.0
/* Activations f32 -> int8 with a scale per 32, and f32 -> half. */
#include "kernels/scalar/isa.h"

#include "kernels/half.h"

#include <math.h>
#include <string.h>

/* Nearest even in [-127, 127]. The bounds bite only where d is subnormal and so has lost bits, or
 * where x is not finite (NaN gives -127, as the vector instructions do). */
static int8_t quantise(float x, float d) {
    float q = rintf(x / d);
    q = q > -127.0f ? q : -127.0f;
    q = q < 127.0f ? q : 127.0f;
    return (int8_t)q;
}

static float quantise_block(const float *x, int8_t *q) {
    float max = 0;
    for (size_t i = 0; i < 32; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    float d = max / 127.0f;
    for (size_t i = 0; i < 32; i++)
        q[i] = d == 0 ? 0 : quantise(x[i], d);
    return d;
}

void K(quantise_act)(const float *x, size_t n, size_t n_pad, int8_t *q, float *d, float *sum,
                     int16_t *isum, float *dsum) {
    for (size_t b = 0; b < n / 32; b++)
        d[b] = quantise_block(x + 32 * b, q + 32 * b);
    memset(q + n, 0, n_pad - n);
    for (size_t b = n / 32; b < n_pad / 32; b++)
        d[b] = 0;
    for (size_t g = 0; g < n_pad / 16; g++) {
        int32_t total = 0;
        for (size_t i = 0; i < 16; i++)
            total += q[16 * g + i];
        isum[g] = (int16_t)total;
        sum[g] = d[g / 2] * (float)total;
    }
    for (size_t b = 0; b < n_pad / 32; b++)
        dsum[b] = d[b] * (float)(isum[2 * b] + isum[2 * b + 1]);
}

void K(quantise_left)(const float *x, const int8_t *q, const float *d, float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] - d[i / 32] * (float)q[i];
}

void K(to_f16)(const float *x, uint16_t *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = ew__half_of(x[i]);
}
