// SPDX-License-Identifier: Apache-2.0
/* A model with one sequence, driven below the public API, for tests that look inside. */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include "model/forward.h"

struct rig_options {
    uint32_t n_threads, max_tokens, max_ctx;
    ew__dtype kv_type;
    bool exact, with_mtp;
    const char *isa;
};

struct rig {
    struct ew__model model;
    struct ew__pool *pool;
    struct ew__workspace ws;
    void **pages;
    size_t n_pages;
    float *state;
    uint32_t n_past;
    int32_t rope_delta; /* added to the index to give the position of text */
};

/* Zero fields of options: 1 thread, 512 tokens, 512 positions, F32 keys and values. */
void rig_open(struct rig *rig, const char *path, const struct rig_options *options);
void rig_close(struct rig *rig);
void rig_reset(struct rig *rig);
/* Advances by n <= max_tokens tokens; hidden[n][H] and logits[n][V] where not NULL. positions and
 * embeddings as in struct ew__batch, NULL for text. */
void rig_eval(struct rig *rig, const int32_t *tokens, size_t n, const int32_t (*positions)[3],
              const float *embeddings, float *hidden, float *logits);
/* One pass of the MTP block over n tokens at positions first..; its keys go to the last page layer.
 */
void rig_mtp(struct rig *rig, uint32_t first, const int32_t *tokens, size_t n, const float *h,
             float *hidden);

#endif
