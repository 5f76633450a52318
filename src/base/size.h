// SPDX-License-Identifier: Apache-2.0
/* Checked size arithmetic. Sizes that come from outside are computed with these and nothing else.
 */
#ifndef EW_BASE_SIZE_H
#define EW_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a + b (a * b); false when the true value does not fit, and *out is then undefined. */
static inline bool ew__add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool ew__mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool ew__add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool ew__mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* a rounded up to a multiple of `unit` (any unit > 0); the caller knows that it does not overflow.
 */
static inline size_t ew__round_up(size_t a, size_t unit) {
    return (a + unit - 1) / unit * unit;
}

static inline size_t ew__min_size(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t ew__max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

#endif
