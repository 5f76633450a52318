// SPDX-License-Identifier: Apache-2.0
/* The distribution of the next token, as much of it as matters: what a base file keeps of each
 * position, and what another model's logits are compared with.
 *
 * Kept are the tokens whose probabilities, from the largest down, leave at most REST_MASS to all
 * others; the others stand together as one rest. A log-probability is kept in steps of 1/2048,
 * which moves a mean divergence by less than 1e-6 where it is measured over thousands of positions.
 */
#ifndef EDGEWISE_APP_DISTRIBUTION_H
#define EDGEWISE_APP_DISTRIBUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DISTRIBUTION_REST_MASS 0x1p-14

typedef struct distribution {
    uint32_t n_vocab;
    uint32_t n;      /* kept */
    int32_t best;    /* the most likely, the lowest id among equals */
    float rest;      /* probability of all that are not kept */
    float next;      /* ln of the probability of the token that came, kept or not */
    int32_t *ids;    /* [n] ascending */
    uint16_t *codes; /* [n] -2048 ln p, at most 65535 */
} distribution;

/* Room for n_vocab tokens; false without memory. */
bool distribution_new(distribution *d, uint32_t n_vocab);
void distribution_free(distribution *d);

/* ln of the sum of exp of n logits, and the place of the largest. */
double distribution_log_sum(const float *logits, size_t n, int32_t *best);

/* What matters of the softmax of n_vocab logits, whose distribution_log_sum is given; `came` is the
 * token that follows in the text. */
void distribution_keep(distribution *d, const float *logits, double log_sum, int32_t best,
                       int32_t came);

/* Kullback-Leibler divergence of the softmax of the logits from d, in nats: sum of
 * p (ln p - ln q) over the kept tokens p and the rest. Not negative but for rounding. */
double distribution_divergence(const distribution *d, const float *logits, double log_sum);

/* Both return false at an error or, reading, at what no distribution_write can have written. */
bool distribution_write(const distribution *d, FILE *out);
bool distribution_read(distribution *d, FILE *in);

#endif
