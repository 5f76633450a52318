// SPDX-License-Identifier: Apache-2.0
#include "quant/decode.h"
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

void ew__decode_f32(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (uint64_t i = 0; i < n; i++)
        out[i] = ew__float_of_bits(ew__load_u32(bytes + 4 * i));
}

void ew__decode_f16(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (uint64_t i = 0; i < n; i++)
        out[i] = ew__half_at(bytes + 2 * i);
}

void ew__decode_bf16(const void *restrict src, float *restrict out, uint64_t n) {
    const uint8_t *bytes = src;
    for (uint64_t i = 0; i < n; i++)
        out[i] = ew__float_of_bits((uint32_t)ew__load_u16(bytes + 2 * i) << 16);
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

static inline void store_u16(uint8_t *out, uint16_t value) {
    out[0] = (uint8_t)(value & 0xff);
    out[1] = (uint8_t)(value >> 8);
}

void ew__encode_f32(const float *restrict src, void *restrict out, uint64_t n) {
    uint8_t *bytes = out;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits = ew__bits_of_float(src[i]);
        store_u16(bytes + 4 * i, (uint16_t)(bits & 0xffff));
        store_u16(bytes + 4 * i + 2, (uint16_t)(bits >> 16));
    }
}

void ew__encode_f16(const float *restrict src, void *restrict out, uint64_t n) {
    uint8_t *bytes = out;
    for (uint64_t i = 0; i < n; i++)
        store_u16(bytes + 2 * i, ew__half_of(src[i]));
}

void ew__encode_bf16(const float *restrict src, void *restrict out, uint64_t n) {
    uint8_t *bytes = out;
    for (uint64_t i = 0; i < n; i++)
        store_u16(bytes + 2 * i, bf16_of(src[i]));
}
