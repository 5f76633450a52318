// SPDX-License-Identifier: Apache-2.0
/* The tokenizer's inside, and the one builder that every loader feeds. */
#ifndef EW_TOKENIZER_VOCAB_H
#define EW_TOKENIZER_VOCAB_H

#include "base/limits.h"
#include "base/status.h"
#include "base/str.h"
#include "tokenizer/added.h"
#include "tokenizer/alphabet.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/token_index.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

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

/* Merges wait here until some have come together, so that their lookups, each of which would wait
 * for memory, wait together. */
enum { EW__MERGE_BATCH = 32 };
struct ew__merge_batch {
    struct {
        uint32_t start, n_left, n_right; /* in bytes */
        uint32_t hash_left, hash_right;
        uint32_t left, right, result; /* ids */
    } items[EW__MERGE_BATCH];
    uint32_t n, n_bytes;
    char bytes[EW__MERGE_BATCH * 64 + 2 * EW__TOKEN_BYTES_MAX]; /* both sides, alphabet undone */
};

/* A tokenizer being built: begin; vocabulary entries; merges; end of merges; finish. Added tokens
 * may come anywhere but among the merges. After a failure only ew__draft_abandon may be called. */
struct ew__draft {
    struct ew__tokenizer *tokenizer;
    struct ew__alphabet alphabet;
    struct ew__token_index ids; /* vocabulary entries, filled when they are all there */
    bool indexed;
    uint32_t capacity;    /* of tokens */
    uint32_t last_result; /* of the merge before */
    size_t n_bytes, bytes_capacity;
    struct ew__merge_batch *batch;
};

/* text_bytes bounds the sum of the lengths of all tokens as they are written in the file;
 * `expected` is a guess at the number of tokens, n_merges the exact number of merges. */
ew_status ew__draft_begin(struct ew__draft *draft, size_t text_bytes, size_t expected,
                          size_t n_merges);
/* A BPE entry, written in the byte alphabet. */
ew_status ew__draft_entry(struct ew__draft *draft, uint64_t id, struct ew__str text);
/* The next merge in order of rank, both sides in the byte alphabet; all entries are in by now. What
 * is wrong with it may be told by a later call. */
ew_status ew__draft_merge(struct ew__draft *draft, struct ew__str left, struct ew__str right);
/* The same from the "left right" spelling. */
ew_status ew__draft_merge_line(struct ew__draft *draft, struct ew__str line);
/* After the last merge: looks up those that wait, and the tokens of the single bytes. */
ew_status ew__draft_end_merges(struct ew__draft *draft);
/* An added token, plain UTF-8; one that a vocabulary entry of the same id spells becomes added. */
ew_status ew__draft_added(struct ew__draft *draft, uint64_t id, struct ew__str text,
                          ew__token_kind kind);
/* A place in the embedding without text. */
ew_status ew__draft_unused(struct ew__draft *draft, uint64_t id);
/* Checks that the whole is usable and hands it over. */
ew_status ew__draft_finish(struct ew__draft *draft, struct ew__tokenizer **out);
void ew__draft_abandon(struct ew__draft *draft);

#endif
