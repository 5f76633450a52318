// SPDX-License-Identifier: Apache-2.0
/* A known number of strings, written one after the other into one buffer. */
#ifndef EW_CONVERT_STRING_LIST_H
#define EW_CONVERT_STRING_LIST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"

#include <stdint.h>

struct ew__string_list {
    struct ew__buf text;     /* append to it, then end the string */
    size_t *ends;            /* [capacity] */
    struct ew__str *strings; /* [count], after ew__string_list_cut */
    uint32_t count;
};

/* The tables are the arena's; the text is released with ew__buf_release. */
static inline ew_status ew__string_list_init(struct ew__string_list *list, struct ew__arena *arena,
                                             uint32_t capacity) {
    ew__buf_init(&list->text, EW__GGUF_HEADER_BYTES_MAX);
    list->count = 0;
    list->ends = ew__arena_alloc(arena, capacity * sizeof *list->ends + 1);
    list->strings = ew__arena_alloc(arena, capacity * sizeof *list->strings + 1);
    return list->ends != NULL && list->strings != NULL ? EW_OK : EW_NO_MEMORY;
}

/* What was appended since the last call is one string. At most `capacity` times. */
static inline ew_status ew__string_list_end(struct ew__string_list *list) {
    list->ends[list->count++] = list->text.n;
    return ew__buf_status(&list->text);
}

/* Views can be cut when the text no longer moves. */
static inline void ew__string_list_cut(struct ew__string_list *list) {
    const char *text = ew__buf_str(&list->text).bytes;
    for (uint32_t i = 0; i < list->count; i++) {
        size_t start = i == 0 ? 0 : list->ends[i - 1];
        list->strings[i] = ew__str_of(text + start, list->ends[i] - start);
    }
}

#endif
