// SPDX-License-Identifier: Apache-2.0
#include "quant/imatrix.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void ew__imatrix_release(struct ew__imatrix *imatrix) {
    for (size_t i = 0; i < imatrix->n_entries; i++) {
        ew__free(imatrix->entries[i].name);
        ew__free(imatrix->entries[i].sum2);
    }
    ew__free(imatrix->entries);
    ew__free(imatrix->dataset);
    *imatrix = (struct ew__imatrix){0};
}

struct ew__imatrix_entry *ew__imatrix_find(const struct ew__imatrix *imatrix, const char *name) {
    for (size_t i = 0; i < imatrix->n_entries; i++)
        if (strcmp(imatrix->entries[i].name, name) == 0)
            return &imatrix->entries[i];
    return NULL;
}

static ew_status wrong_columns(const char *name, uint64_t has, uint64_t wanted) {
    return ew__fail(EW_FORMAT,
                    "the importance matrix has %" PRIu64 " columns for \"%s\", the tensor has "
                    "%" PRIu64 ": it was made with another model",
                    has, ew__quote(name, strlen(name)), wanted);
}

static ew_status make_room(struct ew__imatrix *imatrix) {
    if (imatrix->n_entries < imatrix->capacity)
        return EW_OK;
    size_t capacity = imatrix->capacity == 0 ? 256 : 2 * imatrix->capacity;
    struct ew__imatrix_entry *entries =
        ew__realloc(imatrix->entries, capacity * sizeof *imatrix->entries);
    if (entries == NULL)
        return EW_NO_MEMORY;
    imatrix->entries = entries;
    imatrix->capacity = capacity;
    return EW_OK;
}

ew_status ew__imatrix_entry(struct ew__imatrix *imatrix, const char *name, uint64_t n,
                            struct ew__imatrix_entry **out) {
    *out = ew__imatrix_find(imatrix, name);
    if (*out != NULL)
        return (*out)->n == n ? EW_OK : wrong_columns(name, (*out)->n, n);
    EW__TRY(make_room(imatrix));
    struct ew__imatrix_entry entry = {.name = ew__strndup(name, strlen(name)),
                                      .n = n,
                                      .sum2 = ew__calloc((size_t)n, sizeof(double))};
    if (entry.name == NULL || entry.sum2 == NULL) {
        ew__free(entry.name);
        ew__free(entry.sum2);
        return EW_NO_MEMORY;
    }
    *out = &imatrix->entries[imatrix->n_entries++];
    **out = entry;
    return EW_OK;
}

void ew__imatrix_add(struct ew__imatrix_entry *entry, const float *x, size_t ldx, size_t t) {
    for (size_t row = 0; row < t; row++)
        for (uint64_t i = 0; i < entry->n; i++)
            entry->sum2[i] += (double)x[row * ldx + i] * (double)x[row * ldx + i];
    entry->count += (double)t;
}

/* "a" and "b" -> "a, b"; either may be NULL. */
static ew_status join_datasets(const char *a, const char *b, char **out) {
    size_t n = a == NULL ? 0 : strlen(a), m = b == NULL ? 0 : strlen(b);
    size_t comma = n != 0 && m != 0 ? 2 : 0;
    *out = NULL;
    if (n + m == 0)
        return EW_OK;
    char *joined = ew__alloc(n + comma + m + 1);
    if (joined == NULL)
        return EW_NO_MEMORY;
    if (n != 0)
        memcpy(joined, a, n);
    memcpy(joined + n, ", ", comma);
    if (m != 0)
        memcpy(joined + n + comma, b, m);
    joined[n + comma + m] = '\0';
    *out = joined;
    return EW_OK;
}

static ew_status check_merge(const struct ew__imatrix *into, const struct ew__imatrix *from) {
    if (into->n_chunks != 0 && from->n_chunks != 0 && into->chunk_size != from->chunk_size)
        return ew__fail(EW_FORMAT,
                        "importance matrices of chunks of %" PRIu32 " and of %" PRIu32
                        " tokens cannot be added",
                        into->chunk_size, from->chunk_size);
    for (size_t i = 0; i < from->n_entries; i++) {
        const struct ew__imatrix_entry *entry = &from->entries[i];
        const struct ew__imatrix_entry *own = ew__imatrix_find(into, entry->name);
        if (own != NULL && own->n != entry->n)
            return wrong_columns(entry->name, entry->n, own->n);
    }
    return EW_OK;
}

/* Entries of `from` that `into` lacks come first, empty: after them nothing can fail. */
static ew_status add_missing(struct ew__imatrix *into, const struct ew__imatrix *from) {
    struct ew__imatrix_entry *added;
    for (size_t i = 0; i < from->n_entries; i++)
        EW__TRY(ew__imatrix_entry(into, from->entries[i].name, from->entries[i].n, &added));
    return EW_OK;
}

ew_status ew__imatrix_merge(struct ew__imatrix *into, const struct ew__imatrix *from) {
    char *dataset;
    EW__TRY(check_merge(into, from));
    EW__TRY(add_missing(into, from));
    EW__TRY(join_datasets(into->dataset, from->dataset, &dataset));
    ew__free(into->dataset);
    into->dataset = dataset;
    for (size_t i = 0; i < from->n_entries; i++) {
        const struct ew__imatrix_entry *entry = &from->entries[i];
        struct ew__imatrix_entry *own = ew__imatrix_find(into, entry->name);
        for (uint64_t k = 0; k < entry->n; k++) // rounded as a file does, so that going on from one
            own->sum2[k] = (double)(float)(own->sum2[k] + entry->sum2[k]); // changes no bit
        own->count += entry->count;
    }
    into->n_chunks += from->n_chunks;
    into->chunk_size = from->chunk_size != 0 ? from->chunk_size : into->chunk_size;
    return EW_OK;
}

ew_status ew__imatrix_importance(const struct ew__imatrix *imatrix, const char *name, uint64_t n,
                                 float *out) {
    const struct ew__imatrix_entry *entry = ew__imatrix_find(imatrix, name);
    double total = 0;
    if (entry == NULL || !(entry->count > 0))
        return ew__fail(EW_NOT_FOUND, "the importance matrix has no data for \"%s\"",
                        ew__quote(name, strlen(name)));
    if (entry->n != n)
        return wrong_columns(name, entry->n, n);
    for (uint64_t i = 0; i < n; i++) {
        out[i] = (float)(entry->sum2[i] / entry->count);
        total += entry->sum2[i];
    }
    if (!(total > 0))
        return ew__fail(EW_NOT_FOUND, "the importance matrix is zero for \"%s\"",
                        ew__quote(name, strlen(name)));
    return EW_OK;
}
