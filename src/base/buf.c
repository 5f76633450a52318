// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"
#include "base/mem.h"
#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ew__buf_init(struct ew__buf *buf, size_t max) {
    *buf = (struct ew__buf){.max = max};
}

void ew__buf_release(struct ew__buf *buf) {
    ew__free(buf->bytes);
    ew__buf_init(buf, buf->max);
}

void ew__buf_clear(struct ew__buf *buf) {
    buf->n = 0;
    buf->status = EW_OK;
    if (buf->bytes != NULL)
        buf->bytes[0] = '\0';
}

ew_status ew__buf_status(const struct ew__buf *buf) {
    return buf->status;
}

ew_status ew__buf_reserve(struct ew__buf *buf, size_t more) {
    size_t need;
    if (buf->status != EW_OK)
        return buf->status;
    if (!ew__add_size(buf->n, more, &need) || need > buf->max || need == SIZE_MAX)
        return buf->status = ew__fail(EW_LIMIT, "a buffer would grow over %zu bytes", buf->max);
    if (buf->bytes != NULL && need < buf->capacity)
        return EW_OK;
    size_t capacity = ew__max_size(need + 1, ew__max_size(64, buf->capacity + buf->capacity / 2));
    char *bytes = ew__realloc(buf->bytes, capacity);
    if (bytes == NULL)
        return buf->status = EW_NO_MEMORY;
    buf->bytes = bytes;
    buf->capacity = capacity;
    return EW_OK;
}

ew_status ew__buf_add(struct ew__buf *buf, const void *bytes, size_t n) {
    EW__TRY(ew__buf_reserve(buf, n));
    if (n != 0)
        memcpy(buf->bytes + buf->n, bytes, n);
    buf->n += n;
    buf->bytes[buf->n] = '\0';
    return EW_OK;
}

ew_status ew__buf_add_text(struct ew__buf *buf, const char *text) {
    return ew__buf_add(buf, text, strlen(text));
}

ew_status ew__buf_add_format(struct ew__buf *buf, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ew_status status = n < 0 ? EW_INTERNAL : ew__buf_reserve(buf, (size_t)n);
    if (status == EW_OK) {
        vsnprintf(buf->bytes + buf->n, (size_t)n + 1, format, again);
        buf->n += (size_t)n;
    }
    va_end(again);
    return status;
}

char *ew__buf_take(struct ew__buf *buf, size_t *n) {
    if (buf->status == EW_OK && buf->bytes == NULL)
        (void)ew__buf_add(buf, "", 0);
    if (buf->status != EW_OK) {
        ew__buf_release(buf);
        return NULL;
    }
    char *bytes = buf->bytes;
    if (n != NULL)
        *n = buf->n;
    ew__buf_init(buf, buf->max);
    return bytes;
}
