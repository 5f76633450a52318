// SPDX-License-Identifier: Apache-2.0
/* A view of bytes that somebody else owns: no terminator, any content. */
#ifndef EW_BASE_STR_H
#define EW_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct ew__str {
    const char *bytes;
    size_t n;
};

static inline struct ew__str ew__str(const char *text) {
    return (struct ew__str){text, strlen(text)};
}
static inline struct ew__str ew__str_of(const char *bytes, size_t n) {
    return (struct ew__str){bytes, n};
}
static inline bool ew__str_equal(struct ew__str a, struct ew__str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.bytes, b.bytes, a.n) == 0);
}
static inline bool ew__str_is(struct ew__str a, const char *text) {
    return ew__str_equal(a, ew__str(text));
}
static inline bool ew__str_starts(struct ew__str a, const char *prefix) {
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.bytes, prefix, n) == 0;
}
static inline bool ew__str_ends(struct ew__str a, const char *suffix) {
    size_t n = strlen(suffix);
    return a.n >= n && memcmp(a.bytes + a.n - n, suffix, n) == 0;
}

#endif
