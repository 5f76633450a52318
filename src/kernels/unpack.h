// SPDX-License-Identifier: Apache-2.0
/* Walks a weight row block by block and zeroes what lies between n and n_pad: the frame that every
 * unpack kernel shares. */
#ifndef EW_KERNELS_UNPACK_H
#define EW_KERNELS_UNPACK_H

#include "quant/blocks.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void ew__unpack_tail(size_t n, size_t n_pad, uint8_t *u, float *s, float *m) {
    memset(u + n, 0, n_pad - n);
    for (size_t g = n / 16; g < n_pad / 16; g++)
        s[g] = m[g] = 0;
}

/* Asks for the bytes that come EW__UNPACK_AHEAD later in the matrix: rows follow one another, and
 * the processor's own prefetching stops at each page and while a product runs. Far enough for the
 * rows that one product takes; beyond the end it does nothing. */
#define EW__UNPACK_AHEAD 8192u
static inline void ew__unpack_prefetch(const void *at, size_t bytes) {
    uintptr_t ahead = (uintptr_t)at + EW__UNPACK_AHEAD;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)(ahead + i), 0, 2);
}

/* Defines the kernel of a type from its block function
 *   static void <suffix>_block(const struct ew__block_<suffix> *block, uint8_t *u, float *s,
 *                              float *m)
 * which writes u[elements], s[elements / 16] and m[elements / 16]. */
#define EW__UNPACK_KERNEL(suffix, elements)                                                        \
    void K(unpack_##suffix)(const void *row, size_t n, size_t n_pad, uint8_t *u, float *s,         \
                            float *m) {                                                            \
        const struct ew__block_##suffix *block = row;                                              \
        for (size_t i = 0; i < n; i += (elements), block++) {                                      \
            ew__unpack_prefetch(block, sizeof *block);                                             \
            suffix##_block(block, u + i, s + i / 16, m + i / 16);                                  \
        }                                                                                          \
        ew__unpack_tail(n, n_pad, u, s, m);                                                        \
    }

/* The same scale and offset for `count` groups of 16. */
static inline void ew__unpack_fill(float *s, float *m, size_t count, float scale, float offset) {
    for (size_t g = 0; g < count; g++) {
        s[g] = scale;
        m[g] = offset;
    }
}

/* Q4_K, Q5_K: value = d * scale * q - dmin * minimum, 32 elements per scale. */
static inline void ew__unpack_k4_scales(const uint8_t d[2], const uint8_t dmin[2],
                                        const uint8_t packed[12], float *s, float *m) {
    float unit = ew__half_at(d), min_unit = ew__half_at(dmin);
    for (unsigned j = 0; j < 8; j++) {
        uint8_t scale, minimum;
        ew__k4_scale_min(packed, j, &scale, &minimum);
        ew__unpack_fill(s + 2 * j, m + 2 * j, 2, unit * (float)scale, -(min_unit * (float)minimum));
    }
}

/* Q6_K: value = d * scale * (q - 32), 16 elements per scale. */
static inline void ew__unpack_q6_scales(const struct ew__block_q6_k *block, float *s, float *m) {
    float d = ew__half_at(block->d);
    for (unsigned g = 0; g < 16; g++) {
        s[g] = d * (float)block->scales[g];
        m[g] = -32.0f * s[g];
    }
}

/* IQ4_XS: value = d * scale * level, levels stored plus 127, 32 elements per scale. */
static inline void ew__unpack_iq4_xs_scales(const struct ew__block_iq4_xs *block, float *s,
                                            float *m) {
    float d = ew__half_at(block->d);
    for (unsigned b = 0; b < 8; b++) {
        float scale = d * (float)ew__iq4xs_scale(block, b);
        ew__unpack_fill(s + 2 * b, m + 2 * b, 2, scale, -127.0f * scale);
    }
}

#endif
