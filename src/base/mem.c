// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t allocation_count;
static _Atomic uint64_t fail_countdown;
static _Thread_local const char *no_alloc_phase;
static _Thread_local unsigned no_alloc_depth;

/* True when the calling allocation may go on. */
static bool admit(size_t size) {
    atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    if (no_alloc_depth != 0) {
        fprintf(stderr, "edgewise: allocation of %zu bytes inside \"%s\"\n", size, no_alloc_phase);
        abort();
    }
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) != 0 &&
        atomic_fetch_sub(&fail_countdown, 1) == 1) {
        ew__fail(EW_NO_MEMORY, "out of memory (%zu bytes)", size);
        return false;
    }
    return true;
}

static void *checked(void *pointer, size_t size) {
    if (pointer == NULL)
        ew__fail(EW_NO_MEMORY, "out of memory (%zu bytes)", size);
    return pointer;
}

void *ew__alloc(size_t size) {
    return admit(size) ? checked(malloc(size != 0 ? size : 1), size) : NULL;
}

void *ew__calloc(size_t count, size_t size) {
    size_t total;
    if (!ew__mul_size(count, size, &total)) {
        ew__fail(EW_NO_MEMORY, "out of memory (%zu times %zu bytes)", count, size);
        return NULL;
    }
    return admit(total) ? checked(calloc(total != 0 ? total : 1, 1), total) : NULL;
}

void *ew__realloc(void *pointer, size_t size) {
    return admit(size) ? checked(realloc(pointer, size != 0 ? size : 1), size) : NULL;
}

void ew__free(void *pointer) {
    free(pointer);
}

char *ew__strndup(const char *bytes, size_t n) {
    char *copy = ew__alloc(n + 1);
    if (copy != NULL) {
        if (n != 0)
            memcpy(copy, bytes, n);
        copy[n] = '\0';
    }
    return copy;
}

/* The pointer that calloc gave is kept in the word before the aligned block: calloc, unlike
 * aligned_alloc, leaves the zero pages of a large block untouched. */
void *ew__alloc_aligned(size_t size) {
    enum { alignment = 64, large_bytes = 4 << 20 }; // large: two pages of the large kind
    size_t total;
    if (!ew__add_size(size, alignment + sizeof(void *), &total)) {
        ew__fail(EW_NO_MEMORY, "out of memory (%zu bytes)", size);
        return NULL;
    }
    if (!admit(total))
        return NULL;
    void *base = checked(calloc(total, 1), size);
    if (base == NULL)
        return NULL;
    uintptr_t start =
        ((uintptr_t)base + sizeof(void *) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    ((void **)start)[-1] = base;
    if (size >= large_bytes)
        ew__file_map_hint((void *)start, size, EW__PAGES_WILL_NEED);
    return (void *)start;
}

void ew__free_aligned(void *pointer) {
    if (pointer != NULL)
        free(((void **)pointer)[-1]);
}

void ew__mem_fail_at(uint64_t n) {
    atomic_store(&fail_countdown, n);
}

uint64_t ew__mem_count(void) {
    return atomic_load(&allocation_count);
}

void ew__no_alloc_begin(const char *phase) {
    if (no_alloc_depth++ == 0)
        no_alloc_phase = phase;
}

void ew__no_alloc_end(void) {
    if (no_alloc_depth != 0)
        no_alloc_depth--;
}
