// SPDX-License-Identifier: Apache-2.0
/* The objects behind the public handles. */
#ifndef EW_RUNTIME_ENGINE_H
#define EW_RUNTIME_ENGINE_H

#include "edgewise/edgewise.h"

#include "base/buf.h"
#include "model/forward.h"
#include "model/model.h"
#include "runtime/sampler.h"
#include "tokenizer/tokenizer.h"

#include <pthread.h>
#include <stdatomic.h>

enum { EW__STOP_TOKENS_MAX = 8 };

struct ew_model {
    struct ew__model model;
    struct ew__tokenizer *tokenizer; /* NULL when the checkpoint has none */
    ew_model_options options;        /* defaults filled in */
    struct ew__pool *pool;           /* as many threads as the larger count */
    uint32_t n_threads;              /* of passes with one token per session */
    uint32_t n_threads_batch;        /* of others */
    struct ew__workspace ws;
    float *hidden;           /* [n_batch][H] final states of a pass */
    float *logits_many;      /* [EW__HEAD_ROWS][n_vocab] of positions or sessions together */
    int32_t *batch_tokens;   /* [n_batch] */
    int32_t (*positions)[3]; /* [n_batch] */
    struct ew__arena arena;  /* owns the four above */
    pthread_mutex_t compute; /* held while ws and pool are in use */
    uint32_t n_usable;       /* ids below this may be generated: the rest are unused rows */
    int32_t stop_tokens[EW__STOP_TOKENS_MAX];
    size_t n_stop_tokens;
    char *chat_template; /* NULL when the checkpoint has none */
};

enum { EW__HEAD_ROWS = 8 }; /* rows of logits that are computed together */

struct ew_session {
    ew_model *model;
    uint32_t n_ctx, n_past;
    char *kv;      /* all pages, one behind the other; resident as they are used */
    void **pages;  /* [pages for n_ctx] into kv */
    float *state;  /* recurrent state, layout.state_floats */
    float *logits; /* [n_vocab] after the last token */
    bool has_logits;
    /* The next evaluations need the `want_best` largest usable logits only; 0: all. Of the present
     * ones `has_best` can be relied on, the others may be -infinity; 0: all are there. The state
     * that they were made from is kept for who asks for all. */
    uint32_t want_best, has_best;
    float *last_hidden; /* [H] */
    atomic_bool cancel;
    struct ew__candidates candidates; /* the sampler's scratch */
};

/* Computes the logits that an evaluation for `want_best` left out. */
void ew__session_complete_logits(ew_session *session);

/* EW_STATE for a model that has a tokenizer alone. */
ew_status ew__model_needs_weights(const ew_model *model);

/* True, and the request forgotten, when the session was cancelled. */
bool ew__session_take_cancel(ew_session *session);

#endif
