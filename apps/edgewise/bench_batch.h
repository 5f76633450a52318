// SPDX-License-Identifier: Apache-2.0
/* Several sequences that edgewise bench decodes together, one token of each per pass. */
#ifndef EDGEWISE_APP_BENCH_BATCH_H
#define EDGEWISE_APP_BENCH_BATCH_H

#include "edgewise/edgewise.h"

#include <stddef.h>
#include <stdint.h>

enum { BENCH_SEQUENCES_MAX = 64 };

typedef struct bench_batch {
    ew_session *sessions[BENCH_SEQUENCES_MAX];
    int32_t next[BENCH_SEQUENCES_MAX]; /* the token that each reads in the next pass */
    size_t n;                          /* sequences; 0: not open */
} bench_batch;

/* n sessions of n_ctx positions, owned by the batch until it is closed, also after a failure. */
ew_status bench_batch_open(bench_batch *batch, ew_model *model, size_t n, size_t n_ctx);
void bench_batch_close(bench_batch *batch);

/* Puts every session where the snapshot was taken (NULL: to no tokens), to go on with first[i]. */
ew_status bench_batch_start(bench_batch *batch, const ew_snapshot *at, const int32_t *first);
/* One pass: a token of each sequence, chosen greedily from the logits of the one before. */
ew_status bench_batch_step(bench_batch *batch);

#endif
