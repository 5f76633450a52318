// SPDX-License-Identifier: Apache-2.0
/* Remembers the ids of short pieces during one call: text repeats its words. Direct-mapped, so a
 * collision only costs the merge that it replaces. */
#ifndef EW_TOKENIZER_PIECE_CACHE_H
#define EW_TOKENIZER_PIECE_CACHE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { ew__cached_bytes = 23, ew__cached_ids = 6, ew__cache_slots = 8192 };

struct ew__cached_piece {
    uint8_t n_bytes; /* 0: a free slot */
    char bytes[ew__cached_bytes];
    uint32_t n_ids;
    uint32_t ids[ew__cached_ids];
};

struct ew__piece_cache {
    struct ew__cached_piece *slots; /* NULL: off, nothing is ever found */
};

ew_status ew__piece_cache_init(struct ew__piece_cache *cache);
void ew__piece_cache_release(struct ew__piece_cache *cache);

/* The slot where the piece is or would be (its ids are valid when the return's n_bytes and bytes
 * are the piece's, which *hit tells); NULL when the piece is too long or the cache is off. */
struct ew__cached_piece *ew__piece_cache_at(const struct ew__piece_cache *cache, const char *piece,
                                            size_t n, int *hit);
void ew__piece_cache_put(struct ew__cached_piece *slot, const char *piece, size_t n,
                         const uint32_t *ids, size_t n_ids);

#endif
