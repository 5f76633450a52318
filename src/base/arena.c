// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include "base/mem.h"
#include "base/size.h"

#include <stdint.h>

enum { block_bytes = 64 * 1024 };

struct ew__arena_block {
    struct ew__arena_block *next;
    char *memory;
    size_t used, size;
};

void *ew__arena_alloc(struct ew__arena *arena, size_t size) {
    if (size > SIZE_MAX / 2) {
        ew__fail(EW_NO_MEMORY, "out of memory (%zu bytes)", size);
        return NULL;
    }
    size = ew__round_up(size, 64);
    struct ew__arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        block = ew__calloc(1, sizeof *block);
        if (block == NULL)
            return NULL;
        block->size = ew__max_size(size, block_bytes);
        block->memory = ew__alloc_aligned(block->size);
        if (block->memory == NULL) {
            ew__free(block);
            return NULL;
        }
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = block->memory + block->used;
    block->used += size;
    arena->total += size;
    return result;
}

void ew__arena_release(struct ew__arena *arena) {
    while (arena->blocks != NULL) {
        struct ew__arena_block *block = arena->blocks;
        arena->blocks = block->next;
        ew__free_aligned(block->memory);
        ew__free(block);
    }
    arena->total = 0;
}
