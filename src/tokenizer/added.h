// SPDX-License-Identifier: Apache-2.0
/* Added tokens: found in the raw text by their literal text, the longest first. */
#ifndef EW_TOKENIZER_ADDED_H
#define EW_TOKENIZER_ADDED_H

#include "base/status.h"
#include "base/str.h"

#include <stdint.h>

struct ew__added {
    struct ew__str text; /* borrowed from the tokenizer's bytes */
    int32_t id;
};

struct ew__added_set {
    struct ew__added *items; /* in byte order of the texts */
    uint32_t count, capacity;
    uint32_t first[257]; /* items whose text begins with byte b: first[b] .. first[b + 1] - 1 */
};

ew_status ew__added_put(struct ew__added_set *set, struct ew__str text, int32_t id);
/* Sorts; EW_FORMAT when two items have one text. Called once, before the functions below. */
ew_status ew__added_sort(struct ew__added_set *set);
void ew__added_release(struct ew__added_set *set);

int32_t ew__added_id(const struct ew__added_set *set, struct ew__str text); /* or -1 */

/* Finds the leftmost added token, the longest at its position, at or after *start. Returns it with
 * its place in *start, or NULL with *start = text.n. A position costs at most the length of the
 * longest added token (EW__ADDED_BYTES_MAX) times the logarithm of their number. */
const struct ew__added *ew__added_next(const struct ew__added_set *set, struct ew__str text,
                                       size_t *start);

#endif
