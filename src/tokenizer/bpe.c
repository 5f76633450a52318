// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/bpe.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

#include <string.h>

enum { short_piece = 64 };

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
    uint32_t id[short_piece];
    uint32_t rank[short_piece], result[short_piece]; /* of the pair (i, i + 1) */
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

static size_t merge_short(const struct ew__merges *merges, const char *piece, size_t n,
                          uint32_t *out) {
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
 * so both neighbours are found without links. The heap holds rank << 32 | position; an entry whose
 * rank is no longer that of the pair at the position is stale and skipped (a pair never returns to
 * a position: symbols only grow). */

struct merging {
    const struct ew__merges *merges;
    size_t n;
    uint64_t *heap; /* at most 2 n entries: n - 1 at first, two more per merge, one less each */
    uint32_t *id;   /* by first byte */
    uint32_t *rank; /* of the pair that starts here */
    uint32_t *length;
    size_t heap_n;
};

static ew_status lay_out(struct ew__bpe_work *work, struct merging *m) {
    const size_t per_byte = 2 * sizeof *m->heap + 3 * sizeof *m->id;
    if (m->n > work->capacity) {
        size_t capacity = m->n + m->n / 4, bytes;
        ew__free(work->memory);
        *work = (struct ew__bpe_work){0};
        if (!ew__mul_size(capacity, per_byte, &bytes))
            return ew__fail(EW_NO_MEMORY, "a piece of %zu bytes is too long", m->n);
        work->memory = ew__alloc(bytes);
        if (work->memory == NULL)
            return EW_NO_MEMORY;
        work->capacity = capacity;
    }
    m->heap = work->memory;
    m->id = (uint32_t *)(m->heap + 2 * m->n);
    m->rank = m->id + m->n;
    m->length = m->rank + m->n;
    return EW_OK;
}

static void sift_up(uint64_t *heap, size_t at, uint64_t entry) {
    for (; at > 0 && heap[(at - 1) / 2] > entry; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

static uint64_t pop(struct merging *m) {
    uint64_t top = m->heap[0], last = m->heap[--m->heap_n];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < m->heap_n) {
        if (child + 1 < m->heap_n && m->heap[child + 1] < m->heap[child])
            child++;
        if (m->heap[child] >= last)
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

static void rank_at(struct merging *m, size_t at) {
    size_t next = at + m->length[at];
    m->rank[at] = EW__NO_RANK;
    if (next >= m->n)
        return;
    m->rank[at] = ew__merges_find(m->merges, m->id[at], m->id[next])->rank;
    if (m->rank[at] != EW__NO_RANK)
        sift_up(m->heap, m->heap_n++, (uint64_t)m->rank[at] << 32 | at);
}

static void join_at(struct merging *m, size_t at) {
    size_t next = at + m->length[at];
    m->id[at] = ew__merges_find(m->merges, m->id[at], m->id[next])->result;
    m->rank[next] = EW__NO_RANK;
    uint32_t length = m->length[at] + m->length[next];
    m->length[at] = length;
    m->length[at + length - 1] = length;
    rank_at(m, at);
    if (at > 0)
        rank_at(m, at - m->length[at - 1]);
}

static ew_status merge_long(const struct ew__merges *merges, struct ew__bpe_work *work,
                            const char *piece, size_t n, uint32_t *out, size_t *count) {
    struct merging m = {.merges = merges, .n = n};
    EW__TRY(lay_out(work, &m));
    for (size_t i = 0; i < n; i++) {
        m.id[i] = merges->byte_ids[(uint8_t)piece[i]];
        m.length[i] = 1;
    }
    for (size_t i = 0; i < n; i++)
        rank_at(&m, i);
    while (m.heap_n > 0) {
        uint64_t entry = pop(&m);
        size_t at = (size_t)(entry & UINT32_MAX);
        if (m.rank[at] == entry >> 32)
            join_at(&m, at);
    }
    *count = 0;
    for (size_t i = 0; i < n; i += m.length[i])
        out[(*count)++] = m.id[i];
    return EW_OK;
}

ew_status ew__bpe(const struct ew__merges *merges, struct ew__bpe_work *work, const char *piece,
                  size_t n, uint32_t *out, size_t *count) {
    if (n > short_piece)
        return merge_long(merges, work, piece, n, out, count);
    *count = merge_short(merges, piece, n, out);
    return EW_OK;
}

void ew__bpe_work_release(struct ew__bpe_work *work) {
    ew__free(work->memory);
    *work = (struct ew__bpe_work){0};
}
