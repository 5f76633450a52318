// SPDX-License-Identifier: Apache-2.0
/* From the bytes of a vocabulary entry to its id, while a tokenizer is being built. A slot is eight
 * bytes, so that the table of a quarter of a million tokens takes 4 MB, and lookups are split into
 * steps that each touch one thing: whoever has many to make starts the loads of all of them before
 * it needs the first. */
#ifndef EW_TOKENIZER_TOKEN_INDEX_H
#define EW_TOKENIZER_TOKEN_INDEX_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ew__token {
    uint32_t start; /* in the tokenizer's bytes */
    uint16_t n;
    uint8_t kind; /* ew__token_kind */
};

/* Where the entries' bytes are: the tokenizer's arrays, which may move as they grow. */
struct ew__token_texts {
    const struct ew__token *tokens;
    const char *bytes;
};

struct ew__token_slot {
    uint32_t hash;
    uint32_t id1; /* id + 1; 0: free */
};

struct ew__token_index {
    struct ew__token_slot *slots;
    size_t mask; /* capacity - 1, a power of two; half full at most */
    size_t count;
    uint64_t seed[2]; /* differ per index, so that a file cannot aim at collisions */
};

/* `expected` entries fit without growing. Release also after a failure; a zeroed one is fine. */
ew_status ew__token_index_init(struct ew__token_index *index, size_t expected);
void ew__token_index_release(struct ew__token_index *index);

uint32_t ew__token_hash(const struct ew__token_index *index, struct ew__str bytes);
/* Adds the entry `id`, whose bytes stand in texts and have that hash; *existed when another entry
 * has the same bytes, and nothing is added then. */
ew_status ew__token_index_add(struct ew__token_index *index, struct ew__token_texts texts,
                              uint32_t hash, uint32_t id, bool *existed);
/* The id of the entry with these bytes and their hash; false when there is none. */
bool ew__token_index_get(const struct ew__token_index *index, struct ew__token_texts texts,
                         uint32_t hash, struct ew__str bytes, uint32_t *id);

/* Starts to load the first slot of a hash; then, once that is here, the entry it names. */
static inline void ew__token_index_touch(const struct ew__token_index *index, uint32_t hash) {
    __builtin_prefetch(&index->slots[hash & index->mask]);
}
static inline void ew__token_index_touch_entry(const struct ew__token_index *index,
                                               struct ew__token_texts texts, uint32_t hash) {
    uint32_t id1 = index->slots[hash & index->mask].id1;
    if (id1 != 0)
        __builtin_prefetch(texts.bytes + texts.tokens[id1 - 1].start);
}

#endif
