// SPDX-License-Identifier: Apache-2.0
#include "base/limits.h"
#include "base/mem.h"
#include "tokenizer/nfc.h"
#include "tokenizer/piece_cache.h"
#include "tokenizer/vocab.h"

#include <string.h>

/* Below this much text, clearing a cache costs more than it saves. */
enum { cache_from_bytes = 8192 };

struct encoder {
    const struct ew__tokenizer *tokenizer;
    int32_t **ids;
    size_t *count, *capacity;
    struct ew__nfc nfc;
    struct ew__bpe_work bpe;
    struct ew__piece_cache cache;
};

static ew_status reserve(struct encoder *e, size_t more) {
    if (more <= *e->capacity - *e->count)
        return EW_OK;
    size_t capacity = *e->count + more; // texts are at most 2^30 bytes, so this cannot overflow
    capacity += capacity / 2 + 16;
    int32_t *ids = ew__realloc(*e->ids, capacity * sizeof *ids);
    if (ids == NULL)
        return EW_NO_MEMORY;
    *e->ids = ids;
    *e->capacity = capacity;
    return EW_OK;
}

/* Ids are below EW__VOCAB_MAX, so int32_t and uint32_t hold the same bits. */
static ew_status append(struct encoder *e, const uint32_t *ids, size_t n) {
    EW__TRY(reserve(e, n));
    memcpy(*e->ids + *e->count, ids, n * sizeof *ids);
    *e->count += n;
    return EW_OK;
}

static ew_status encode_long_piece(struct encoder *e, struct ew__str piece) {
    const uint32_t *ids;
    size_t n;
    EW__TRY(ew__bpe_long(&e->tokenizer->merges, &e->bpe, piece.bytes, piece.n, &ids, &n));
    return append(e, ids, n);
}

static ew_status encode_piece(void *context, struct ew__str piece) {
    struct encoder *e = context;
    uint32_t ids[EW__BPE_SHORT_MAX];
    int hit;
    if (piece.n > EW__BPE_SHORT_MAX)
        return encode_long_piece(e, piece);
    struct ew__cached_piece *slot = ew__piece_cache_at(&e->cache, piece.bytes, piece.n, &hit);
    if (hit)
        return append(e, slot->ids, slot->n_ids);
    size_t n = ew__bpe_short(&e->tokenizer->merges, piece.bytes, piece.n, ids);
    if (slot != NULL)
        ew__piece_cache_put(slot, piece.bytes, piece.n, ids, n);
    return append(e, ids, n);
}

/* Normalises text that holds no added token and visits its pieces. */
static ew_status split(const struct ew__tokenizer *t, struct ew__nfc *nfc, struct ew__str text,
                       ew_status (*visit)(void *context, struct ew__str piece), void *context) {
    struct ew__str rest;
    EW__TRY(ew__nfc(&t->unicode, t->compose, text, nfc, &rest));
    while (rest.n > 0) {
        size_t n = ew__split_next(&t->unicode, t->rule, rest.bytes, rest.n);
        EW__TRY(visit(context, ew__str_of(rest.bytes, n)));
        rest = ew__str_of(rest.bytes + n, rest.n - n);
    }
    return EW_OK;
}

/* Cuts the raw text at added tokens; matching comes before NFC, as the files ask with
 * "normalized": false. */
static ew_status encode_special(struct encoder *e, struct ew__str text) {
    for (;;) {
        size_t start = 0;
        const struct ew__added *added = ew__added_next(&e->tokenizer->added, text, &start);
        EW__TRY(split(e->tokenizer, &e->nfc, ew__str_of(text.bytes, start), encode_piece, e));
        if (added == NULL)
            return EW_OK;
        uint32_t id = (uint32_t)added->id;
        EW__TRY(append(e, &id, 1));
        start += added->text.n;
        text = ew__str_of(text.bytes + start, text.n - start);
    }
}

static ew_status check_length(struct ew__str text) {
    if (text.n > EW__TEXT_BYTES_MAX)
        return ew__fail(EW_LIMIT, "a text of %zu bytes is too long, at most %u are encoded at once",
                        text.n, EW__TEXT_BYTES_MAX);
    return EW_OK;
}

ew_status ew__tokenizer_encode(const struct ew__tokenizer *tokenizer, struct ew__str text,
                               ew__encode_flags flags, int32_t **ids, size_t *count,
                               size_t *capacity) {
    struct encoder e = {.tokenizer = tokenizer, .ids = ids, .count = count, .capacity = capacity};
    size_t before = *count;
    EW__TRY(check_length(text));
    ew_status status = text.n >= cache_from_bytes ? ew__piece_cache_init(&e.cache) : EW_OK;
    if (status == EW_OK)
        status = (flags & EW__ENCODE_SPECIAL) != 0
                     ? encode_special(&e, text)
                     : split(tokenizer, &e.nfc, text, encode_piece, &e);
    ew__piece_cache_release(&e.cache);
    ew__bpe_work_release(&e.bpe);
    ew__nfc_release(&e.nfc);
    if (status != EW_OK)
        *count = before;
    return status;
}

ew_status ew__tokenizer_pieces(const struct ew__tokenizer *tokenizer, struct ew__str text,
                               ew_status (*visit)(void *context, struct ew__str piece),
                               void *context) {
    struct ew__nfc nfc = {0};
    EW__TRY(check_length(text));
    ew_status status = split(tokenizer, &nfc, text, visit, context);
    ew__nfc_release(&nfc);
    return status;
}
