// SPDX-License-Identifier: Apache-2.0
/* Growable bytes with a maximum given at birth. The first failure (memory or maximum) sticks: later
 * appends do nothing, and ew__buf_status tells. The content is always followed by a NUL byte. */
#ifndef EW_BASE_BUF_H
#define EW_BASE_BUF_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct ew__buf {
    char *bytes; /* NULL while empty */
    size_t n, capacity, max;
    ew_status status;
};

void ew__buf_init(struct ew__buf *buf, size_t max);
void ew__buf_release(struct ew__buf *buf); /* frees; the buffer may be initialised again */
void ew__buf_clear(struct ew__buf *buf);   /* empties, keeps the memory */
ew_status ew__buf_add(struct ew__buf *buf, const void *bytes, size_t n);
ew_status ew__buf_add_text(struct ew__buf *buf, const char *text);
ew_status ew__buf_add_format(struct ew__buf *buf, const char *format, ...) EW__PRINTF(2, 3);
ew_status ew__buf_reserve(struct ew__buf *buf, size_t more);
ew_status ew__buf_status(const struct ew__buf *buf);
static inline struct ew__str ew__buf_str(const struct ew__buf *buf) {
    return ew__str_of(buf->bytes != NULL ? buf->bytes : "", buf->n);
}
/* Gives the bytes (NUL after the last) to the caller, who frees them with ew__free; NULL on a
 * failed buffer. The buffer is empty afterwards. */
char *ew__buf_take(struct ew__buf *buf, size_t *n);

#endif
