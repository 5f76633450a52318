// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

#include <string.h>

ew_status ew__merges_init(struct ew__merges *merges, size_t expected) {
    size_t capacity = 16;
    while (capacity / 2 < expected)
        capacity *= 2;
    merges->slots = ew__calloc(capacity, sizeof *merges->slots);
    if (merges->slots == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i < capacity; i++)
        merges->slots[i].rank = EW__NO_RANK;
    merges->mask = capacity - 1;
    merges->seed = ew__hash(&merges->slots, sizeof merges->slots, ew__now_ns());
    merges->count = 0;
    return EW_OK;
}

void ew__merges_release(struct ew__merges *merges) {
    ew__free(merges->slots);
    *merges = (struct ew__merges){0};
}

void ew__merges_add(struct ew__merges *merges, uint32_t left, uint32_t right, uint32_t result,
                    bool *duplicate) {
    struct ew__merge *slot = &merges->slots[ew__merges_find(merges, left, right) - merges->slots];
    *duplicate = slot->rank != EW__NO_RANK;
    if (!*duplicate)
        *slot = (struct ew__merge){left, right, merges->count++, result};
}

/* Short pieces: arrays on the stack, the best pair found by scanning. */

struct symbols {
    uint32_t id[EW__BPE_SHORT_MAX];
    uint32_t rank[EW__BPE_SHORT_MAX], result[EW__BPE_SHORT_MAX]; /* of the pair (i, i + 1) */
    size_t n;
};

static void rank_pair(const struct ew__merges *merges, struct symbols *s, size_t i) {
    const struct ew__merge *merge = ew__merges_find(merges, s->id[i], s->id[i + 1]);
    s->rank[i] = merge->rank;
    s->result[i] = merge->result;
}

static void join(const struct ew__merges *merges, struct symbols *s, size_t i) {
    s->id[i] = s->result[i];
    size_t tail = s->n - i - 2;
    memmove(s->id + i + 1, s->id + i + 2, tail * sizeof *s->id);
    memmove(s->rank + i + 1, s->rank + i + 2, tail * sizeof *s->rank);
    memmove(s->result + i + 1, s->result + i + 2, tail * sizeof *s->result);
    s->n--;
    if (i > 0)
        rank_pair(merges, s, i - 1);
    if (i + 1 < s->n)
        rank_pair(merges, s, i);
}

size_t ew__bpe_short(const struct ew__merges *merges, const char *piece, size_t n, uint32_t *out) {
    struct symbols s = {.n = n};
    for (size_t i = 0; i < n; i++)
        s.id[i] = merges->byte_ids[(uint8_t)piece[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank_pair(merges, &s, i);
    while (s.n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < s.n; i++)
            if (s.rank[i] < s.rank[best])
                best = i;
        if (s.rank[best] == EW__NO_RANK)
            break;
        join(merges, &s, best);
    }
    memcpy(out, s.id, s.n * sizeof *out);
    return s.n;
}

/* Long pieces: a symbol lives at its first byte. Its length stands at its first and its last byte,
 * so both neighbours are found without links. The ranks of the pairs are the leaves of a tree of
 * minima with `fan` children per node: the best pair, leftmost on ties, is found and a rank changed
 * in O(log n), mostly within few cache lines, since merges of one rank sweep from left to right. */

enum { fan = 16, levels_max = 9 };

struct merging {
    const struct ew__merges *merges;
    size_t n;
    uint32_t *id;                /* by first byte */
    uint16_t *length;            /* at most EW__TOKEN_BYTES_MAX */
    uint32_t *level[levels_max]; /* level[0]: rank of the pair that starts at a byte */
    unsigned levels;             /* the last one has `fan` nodes */
};

static ew_status lay_out(struct ew__bpe_work *work, struct merging *m) {
    size_t nodes[levels_max], total = 0;
    size_t size = m->n;
    m->levels = 0;
    do {
        nodes[m->levels] = ew__round_up(size, fan);
        total += nodes[m->levels];
        size = nodes[m->levels++] / fan;
    } while (size > 1);
    const size_t bytes = (total + m->n) * sizeof *m->id + m->n * sizeof *m->length;
    if (bytes > work->capacity) {
        ew__free(work->memory);
        *work = (struct ew__bpe_work){.memory = ew__alloc(bytes)};
        if (work->memory == NULL)
            return EW_NO_MEMORY;
        work->capacity = bytes;
    }
    m->level[0] = work->memory;
    for (unsigned i = 1; i < m->levels; i++)
        m->level[i] = m->level[i - 1] + nodes[i - 1];
    memset(work->memory, 0xFF, total * sizeof *m->id); // EW__NO_RANK everywhere
    m->id = m->level[0] + total;
    m->length = (uint16_t *)(m->id + m->n);
    return EW_OK;
}

static uint32_t minimum(const uint32_t *nodes) {
    uint32_t least = nodes[0];
    for (int i = 1; i < fan; i++)
        least = nodes[i] < least ? nodes[i] : least;
    return least;
}

static void set_rank(struct merging *m, size_t at, uint32_t rank) {
    m->level[0][at] = rank;
    for (unsigned i = 1; i < m->levels; i++) {
        size_t parent = at / fan;
        uint32_t least = minimum(m->level[i - 1] + parent * fan);
        if (m->level[i][parent] == least)
            return;
        m->level[i][parent] = least;
        at = parent;
    }
}

/* The leftmost pair of lowest rank; false when no pair has one. */
static bool best_pair(const struct merging *m, size_t *at) {
    uint32_t least = minimum(m->level[m->levels - 1]);
    if (least == EW__NO_RANK)
        return false;
    size_t node = 0;
    for (unsigned i = m->levels; i-- > 0;) {
        const uint32_t *children = m->level[i] + node * fan;
        size_t child = 0;
        while (children[child] != least)
            child++;
        node = node * fan + child;
    }
    *at = node;
    return true;
}

static uint32_t rank_at(const struct merging *m, size_t at) {
    size_t next = at + m->length[at];
    return next < m->n ? ew__merges_find(m->merges, m->id[at], m->id[next])->rank : EW__NO_RANK;
}

static void join_at(struct merging *m, size_t at) {
    size_t next = at + m->length[at];
    m->id[at] = ew__merges_find(m->merges, m->id[at], m->id[next])->result;
    uint16_t length = (uint16_t)(m->length[at] + m->length[next]);
    m->length[at] = length;
    m->length[at + length - 1] = length;
    set_rank(m, next, EW__NO_RANK);
    set_rank(m, at, rank_at(m, at));
    if (at > 0) {
        size_t before = at - m->length[at - 1];
        set_rank(m, before, rank_at(m, before));
    }
}

static void start(struct merging *m, const char *piece) {
    for (size_t i = 0; i < m->n; i++) {
        m->id[i] = m->merges->byte_ids[(uint8_t)piece[i]];
        m->length[i] = 1;
    }
    for (size_t i = 0; i + 1 < m->n; i++)
        m->level[0][i] = rank_at(m, i);
    size_t size = ew__round_up(m->n, fan);
    for (unsigned i = 1; i < m->levels; i++, size = ew__round_up(size, fan)) {
        size /= fan;
        for (size_t node = 0; node < size; node++)
            m->level[i][node] = minimum(m->level[i - 1] + node * fan);
    }
}

ew_status ew__bpe_long(const struct ew__merges *merges, struct ew__bpe_work *work,
                       const char *piece, size_t n, const uint32_t **ids, size_t *count) {
    struct merging m = {.merges = merges, .n = n};
    size_t at;
    EW__TRY(lay_out(work, &m));
    start(&m, piece);
    while (best_pair(&m, &at))
        join_at(&m, at);
    *count = 0;
    for (size_t i = 0; i < n; i += m.length[i]) // in place: count never passes i
        m.id[(*count)++] = m.id[i];
    *ids = m.id;
    return EW_OK;
}

void ew__bpe_work_release(struct ew__bpe_work *work) {
    ew__free(work->memory);
    *work = (struct ew__bpe_work){0};
}
