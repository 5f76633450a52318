// SPDX-License-Identifier: Apache-2.0
/* The tokenizer's inside, and the one builder that every loader feeds. */
#ifndef EW_TOKENIZER_VOCAB_H
#define EW_TOKENIZER_VOCAB_H

#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "tokenizer/added.h"
#include "tokenizer/alphabet.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

struct ew__token {
    uint32_t start; /* in the tokenizer's bytes */
    uint16_t n;
    uint8_t kind; /* ew__token_kind */
};

struct ew__tokenizer {
    struct ew__token *tokens;
    uint32_t n_tokens;
    char *bytes; /* of all tokens, alphabet undone */
    struct ew__merges merges;
    struct ew__added_set added;
    struct ew__unicode unicode;
    ew__split_rule rule;
    bool compose; /* NFC before splitting */
    int32_t eos, pad, bos;
};

/* A tokenizer being built: begin; vocabulary entries; merges; added tokens; finish. After a failure
 * only ew__draft_abandon may be called. */
struct ew__draft {
    struct ew__tokenizer *tokenizer;
    struct ew__alphabet alphabet;
    struct ew__map ids;   /* bytes of a vocabulary entry -> id */
    uint32_t capacity;    /* of tokens */
    uint32_t last_result; /* of the merge before */
    size_t n_bytes, bytes_capacity;
};

/* text_bytes bounds the sum of the lengths of all tokens as they are written in the file;
 * `expected` is a guess at the number of tokens, n_merges the exact number of merges. */
ew_status ew__draft_begin(struct ew__draft *draft, size_t text_bytes, size_t expected,
                          size_t n_merges);
/* A BPE entry, written in the byte alphabet. */
ew_status ew__draft_entry(struct ew__draft *draft, uint64_t id, struct ew__str text);
/* The next merge in order of rank, both sides in the byte alphabet; all entries are in by now. */
ew_status ew__draft_merge(struct ew__draft *draft, struct ew__str left, struct ew__str right);
/* The same from the "left right" spelling. */
ew_status ew__draft_merge_line(struct ew__draft *draft, struct ew__str line);
/* An added token, plain UTF-8; one that a vocabulary entry of the same id spells becomes added. */
ew_status ew__draft_added(struct ew__draft *draft, uint64_t id, struct ew__str text,
                          ew__token_kind kind);
/* A place in the embedding without text. */
ew_status ew__draft_unused(struct ew__draft *draft, uint64_t id);
/* Checks that the whole is usable and hands it over. */
ew_status ew__draft_finish(struct ew__draft *draft, struct ew__tokenizer **out);
void ew__draft_abandon(struct ew__draft *draft);

#endif
