// SPDX-License-Identifier: Apache-2.0
/* The exactness contract as checks: however the work is cut, the logits are the same bits.
 *
 * Each of a few token sequences is evaluated once in the plainest way (one thread, one session) and
 * its logits after the prompt and after each greedily chosen token are kept. A check then does the
 * same work in another way and compares the bytes. */
#ifndef EDGEWISE_APP_SELFTEST_H
#define EDGEWISE_APP_SELFTEST_H

#include "edgewise/edgewise.h"

enum { SELFTEST_STEPS = 16, SELFTEST_SEQUENCES = 5, SELFTEST_CHUNK = 512 };

typedef struct sequence {
    const int32_t *prompt;
    size_t n_prompt;
    float *rows;                      /* [SELFTEST_STEPS + 1][n_vocab] */
    int32_t next[SELFTEST_STEPS + 1]; /* greedy choice after each row */
} sequence;

/* Where logits first differ. step 0 is after the prompt. */
typedef struct difference {
    bool found;
    size_t which, step, index; /* sequence, row, token id */
    float expected, got;
} difference;

typedef struct selftest {
    ew_model *model;
    size_t n_vocab;
    uint32_t threads;                       /* for checks that are not about threads */
    sequence sequences[SELFTEST_SEQUENCES]; /* [0] is the longest */
    bool recorded;                          /* rows hold the reference; else they are being made */
    difference difference;
    ew_session *sessions[SELFTEST_SEQUENCES]; /* of the check that runs */
    ew_snapshot *snapshot;
} selftest;

typedef struct check {
    const char *name;
    ew_status (*run)(selftest *t, size_t parameter);
    size_t parameter;
    uint32_t n_batch; /* the model is opened with */
    bool essential;   /* also for large models */
    bool differs;     /* the control: other tokens, so that a difference must be found */
} check;

extern const check SELFTEST_CHECKS[];
extern const size_t SELFTEST_N_CHECKS;

/* Makes the reference rows of all sequences. */
ew_status selftest_record(selftest *t);
/* Runs one check; t->difference tells what it found. Leaves no session behind. */
ew_status selftest_check(selftest *t, const check *c);

#endif
