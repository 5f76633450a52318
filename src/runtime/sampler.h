// SPDX-License-Identifier: Apache-2.0
/* Choosing a token from logits. Pure functions over scratch that the session owns.
 *
 * Order (that of vLLM, under which the model cards' figures were tuned): temperature, min_p, top_k,
 * top_p, draw. Candidates are ordered by logit, then by id, so that the same seed draws the same.
 */
#ifndef EW_RUNTIME_SAMPLER_H
#define EW_RUNTIME_SAMPLER_H

#include "edgewise/edgewise.h"

struct ew__candidate {
    float logit;
    int32_t id;
};

struct ew__candidates {
    struct ew__candidate *items;
    size_t capacity;
};

ew_status ew__candidates_init(struct ew__candidates *candidates, size_t n_vocab);
void ew__candidates_release(struct ew__candidates *candidates);

ew_status ew__sampling_check(const ew_sampling *sampling);

/* n logits (n <= capacity) -> id. *random advances by one number per draw, none for temperature 0.
 */
int32_t ew__sample(struct ew__candidates *candidates, const float *logits, size_t n,
                   const ew_sampling *sampling, uint64_t *random);

/* Uniform in [0, 1): 53 bits of SplitMix64 (Steele, Lea, Flood 2014). */
double ew__random_uniform(uint64_t *state);

#endif
