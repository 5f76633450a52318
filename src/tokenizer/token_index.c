// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/token_index.h"
#include "base/digest.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"

static uint64_t load(const char *p, size_t n) { // n = 4 or 8 bytes
    uint64_t wide = 0;
    memcpy(&wide, p, n);
    return wide;
}

/* Up to eight bytes as a number; the same bytes may count twice. */
static uint64_t few_bytes(const char *p, size_t n) {
    if (n >= 8)
        return load(p, 8);
    if (n >= 4)
        return load(p, 4) | load(p + n - 4, 4) << 32;
    if (n == 0)
        return 0;
    return (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 |
           (uint64_t)(uint8_t)p[n - 1] << 16;
}

uint32_t ew__token_hash(const struct ew__token_index *index, struct ew__str bytes) {
    const char *p = bytes.bytes;
    size_t n = bytes.n;
    uint64_t hash = index->seed[0] ^ n;
    for (; n > 16; p += 8, n -= 8)
        hash = ew__fold_u64(hash ^ load(p, 8), index->seed[1]);
    uint64_t last = n > 8 ? load(p + n - 8, 8) : 0;
    hash = ew__fold_u64(few_bytes(p, n) ^ hash, last ^ index->seed[1]);
    return (uint32_t)(hash ^ hash >> 32);
}

ew_status ew__token_index_init(struct ew__token_index *index, size_t expected) {
    size_t capacity = 1024;
    while (capacity / 2 < expected)
        capacity *= 2;
    *index = (struct ew__token_index){.mask = capacity - 1};
    index->slots = ew__calloc(capacity, sizeof *index->slots);
    if (index->slots == NULL)
        return EW_NO_MEMORY;
    for (unsigned i = 0; i < 2; i++) // odd, so that no seed is zero
        index->seed[i] = ew__hash(&index->slots, sizeof index->slots, ew__now_ns() + i) | 1;
    return EW_OK;
}

void ew__token_index_release(struct ew__token_index *index) {
    ew__free(index->slots);
    *index = (struct ew__token_index){0};
}

static ew_status grow(struct ew__token_index *index) {
    size_t capacity = (index->mask + 1) * 2;
    struct ew__token_slot *slots = ew__calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i <= index->mask; i++) {
        struct ew__token_slot slot = index->slots[i];
        size_t at = slot.hash & (capacity - 1);
        while (slot.id1 != 0 && slots[at].id1 != 0)
            at = (at + 1) & (capacity - 1);
        if (slot.id1 != 0)
            slots[at] = slot;
    }
    ew__free(index->slots);
    index->slots = slots;
    index->mask = capacity - 1;
    return EW_OK;
}

/* The entry's slot, or the free one where it belongs. */
static struct ew__token_slot *find(const struct ew__token_index *index,
                                   struct ew__token_texts texts, uint32_t hash,
                                   struct ew__str bytes) {
    for (size_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        struct ew__token_slot *slot = &index->slots[at];
        if (slot->id1 == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        const struct ew__token *token = &texts.tokens[slot->id1 - 1];
        if (ew__str_equal(ew__str_of(texts.bytes + token->start, token->n), bytes))
            return slot;
    }
}

ew_status ew__token_index_add(struct ew__token_index *index, struct ew__token_texts texts,
                              uint32_t hash, uint32_t id, bool *existed) {
    if ((index->count + 1) * 2 > index->mask + 1)
        EW__TRY(grow(index));
    const struct ew__token *token = &texts.tokens[id];
    struct ew__str bytes = ew__str_of(texts.bytes + token->start, token->n);
    struct ew__token_slot *slot = find(index, texts, hash, bytes);
    *existed = slot->id1 != 0;
    if (!*existed) {
        *slot = (struct ew__token_slot){hash, id + 1};
        index->count++;
    }
    return EW_OK;
}

bool ew__token_index_get(const struct ew__token_index *index, struct ew__token_texts texts,
                         uint32_t hash, struct ew__str bytes, uint32_t *id) {
    if (index->slots == NULL)
        return false;
    const struct ew__token_slot *slot = find(index, texts, hash, bytes);
    *id = slot->id1 - 1;
    return slot->id1 != 0;
}
