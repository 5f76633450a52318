// SPDX-License-Identifier: Apache-2.0
/* Attention over one span of positions, and the merge of two spans' results. */
#include "kernels/scalar/isa.h"

#include "kernels/half.h"

#include <math.h>

static float kv_at(const void *base, ew__dtype type, size_t i) {
    return type == EW__F16 ? ew__f16_at(base, i) : ew__f32_at(base, i);
}

static float scores(const float *q, const struct ew__kv_view *kv, size_t n, size_t d, float *p) {
    float max = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (size_t k = 0; k < d; k++)
            sum += q[k] * kv_at(kv->k, kv->type, j * d + k);
        p[j] = sum;
        max = sum > max ? sum : max;
    }
    return max;
}

void K(attend_span)(const float *q, size_t ldq, size_t g, const struct ew__kv_view *kv, size_t n,
                    size_t d, float *p, float *max, float *sum, float *o, size_t ldo) {
    for (size_t i = 0; i < g; i++) {
        max[i] = scores(q + i * ldq, kv, n, d, p);
        sum[i] = 0;
        for (size_t j = 0; j < n; j++) {
            p[j] = expf(p[j] - max[i]);
            sum[i] += p[j];
        }
        for (size_t k = 0; k < d; k++) {
            float total = 0;
            for (size_t j = 0; j < n; j++)
                total += p[j] * kv_at(kv->v, kv->type, j * d + k);
            o[i * ldo + k] = total;
        }
    }
}

void K(attend_merge)(float *o, float *max, float *sum, const float *span, float m, float s,
                     size_t d) {
    float top = m > *max ? m : *max;
    float a = expf(*max - top), b = expf(m - top);
    for (size_t k = 0; k < d; k++)
        o[k] = o[k] * a + span[k] * b;
    *sum = *sum * a + s * b;
    *max = top;
}
