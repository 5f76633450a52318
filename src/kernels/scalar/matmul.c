// SPDX-License-Identifier: Apache-2.0
/* Weight rows times activations: the definition. Sums run over k in rising order. */
#include "kernels/scalar/isa.h"

#include "kernels/half.h"

#define MUL(name, element, at)                                                                     \
    void K(name)(const element *w, size_t ldw, size_t r, const float *x, size_t ldx, size_t t,     \
                 float *y, size_t ldy, size_t n) {                                                 \
        for (size_t j = 0; j < t; j++) {                                                           \
            for (size_t i = 0; i < r; i++) {                                                       \
                float sum = 0;                                                                     \
                for (size_t k = 0; k < n; k++)                                                     \
                    sum += at(w, i * ldw + k) * x[j * ldx + k];                                    \
                y[j * ldy + i] = sum;                                                              \
            }                                                                                      \
        }                                                                                          \
    }

MUL(mul_f32, float, ew__f32_at)
MUL(mul_f16, uint16_t, ew__f16_at)
MUL(mul_bf16, uint16_t, ew__bf16_at)

static int32_t dot16(const uint8_t *u, const int8_t *q) {
    int32_t sum = 0;
    for (size_t k = 0; k < 16; k++)
        sum += u[k] * q[k];
    return sum;
}

void K(mul_u8)(const struct ew__urows *w, size_t r, const struct ew__qact *x, size_t t0, size_t t,
               float *y, size_t ldy) {
    size_t n = w->n_pad, groups = n / 16;
    for (size_t j = 0; j < t; j++) {
        const int8_t *q = x->q + (t0 + j) * n;
        const float *d = x->d + (t0 + j) * (n / 32);
        const float *q_sum = x->sum + (t0 + j) * groups;
        for (size_t i = 0; i < r; i++) {
            const uint8_t *u = w->u + i * n;
            const float *s = w->s + i * groups, *m = w->m + i * groups;
            float sum = 0;
            for (size_t g = 0; g < groups; g++)
                sum += d[g / 2] * (s[g] * (float)dot16(u + 16 * g, q + 16 * g)) + m[g] * q_sum[g];
            y[j * ldy + i] = sum;
        }
    }
}
