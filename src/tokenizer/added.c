// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/added.h"
#include "base/mem.h"
#include "base/size.h"

#include <stdlib.h>

ew_status ew__added_put(struct ew__added_set *set, struct ew__str text, int32_t id) {
    if (set->count == set->capacity) {
        uint32_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
        struct ew__added *items = ew__realloc(set->items, capacity * sizeof *items);
        if (items == NULL)
            return EW_NO_MEMORY;
        set->items = items;
        set->capacity = capacity;
    }
    set->items[set->count++] = (struct ew__added){text, id};
    return EW_OK;
}

static int compare_texts(struct ew__str a, struct ew__str b) {
    int order = memcmp(a.bytes, b.bytes, ew__min_size(a.n, b.n));
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_items(const void *a, const void *b) {
    return compare_texts(((const struct ew__added *)a)->text, ((const struct ew__added *)b)->text);
}

ew_status ew__added_sort(struct ew__added_set *set) {
    if (set->count != 0)
        qsort(set->items, set->count, sizeof *set->items, compare_items);
    for (uint32_t i = 1; i < set->count; i++)
        if (compare_items(&set->items[i - 1], &set->items[i]) == 0)
            return ew__fail(EW_FORMAT, "the added token \"%s\" has two ids, %d and %d",
                            ew__quote(set->items[i].text.bytes, set->items[i].text.n),
                            set->items[i - 1].id, set->items[i].id);
    uint32_t at = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        set->first[byte] = at;
        while (at < set->count && (uint8_t)set->items[at].text.bytes[0] == byte)
            at++;
    }
    set->first[256] = at;
    return EW_OK;
}

void ew__added_release(struct ew__added_set *set) {
    ew__free(set->items);
    *set = (struct ew__added_set){0};
}

int32_t ew__added_id(const struct ew__added_set *set, struct ew__str text) {
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_texts(set->items[middle].text, text);
        if (order == 0)
            return set->items[middle].id;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* The first item in [low, high) whose byte at `depth` is at least `byte`; all items there share
 * their first `depth` bytes and are longer than that. */
static uint32_t first_at_least(const struct ew__added_set *set, uint32_t low, uint32_t high,
                               size_t depth, unsigned byte) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uint8_t)set->items[middle].text.bytes[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Narrows the sorted items byte by byte to those that the text continues; an item that ends on the
 * way stands first among them and is the longest match so far. */
static const struct ew__added *longest_at(const struct ew__added_set *set, const char *bytes,
                                          size_t n) {
    const struct ew__added *best = NULL;
    uint32_t low = set->first[(uint8_t)bytes[0]], high = set->first[(uint8_t)bytes[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (set->items[low].text.n == depth)
            best = &set->items[low++];
        if (depth == n)
            break;
        unsigned byte = (uint8_t)bytes[depth];
        low = first_at_least(set, low, high, depth, byte);
        high = first_at_least(set, low, high, depth, byte + 1);
    }
    return best;
}

const struct ew__added *ew__added_next(const struct ew__added_set *set, struct ew__str text,
                                       size_t *start) {
    for (; *start < text.n && set->count != 0; (*start)++) {
        unsigned byte = (uint8_t)text.bytes[*start];
        if (set->first[byte] == set->first[byte + 1])
            continue;
        const struct ew__added *found = longest_at(set, text.bytes + *start, text.n - *start);
        if (found != NULL)
            return found;
    }
    *start = text.n;
    return NULL;
}
