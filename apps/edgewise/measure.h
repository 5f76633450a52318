// SPDX-License-Identifier: Apache-2.0
/* Small things that measuring commands share. */
#ifndef EDGEWISE_APP_MEASURE_H
#define EDGEWISE_APP_MEASURE_H

#include "edgewise/edgewise.h"

/* Of n > 0 values, which are put in order. */
typedef struct spread {
    double median, least, most;
} spread;
spread measure_spread(double *values, size_t n);

/* n ids below n_vocab, the same ones for the same seed (SplitMix64). */
void measure_ids(int32_t *ids, size_t n, size_t n_vocab, uint64_t seed);

/* The most likely token after the session's last one; the session holds at least one. */
int32_t measure_greedy(ew_session *session);

#endif
