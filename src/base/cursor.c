// SPDX-License-Identifier: Apache-2.0
#include "base/cursor.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void ew__cursor_init(struct ew__cursor *cursor, const void *bytes, size_t n) {
    *cursor = (struct ew__cursor){.base = bytes, .size = n};
}

ew_status ew__cursor_fail(struct ew__cursor *cursor, const char *format, ...) {
    if (cursor->status != EW_OK)
        return cursor->status;
    char text[EW__MESSAGE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cursor->status = ew__fail(EW_FORMAT, "%s (at byte %zu)", text, cursor->at);
}

bool ew__cursor_need(struct ew__cursor *cursor, uint64_t n, const char *what) {
    if (cursor->status != EW_OK)
        return false;
    if (n <= cursor->size - cursor->at)
        return true;
    ew__cursor_fail(cursor, "truncated file: %s needs %" PRIu64 " bytes, %zu are left", what, n,
                    cursor->size - cursor->at);
    return false;
}

struct ew__str ew__cursor_bytes(struct ew__cursor *cursor, uint64_t n, const char *what) {
    if (!ew__cursor_need(cursor, n, what))
        return ew__str_of("", 0);
    struct ew__str view = ew__str_of((const char *)cursor->base + cursor->at, (size_t)n);
    cursor->at += (size_t)n;
    return view;
}

uint8_t ew__cursor_u8(struct ew__cursor *cursor, const char *what) {
    struct ew__str bytes = ew__cursor_bytes(cursor, 1, what);
    return bytes.n == 0 ? 0 : (uint8_t)bytes.bytes[0];
}

uint16_t ew__cursor_u16(struct ew__cursor *cursor, const char *what) {
    struct ew__str bytes = ew__cursor_bytes(cursor, 2, what);
    return bytes.n == 0 ? 0 : ew__load_u16(bytes.bytes);
}

uint32_t ew__cursor_u32(struct ew__cursor *cursor, const char *what) {
    struct ew__str bytes = ew__cursor_bytes(cursor, 4, what);
    return bytes.n == 0 ? 0 : ew__load_u32(bytes.bytes);
}

uint64_t ew__cursor_u64(struct ew__cursor *cursor, const char *what) {
    struct ew__str bytes = ew__cursor_bytes(cursor, 8, what);
    return bytes.n == 0 ? 0 : ew__load_u64(bytes.bytes);
}
