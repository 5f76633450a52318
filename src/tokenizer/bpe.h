// SPDX-License-Identifier: Apache-2.0
/* The merge table and the merging of one piece: repeatedly join the adjacent pair of lowest rank,
 * leftmost on ties, until no pair is in the table (Sennrich et al. 2016, on bytes). */
#ifndef EW_TOKENIZER_BPE_H
#define EW_TOKENIZER_BPE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EW__NO_RANK UINT32_MAX

struct ew__merge {
    uint32_t left, right; /* ids of the pair */
    uint32_t rank;        /* EW__NO_RANK: a free slot */
    uint32_t result;      /* id of the joined token */
};

struct ew__merges {
    struct ew__merge *slots; /* open addressing, half full at most */
    size_t mask;
    uint64_t seed; /* differs per table: a file cannot aim at collisions */
    uint32_t count;
    uint32_t byte_ids[256]; /* id of each single byte */
};

ew_status ew__merges_init(struct ew__merges *merges, size_t expected);
void ew__merges_release(struct ew__merges *merges); /* a zeroed one is fine */
/* Gives the pair the next rank; *duplicate when it has one already. `expected` pairs fit. */
void ew__merges_add(struct ew__merges *merges, uint32_t left, uint32_t right, uint32_t result,
                    bool *duplicate);

/* Where the search for a pair starts. */
static inline size_t ew__merges_at(const struct ew__merges *merges, uint32_t left, uint32_t right) {
    uint64_t key = ((uint64_t)left << 32 | right) ^ merges->seed;
    key = (key ^ key >> 32) * 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 29) & merges->mask;
}

/* Starts to load it, for a search or an addition a little later. */
static inline void ew__merges_touch(const struct ew__merges *merges, uint32_t left,
                                    uint32_t right) {
    __builtin_prefetch(&merges->slots[ew__merges_at(merges, left, right)]);
}

static inline const struct ew__merge *ew__merges_find(const struct ew__merges *merges,
                                                      uint32_t left, uint32_t right) {
    size_t at = ew__merges_at(merges, left, right);
    const struct ew__merge *slot = &merges->slots[at];
    while (slot->rank != EW__NO_RANK && (slot->left != left || slot->right != right))
        slot = &merges->slots[at = (at + 1) & merges->mask];
    return slot;
}

/* Merges a piece of 1 to EW__BPE_SHORT_MAX bytes by scanning: quadratic, but over few symbols and
 * without memory. Writes at most n ids to out and returns their number. */
#define EW__BPE_SHORT_MAX 64
size_t ew__bpe_short(const struct ew__merges *merges, const char *piece, size_t n, uint32_t *out);

/* Working memory for long pieces, about 10.5 bytes per byte of the longest; zero-initialise, use
 * for any number of pieces, release. */
struct ew__bpe_work {
    void *memory;
    size_t capacity;
};

/* Merges a piece of n >= 1 bytes, n <= 2^32, in O(n log n). *ids is a view of the working memory.
 */
ew_status ew__bpe_long(const struct ew__merges *merges, struct ew__bpe_work *work,
                       const char *piece, size_t n, const uint32_t **ids, size_t *count);
void ew__bpe_work_release(struct ew__bpe_work *work);

#endif
