// SPDX-License-Identifier: Apache-2.0
/* Activations f32 -> int8: bit-equal to the scalar twin, division included. */
#include "kernels/neon/isa.h"

#include "kernels/neon/vec.h"

/* Largest |x| of 32; NaN loses, because vec_max gives its second operand. */
static float largest(const float *x) {
    vec max = vec_zero();
    for (size_t i = 0; i < 32; i += 4)
        max = vec_max(vabsq_f32(vec_load(x + i)), max);
    return vec_top(max);
}

static int16x4_t quantise4(const float *x, vec d) {
    vec q = vec_max(vec_div(vec_load(x), d), vec_set(-127.0f));
    q = vec_min(q, vec_set(127.0f));
    return vmovn_s32(vcvtnq_s32_f32(q));
}

/* 16 bytes from 16 values, and their sum. */
static int16_t quantise16(const float *x, float d, int8_t *q) {
    vec unit = vec_set(d);
    int8x8_t low = vmovn_s16(vcombine_s16(quantise4(x, unit), quantise4(x + 4, unit)));
    int8x8_t high = vmovn_s16(vcombine_s16(quantise4(x + 8, unit), quantise4(x + 12, unit)));
    int8x16_t bytes = vcombine_s8(low, high);
    vst1q_s8(q, bytes);
    return vaddlvq_s8(bytes);
}

void K(quantise_act)(const float *x, size_t n, size_t n_pad, int8_t *q, float *d, float *sum,
                     int16_t *isum, float *dsum) {
    for (size_t b = 0; b < n_pad / 32; b++) {
        d[b] = b < n / 32 ? largest(x + 32 * b) / 127.0f : 0;
        if (d[b] != 0) {
            isum[2 * b] = quantise16(x + 32 * b, d[b], q + 32 * b);
            isum[2 * b + 1] = quantise16(x + 32 * b + 16, d[b], q + 32 * b + 16);
        } else {
            memset(q + 32 * b, 0, 32);
            isum[2 * b] = isum[2 * b + 1] = 0;
        }
        sum[2 * b] = d[b] * (float)isum[2 * b];
        sum[2 * b + 1] = d[b] * (float)isum[2 * b + 1];
        dsum[b] = d[b] * (float)(isum[2 * b] + isum[2 * b + 1]);
    }
}

void K(quantise_left)(const float *x, const int8_t *q, const float *d, float *y, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        int16x8_t words = vmovl_s8(vld1_s8(q + i));
        vec unit = vec_set(d[i / 32]);
        vec low = vec_mul(vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), unit);
        vec high = vec_mul(vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))), unit);
        vec_store(y + i, vec_sub(vec_load(x + i), low));
        vec_store(y + i + 4, vec_sub(vec_load(x + i + 4), high));
    }
}
