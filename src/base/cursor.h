// SPDX-License-Identifier: Apache-2.0
/* A bounded little-endian reader over bytes that cannot be trusted. The first error sticks with its
 * byte position; every read after it gives zero, so a parser may test at its own boundaries. */
#ifndef EW_BASE_CURSOR_H
#define EW_BASE_CURSOR_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ew__cursor {
    const uint8_t *base;
    size_t size, at;
    ew_status status; /* first failure; its sentence names the position */
};

void ew__cursor_init(struct ew__cursor *cursor, const void *bytes, size_t n);
/* True when n more bytes are there; otherwise fails the cursor with "truncated" and what was read.
 */
bool ew__cursor_need(struct ew__cursor *cursor, uint64_t n, const char *what);
uint8_t ew__cursor_u8(struct ew__cursor *cursor, const char *what);
uint16_t ew__cursor_u16(struct ew__cursor *cursor, const char *what);
uint32_t ew__cursor_u32(struct ew__cursor *cursor, const char *what);
uint64_t ew__cursor_u64(struct ew__cursor *cursor, const char *what);
/* A view of the next n bytes; empty after a failure. */
struct ew__str ew__cursor_bytes(struct ew__cursor *cursor, uint64_t n, const char *what);
/* Fails the cursor: EW_FORMAT, the sentence, and "at byte N". */
ew_status ew__cursor_fail(struct ew__cursor *cursor, const char *format, ...) EW__PRINTF(2, 3);

/* Unaligned little-endian loads from memory known to hold them. */
static inline uint16_t ew__load_u16(const void *p) {
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t ew__load_u32(const void *p) {
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t ew__load_u64(const void *p) {
    return (uint64_t)ew__load_u32(p) | (uint64_t)ew__load_u32((const uint8_t *)p + 4) << 32;
}

#endif
