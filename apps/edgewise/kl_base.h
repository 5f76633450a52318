// SPDX-License-Identifier: Apache-2.0
/* A base file of `edgewise perplexity`: the tokens of a text in chunks, and the distributions that
 * one model gave at the scored positions, for others to be compared with.
 *
 * "EWKLBASE", then u32 version (1), n_vocab, n_ctx, n_chunk, all little-endian; n_chunk x n_ctx
 * token ids (u32); then the distributions in order (distribution.h). */
#ifndef EDGEWISE_APP_KL_BASE_H
#define EDGEWISE_APP_KL_BASE_H

#include "distribution.h"
#include "whole_file.h"

typedef struct chunks {
    uint32_t n_vocab, n_ctx, n_chunk;
    int32_t *ids; /* [n_chunk * n_ctx] */
} chunks;

/* Positions that are scored in a chunk, as llama.cpp's perplexity program has it: the second half
 * but for the last token, which has no successor. The first is n_ctx / 2. */
size_t chunks_scored(const chunks *text);

/* False with errno set; then abandon the file. Distributions follow through distribution_write. */
bool kl_base_create(whole_file *out, const char *path, const chunks *text);
/* Reads the chunks (ids freed with free()) from the start of a base file; distributions follow
 * through distribution_read. NULL, or a sentence about what is wrong; then text->ids is NULL. */
const char *kl_base_read(FILE *in, chunks *text);
/* The same for the file at a path, which it opens; *in is NULL when something is wrong. */
const char *kl_base_open(const char *path, FILE **in, chunks *text);

#endif
