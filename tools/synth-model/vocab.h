// SPDX-License-Identifier: Apache-2.0
/* A made-up but valid byte-level BPE: 256 bytes, merges learned from a page of text, then letter
 * combinations up to the wanted size, and the family's 33 added tokens. */
#ifndef SYNTH_VOCAB_H
#define SYNTH_VOCAB_H

#include "base/arena.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct vocab_merge {
    uint32_t left, right; /* ids; the result is 256 + the merge's own number */
};

struct vocab {
    uint32_t n_base;        /* byte tokens and results of merges: ids 0 .. n_base - 1 */
    uint32_t n_merges;      /* n_base - 256 */
    uint32_t n_total;       /* rows of the embedding: added tokens at n_base, then unused ids */
    struct ew__str *tokens; /* [n_base] raw bytes */
    struct vocab_merge *merges;
    struct ew__map ids; /* raw bytes -> id */
    char *bytes;
    size_t n_bytes, bytes_capacity;
    struct ew__arena arena;
};

/* The family's added tokens, in order of their ids. */
struct vocab_added {
    const char *text;
    bool special;
};
enum { VOCAB_ADDED_COUNT = 33, VOCAB_ADDED_LISTED = 26 /* in the published tokenizer.json */ };
extern const struct vocab_added vocab_added[VOCAB_ADDED_COUNT];

/* size 1: bytes and a few hundred merges; else ids in all, shared out as in the published one. */
ew_status vocab_make(uint32_t size, struct vocab *out);
void vocab_release(struct vocab *vocab);
/* Id of an added token. */
uint32_t vocab_added_id(const struct vocab *vocab, const char *text);

/* Text of a chat template in the family's form, without tools and pictures. */
extern const char vocab_chat_template[];

#endif
