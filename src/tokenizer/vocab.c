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
    return ew__map_init(&draft->ids, expected);
}

void ew__draft_abandon(struct ew__draft *draft) {
    ew__map_release(&draft->ids);
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
    bool existed;
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
    EW__TRY(ew__map_add(&draft->ids, ew__str_of(bytes, n), (uint32_t)id, &existed));
    if (existed)
        return ew__fail(EW_FORMAT, "the token \"%s\" appears twice in the vocabulary",
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

static ew_status find_side(const struct ew__draft *draft, struct ew__str bytes, const char *role,
                           struct ew__str left, struct ew__str right, uint32_t *id) {
    if (ew__map_get(&draft->ids, bytes, id))
        return EW_OK;
    return ew__fail(EW_FORMAT, "merge %u \"%s\" + \"%s\": its %s is not in the vocabulary",
                    draft->tokenizer->merges.count, quote_text(left), quote_text(right), role);
}

/* Vocabularies number the results of the merges in order, so the id after the last result is tried
 * before the table. */
static bool is_next_result(const struct ew__draft *draft, struct ew__str joined, uint32_t *id) {
    const struct ew__tokenizer *t = draft->tokenizer;
    *id = draft->last_result + 1;
    return *id < t->n_tokens && t->tokens[*id].kind == EW__TOKEN_NORMAL &&
           ew__str_equal(text_of(t, *id), joined);
}

ew_status ew__draft_merge(struct ew__draft *draft, struct ew__str left, struct ew__str right) {
    char joined[EW__TOKEN_BYTES_MAX * 2];
    struct ew__merges *merges = &draft->tokenizer->merges;
    size_t n_left, n_right;
    uint32_t left_id = 0, right_id = 0, result = 0;
    bool duplicate;
    if (left.n > EW__TOKEN_BYTES_MAX || right.n > EW__TOKEN_BYTES_MAX)
        return ew__fail(EW_FORMAT, "merge %u has a side of over %u bytes", merges->count,
                        EW__TOKEN_BYTES_MAX);
    if (!ew__alphabet_decode(&draft->alphabet, left, joined, &n_left) ||
        !ew__alphabet_decode(&draft->alphabet, right, joined + n_left, &n_right))
        return ew__fail(EW_FORMAT, "merge %u \"%s\" + \"%s\" is not in the byte alphabet",
                        merges->count, quote_text(left), quote_text(right));
    EW__TRY(find_side(draft, ew__str_of(joined, n_left), "left side", left, right, &left_id));
    EW__TRY(find_side(draft, ew__str_of(joined + n_left, n_right), "right side", left, right,
                      &right_id));
    struct ew__str whole = ew__str_of(joined, n_left + n_right);
    if (!is_next_result(draft, whole, &result))
        EW__TRY(find_side(draft, whole, "result", left, right, &result));
    draft->last_result = result;
    ew__merges_add(merges, left_id, right_id, result, &duplicate);
    if (duplicate)
        return ew__fail(EW_FORMAT, "merge %u \"%s\" + \"%s\" appears twice", merges->count,
                        quote_text(left), quote_text(right));
    return EW_OK;
}

ew_status ew__draft_merge_line(struct ew__draft *draft, struct ew__str line) {
    const char *space = memchr(line.bytes, ' ', line.n);
    size_t n = space != NULL ? (size_t)(space - line.bytes) : 0;
    if (n == 0 || n + 1 == line.n)
        return ew__fail(EW_FORMAT, "merge %u \"%s\" is not two tokens with a space between",
                        draft->tokenizer->merges.count, quote_text(line));
    return ew__draft_merge(draft, ew__str_of(line.bytes, n), ew__str_of(space + 1, line.n - n - 1));
}

ew_status ew__draft_finish(struct ew__draft *draft, struct ew__tokenizer **out) {
    struct ew__tokenizer *t = draft->tokenizer;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        if (!ew__map_get(&draft->ids, ew__str_of(&text, 1), &t->merges.byte_ids[byte]))
            return ew__fail(EW_FORMAT, "the vocabulary has no token for the byte 0x%02x", byte);
    }
    EW__TRY(ew__added_sort(&t->added));
    EW__TRY(ew__unicode_init(&t->unicode));
    ew__map_release(&draft->ids);
    draft->tokenizer = NULL;
    *out = t;
    return EW_OK;
}
