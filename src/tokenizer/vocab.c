// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocab.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>

ew_status ew__draft_begin(struct ew__draft *draft, size_t text_bytes, size_t expected,
                          size_t n_merges) {
    *draft = (struct ew__draft){.bytes_capacity = text_bytes};
    ew__alphabet_init(&draft->alphabet);
    if (text_bytes > UINT32_MAX || n_merges > EW__VOCAB_MAX || expected > EW__VOCAB_MAX)
        return ew__fail(EW_LIMIT, "the vocabulary is too large: at most %u tokens and merges",
                        EW__VOCAB_MAX);
    draft->tokenizer = ew__calloc(1, sizeof *draft->tokenizer);
    if (draft->tokenizer == NULL)
        return EW_NO_MEMORY;
    struct ew__tokenizer *t = draft->tokenizer;
    t->eos = t->pad = t->bos = -1;
    t->compose = true;
    t->bytes = ew__alloc(text_bytes);
    if (t->bytes == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__merges_init(&t->merges, n_merges));
    draft->batch = ew__calloc(1, sizeof *draft->batch);
    if (draft->batch == NULL)
        return EW_NO_MEMORY;
    return ew__token_index_init(&draft->ids, expected);
}

static void release(struct ew__draft *draft) {
    ew__token_index_release(&draft->ids);
    ew__free(draft->batch);
    draft->batch = NULL;
}

void ew__draft_abandon(struct ew__draft *draft) {
    release(draft);
    ew__tokenizer_free(draft->tokenizer);
    draft->tokenizer = NULL;
}

/* Makes tokens[id] exist; ids never seen stay zero-length and UNUSED. */
static ew_status reach(struct ew__draft *draft, uint64_t id) {
    struct ew__tokenizer *t = draft->tokenizer;
    if (id >= EW__VOCAB_MAX)
        return ew__fail(EW_FORMAT, "token id %" PRIu64 " is too large, the last allowed is %u", id,
                        EW__VOCAB_MAX - 1);
    if (id >= draft->capacity) {
        uint32_t capacity = draft->capacity == 0 ? 1024 : draft->capacity;
        while (capacity <= id)
            capacity *= 2;
        struct ew__token *tokens = ew__realloc(t->tokens, capacity * sizeof *tokens);
        if (tokens == NULL)
            return EW_NO_MEMORY;
        t->tokens = tokens;
        draft->capacity = capacity;
    }
    for (; t->n_tokens <= id; t->n_tokens++)
        t->tokens[t->n_tokens] = (struct ew__token){0, 0, EW__TOKEN_UNUSED};
    return EW_OK;
}

static struct ew__str text_of(const struct ew__tokenizer *t, uint64_t id) {
    return ew__str_of(t->bytes + t->tokens[id].start, t->tokens[id].n);
}

static const char *quote_text(struct ew__str text) {
    return ew__quote(text.bytes, text.n);
}

/* Fails when there is no room or the text is empty or too long. */
static ew_status check_text(const struct ew__draft *draft, uint64_t id, struct ew__str text,
                            size_t max) {
    if (text.n == 0)
        return ew__fail(EW_FORMAT, "token %" PRIu64 " is empty", id);
    if (text.n > max)
        return ew__fail(EW_FORMAT, "token %" PRIu64 " has %zu bytes, allowed are %zu", id, text.n,
                        max);
    if (text.n > draft->bytes_capacity - draft->n_bytes)
        return ew__fail(EW_INTERNAL, "the vocabulary has more text than was announced");
    return EW_OK;
}

static void store(struct ew__draft *draft, uint64_t id, size_t n, ew__token_kind kind) {
    draft->tokenizer->tokens[id] =
        (struct ew__token){(uint32_t)draft->n_bytes, (uint16_t)n, (uint8_t)kind};
    draft->n_bytes += n;
}

ew_status ew__draft_entry(struct ew__draft *draft, uint64_t id, struct ew__str text) {
    struct ew__tokenizer *t = draft->tokenizer;
    size_t n;
    EW__TRY(reach(draft, id));
    EW__TRY(check_text(draft, id, text, EW__TOKEN_BYTES_MAX));
    if (t->tokens[id].n != 0)
        return ew__fail(EW_FORMAT, "token id %" PRIu64 " is given twice, to \"%s\" and to \"%s\"",
                        id, quote_text(text_of(t, id)), quote_text(text));
    char *bytes = t->bytes + draft->n_bytes;
    if (!ew__alphabet_decode(&draft->alphabet, text, bytes, &n))
        return ew__fail(EW_FORMAT,
                        "token %" PRIu64 " \"%s\" has a character outside the byte alphabet", id,
                        quote_text(text));
    store(draft, id, n, EW__TOKEN_NORMAL);
    return EW_OK;
}

ew_status ew__draft_unused(struct ew__draft *draft, uint64_t id) {
    return reach(draft, id);
}

ew_status ew__draft_added(struct ew__draft *draft, uint64_t id, struct ew__str text,
                          ew__token_kind kind) {
    struct ew__tokenizer *t = draft->tokenizer;
    EW__TRY(reach(draft, id));
    EW__TRY(check_text(draft, id, text, EW__ADDED_BYTES_MAX));
    if (!ew__utf8_valid(text))
        return ew__fail(EW_FORMAT, "the added token %" PRIu64 " is not valid UTF-8", id);
    if (t->tokens[id].n != 0 && !ew__str_equal(text_of(t, id), text))
        return ew__fail(EW_FORMAT, "token id %" PRIu64 " is given twice, to \"%s\" and to \"%s\"",
                        id, quote_text(text_of(t, id)), quote_text(text));
    if (t->tokens[id].kind == EW__TOKEN_CONTROL || t->tokens[id].kind == EW__TOKEN_USER)
        return ew__fail(EW_FORMAT, "the added token \"%s\" is listed twice", quote_text(text));
    char *bytes = t->bytes + draft->n_bytes;
    memcpy(bytes, text.bytes, text.n);
    store(draft, id, text.n, kind);
    return ew__added_put(&t->added, ew__str_of(bytes, text.n), (int32_t)id);
}

/* Entries whose slots are on their way while one is put in. */
enum { ahead = 16 };

static struct ew__token_texts texts_of(const struct ew__draft *draft) {
    return (struct ew__token_texts){draft->tokenizer->tokens, draft->tokenizer->bytes};
}

static bool is_entry(const struct ew__tokenizer *t, uint32_t id) {
    return t->tokens[id].kind == EW__TOKEN_NORMAL;
}

/* Puts all vocabulary entries into the index. */
static ew_status index_entries(struct ew__draft *draft) {
    const struct ew__tokenizer *t = draft->tokenizer;
    uint32_t hashes[ahead];
    bool existed = false;
    draft->indexed = true;
    for (uint32_t i = 0; i < t->n_tokens + ahead; i++) {
        uint32_t id = i - ahead;
        if (i >= ahead && is_entry(t, id))
            EW__TRY(ew__token_index_add(&draft->ids, texts_of(draft), hashes[id % ahead], id,
                                        &existed));
        if (existed)
            return ew__fail(EW_FORMAT, "the token \"%s\" appears twice in the vocabulary",
                            quote_text(text_of(t, id)));
        if (i >= t->n_tokens || !is_entry(t, i))
            continue;
        hashes[i % ahead] = ew__token_hash(&draft->ids, text_of(t, i));
        ew__token_index_touch(&draft->ids, hashes[i % ahead]);
    }
    return EW_OK;
}

static ew_status fail_merge(const struct ew__draft *draft, uint32_t i, const char *what) {
    const struct ew__merge_batch *b = draft->batch;
    char left[2 * EW__TOKEN_BYTES_MAX], right[2 * EW__TOKEN_BYTES_MAX];
    const char *bytes = b->bytes + b->items[i].start;
    size_t split = b->items[i].n_left;
    size_t n_left = ew__alphabet_encode(&draft->alphabet, ew__str_of(bytes, split), left);
    size_t n_right = ew__alphabet_encode(&draft->alphabet,
                                         ew__str_of(bytes + split, b->items[i].n_right), right);
    return ew__fail(EW_FORMAT, "merge %u \"%s\" + \"%s\"%s", draft->tokenizer->merges.count,
                    ew__quote(left, n_left), ew__quote(right, n_right), what);
}

/* Vocabularies number the results of the merges in order, so the id after the last result is tried
 * before the table. */
static bool find_result(const struct ew__draft *draft, struct ew__str joined, uint32_t *id) {
    const struct ew__tokenizer *t = draft->tokenizer;
    *id = draft->last_result + 1;
    if (*id < t->n_tokens && is_entry(t, *id) && ew__str_equal(text_of(t, *id), joined))
        return true;
    return ew__token_index_get(&draft->ids, texts_of(draft), ew__token_hash(&draft->ids, joined),
                               joined, id);
}

/* The ids of merge i of the batch. */
static ew_status find_ids(struct ew__draft *draft, uint32_t i) {
    struct ew__merge_batch *b = draft->batch;
    struct ew__token_texts texts = texts_of(draft);
    const char *bytes = b->bytes + b->items[i].start;
    size_t n_left = b->items[i].n_left, n_right = b->items[i].n_right;
    if (!ew__token_index_get(&draft->ids, texts, b->items[i].hash_left, ew__str_of(bytes, n_left),
                             &b->items[i].left))
        return fail_merge(draft, i, ": its left side is not in the vocabulary");
    if (!ew__token_index_get(&draft->ids, texts, b->items[i].hash_right,
                             ew__str_of(bytes + n_left, n_right), &b->items[i].right))
        return fail_merge(draft, i, ": its right side is not in the vocabulary");
    if (!find_result(draft, ew__str_of(bytes, n_left + n_right), &b->items[i].result))
        return fail_merge(draft, i, ": its result is not in the vocabulary");
    draft->last_result = b->items[i].result;
    return EW_OK;
}

/* Slots, entries, ids and the places of the pairs: each round starts the loads of the next. */
static ew_status flush_merges(struct ew__draft *draft) {
    struct ew__merge_batch *b = draft->batch;
    struct ew__merges *merges = &draft->tokenizer->merges;
    ew_status status = EW_OK;
    bool duplicate;
    uint32_t n = 0;
    if (!draft->indexed)
        EW__TRY(index_entries(draft));
    for (uint32_t i = 0; i < b->n; i++) {
        ew__token_index_touch_entry(&draft->ids, texts_of(draft), b->items[i].hash_left);
        ew__token_index_touch_entry(&draft->ids, texts_of(draft), b->items[i].hash_right);
    }
    for (; n < b->n && status == EW_OK; n += status == EW_OK) {
        status = find_ids(draft, n);
        if (status == EW_OK)
            ew__merges_touch(merges, b->items[n].left, b->items[n].right);
    }
    for (uint32_t i = 0; i < n; i++) {
        ew__merges_add(merges, b->items[i].left, b->items[i].right, b->items[i].result, &duplicate);
        if (duplicate)
            return fail_merge(draft, i, " appears twice");
    }
    if (status != EW_OK) // the merges before it are in, so the count in the message is right now
        return find_ids(draft, n);
    b->n = b->n_bytes = 0;
    return EW_OK;
}

static size_t next_merge(const struct ew__draft *draft) {
    return (size_t)draft->tokenizer->merges.count + draft->batch->n;
}

ew_status ew__draft_merge(struct ew__draft *draft, struct ew__str left, struct ew__str right) {
    struct ew__merge_batch *b = draft->batch;
    size_t n_left, n_right;
    if (left.n > EW__TOKEN_BYTES_MAX || right.n > EW__TOKEN_BYTES_MAX)
        return ew__fail(EW_FORMAT, "merge %zu has a side of over %u bytes", next_merge(draft),
                        EW__TOKEN_BYTES_MAX);
    if (b->n == EW__MERGE_BATCH || left.n + right.n > sizeof b->bytes - b->n_bytes)
        EW__TRY(flush_merges(draft));
    char *bytes = b->bytes + b->n_bytes;
    if (!ew__alphabet_decode(&draft->alphabet, left, bytes, &n_left) ||
        !ew__alphabet_decode(&draft->alphabet, right, bytes + n_left, &n_right))
        return ew__fail(EW_FORMAT, "merge %zu \"%s\" + \"%s\" is not in the byte alphabet",
                        next_merge(draft), quote_text(left), quote_text(right));
    b->items[b->n].start = b->n_bytes;
    b->items[b->n].n_left = (uint32_t)n_left;
    b->items[b->n].n_right = (uint32_t)n_right;
    b->items[b->n].hash_left = ew__token_hash(&draft->ids, ew__str_of(bytes, n_left));
    b->items[b->n].hash_right = ew__token_hash(&draft->ids, ew__str_of(bytes + n_left, n_right));
    ew__token_index_touch(&draft->ids, b->items[b->n].hash_left);
    ew__token_index_touch(&draft->ids, b->items[b->n].hash_right);
    b->n_bytes += (uint32_t)(n_left + n_right);
    b->n++;
    return EW_OK;
}

ew_status ew__draft_merge_line(struct ew__draft *draft, struct ew__str line) {
    const char *space = memchr(line.bytes, ' ', line.n);
    size_t n = space != NULL ? (size_t)(space - line.bytes) : 0;
    if (n == 0 || n + 1 == line.n)
        return ew__fail(EW_FORMAT, "merge %zu \"%s\" is not two tokens with a space between",
                        next_merge(draft), quote_text(line));
    return ew__draft_merge(draft, ew__str_of(line.bytes, n), ew__str_of(space + 1, line.n - n - 1));
}

static ew_status find_bytes(struct ew__draft *draft) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        struct ew__str one = ew__str_of(&text, 1);
        if (!ew__token_index_get(&draft->ids, texts_of(draft), ew__token_hash(&draft->ids, one),
                                 one, &draft->tokenizer->merges.byte_ids[byte]))
            return ew__fail(EW_FORMAT, "the vocabulary has no token for the byte 0x%02x", byte);
    }
    return EW_OK;
}

ew_status ew__draft_end_merges(struct ew__draft *draft) {
    EW__TRY(flush_merges(draft));
    return find_bytes(draft);
}

ew_status ew__draft_finish(struct ew__draft *draft, struct ew__tokenizer **out) {
    struct ew__tokenizer *t = draft->tokenizer;
    EW__TRY(ew__added_sort(&t->added));
    EW__TRY(ew__unicode_init(&t->unicode));
    release(draft);
    draft->tokenizer = NULL;
    *out = t;
    return EW_OK;
}
