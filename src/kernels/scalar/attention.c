// SPDX-License-Identifier: Apache-2.0
/* Attention over one span of positions, and the merge of two spans' results. */
#include "kernels/scalar/isa.h"

#include "base/size.h"
#include "kernels/half.h"
#include "kernels/kv.h"

#include <math.h>

/* A nibble in two's complement. */
static int nibble(const uint8_t *byte, bool high) {
    int code = high ? *byte >> 4 : *byte & 15;
    return code < 8 ? code : code - 16;
}

static float key_at(const struct ew__kv_view *kv, size_t position, size_t i, size_t d) {
    if (kv->type == EW__F32)
        return ew__f32_at(kv->k, position * d + i);
    if (kv->type == EW__F16)
        return ew__f16_at(kv->k, ew__kv_key_at(position, i, d));
    const uint8_t *codes = kv->k;
    const uint8_t *code = codes + ew__kv_key_code_at(kv->type, position, i, d);
    float scale = ew__f16_at(codes + ew__kv_code_bytes(kv->type, d),
                             ew__kv_key_scale_at(position, i / EW__KV_BLOCK, d));
    return scale * (float)(kv->type == EW__Q8_0 ? (int8_t)*code : nibble(code, i % 4 >= 2));
}

static float value_at(const struct ew__kv_view *kv, size_t position, size_t i, size_t d) {
    if (kv->type == EW__F32)
        return ew__f32_at(kv->v, position * d + i);
    if (kv->type == EW__F16) {
        size_t in_strip = i % EW__KV_STRIP;
        return ew__f16_at(kv->v, ew__kv_value_at(position, i - in_strip, d) + in_strip);
    }
    const uint8_t *codes = kv->v;
    const uint8_t *code = codes + ew__kv_value_code_at(kv->type, position, i);
    float scale = ew__f16_at(codes + ew__kv_code_bytes(kv->type, d),
                             ew__kv_value_scale_at(position, i / EW__KV_BLOCK));
    return scale * (float)(kv->type == EW__Q8_0 ? (int8_t)*code : nibble(code, i % 32 >= 16));
}

static float scores(const float *q, const struct ew__kv_view *kv, size_t n, size_t d, float *p) {
    float max = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (size_t k = 0; k < d; k++)
            sum += q[k] * key_at(kv, j, k, d);
        p[j] = sum;
        max = sum > max ? sum : max;
    }
    return max;
}

void K(attend_span)(const float *q, size_t ldq, size_t g, size_t per, const struct ew__kv_view *kv,
                    size_t n, size_t d, float *scratch, float *max, float *sum, float *o,
                    size_t ldo) {
    float *p = scratch;
    for (size_t i = 0; i < g; i++) {
        size_t seen = ew__min_size(n + i / per, EW__KV_PAGE_TOKENS);
        max[i] = scores(q + i * ldq, kv, seen, d, p);
        sum[i] = 0;
        for (size_t j = 0; j < seen; j++) {
            p[j] = expf(p[j] - max[i]);
            sum[i] += p[j];
        }
        for (size_t k = 0; k < d; k++) {
            float total = 0;
            for (size_t j = 0; j < seen; j++)
                total += p[j] * value_at(kv, j, k, d);
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
