// SPDX-License-Identifier: Apache-2.0
/* Elements of float arrays at any alignment, widened to float without hardware help. */
#ifndef EW_KERNELS_HALF_H
#define EW_KERNELS_HALF_H

#include "quant/blocks.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float ew__f32_at(const void *base, size_t i) {
    float value;
    memcpy(&value, (const char *)base + i * sizeof value, sizeof value);
    return value;
}

static inline uint16_t ew__u16_at(const void *base, size_t i) {
    uint16_t value;
    memcpy(&value, (const char *)base + i * sizeof value, sizeof value);
    return value;
}

static inline float ew__f16_at(const void *base, size_t i) {
    return ew__half(ew__u16_at(base, i));
}

static inline float ew__bf16_at(const void *base, size_t i) {
    return ew__float_of_bits((uint32_t)ew__u16_at(base, i) << 16);
}

#endif
