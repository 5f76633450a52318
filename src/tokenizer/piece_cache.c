// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/piece_cache.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>

ew_status ew__piece_cache_init(struct ew__piece_cache *cache) {
    cache->slots = ew__calloc(ew__cache_slots, sizeof *cache->slots);
    return cache->slots != NULL ? EW_OK : EW_NO_MEMORY;
}

void ew__piece_cache_release(struct ew__piece_cache *cache) {
    ew__free(cache->slots);
    cache->slots = NULL;
}

struct ew__cached_piece *ew__piece_cache_at(const struct ew__piece_cache *cache, const char *piece,
                                            size_t n, int *hit) {
    *hit = 0;
    if (cache->slots == NULL || n > ew__cached_bytes)
        return NULL;
    struct ew__cached_piece *slot = &cache->slots[ew__hash(piece, n, 0) % ew__cache_slots];
    *hit = slot->n_bytes == n && memcmp(slot->bytes, piece, n) == 0;
    return slot;
}

void ew__piece_cache_put(struct ew__cached_piece *slot, const char *piece, size_t n,
                         const uint32_t *ids, size_t n_ids) {
    if (n_ids > ew__cached_ids)
        return;
    slot->n_bytes = (uint8_t)n;
    memcpy(slot->bytes, piece, n);
    slot->n_ids = (uint32_t)n_ids;
    memcpy(slot->ids, ids, n_ids * sizeof *ids);
}
