// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"
#include "quant/encode.h"
#include "quant/quant.h"

#include <string.h>

float ew__f16_to_f32(uint16_t half) {
    return ew__half(half);
}

uint16_t ew__f32_to_f16(float value) {
    return ew__half_of(value);
}

float ew__bf16_to_f32(uint16_t bits) {
    return ew__float_of_bits((uint32_t)bits << 16);
}

/* bfloat16 is the upper half of a float: adding half a unit, less one where the last kept bit is
 * even, carries into it exactly when nearest-even rounds up. A NaN is cut and made quiet. */
static inline uint16_t bf16_of(float value) {
    uint32_t bits = ew__bits_of_float(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

uint16_t ew__f32_to_bf16(float value) {
    return bf16_of(value);
}

/* Rows are cut into groups of a constant size, which gcc -O2 vectorises, through a copy that takes
 * care of the alignment. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files hold little-endian numbers");
enum { GROUP = 32 };

void ew__decode_f32(const void *restrict src, float *restrict out, uint64_t n) {
    if (n > 0)
        memcpy(out, src, n * sizeof *out);
}

void ew__decode_f16(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (; n >= GROUP; n -= GROUP, bytes += 2 * GROUP, out += GROUP) {
        uint16_t halves[GROUP];
        memcpy(halves, bytes, sizeof halves);
        for (int i = 0; i < GROUP; i++)
            out[i] = ew__half(halves[i]);
    }
    for (uint64_t i = 0; i < n; i++)
        out[i] = ew__half_at(bytes + 2 * i);
}

void ew__decode_bf16(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (; n >= GROUP; n -= GROUP, bytes += 2 * GROUP, out += GROUP) {
        uint16_t values[GROUP];
        memcpy(values, bytes, sizeof values);
        for (int i = 0; i < GROUP; i++)
            out[i] = ew__float_of_bits((uint32_t)values[i] << 16);
    }
    for (uint64_t i = 0; i < n; i++)
        out[i] = ew__bf16_to_f32(ew__load_u16(bytes + 2 * i));
}

void ew__decode_f64(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits = ew__load_u64(bytes + 8 * i);
        double value;
        memcpy(&value, &bits, sizeof value);
        out[i] = (float)value;
    }
}

void ew__encode_f32(const float *restrict src, void *restrict out, uint64_t n) {
    if (n > 0)
        memcpy(out, src, n * sizeof *src);
}

void ew__encode_f16(const float *restrict src, void *restrict out, uint64_t n) {
    uint8_t *bytes = out;
    for (; n >= GROUP; n -= GROUP, bytes += 2 * GROUP, src += GROUP) {
        uint16_t halves[GROUP];
        for (int i = 0; i < GROUP; i++)
            halves[i] = ew__half_of(src[i]);
        memcpy(bytes, halves, sizeof halves);
    }
    for (uint64_t i = 0; i < n; i++) {
        uint16_t half = ew__half_of(src[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}

void ew__encode_bf16(const float *restrict src, void *restrict out, uint64_t n) {
    uint8_t *bytes = out;
    for (; n >= GROUP; n -= GROUP, bytes += 2 * GROUP, src += GROUP) {
        uint16_t values[GROUP];
        for (int i = 0; i < GROUP; i++)
            values[i] = bf16_of(src[i]);
        memcpy(bytes, values, sizeof values);
    }
    for (uint64_t i = 0; i < n; i++) {
        uint16_t value = bf16_of(src[i]);
        memcpy(bytes + 2 * i, &value, sizeof value);
    }
}
