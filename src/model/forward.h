// SPDX-License-Identifier: Apache-2.0
/* The forward pass of the text model: tokens of one or several sequences in, final hidden states
 * and logits out. It cannot fail and allocates nothing: the caller has checked the batch and owns
 * every byte. Results do not depend on how tokens are grouped into calls (docs/architecture.md). */
#ifndef EW_MODEL_FORWARD_H
#define EW_MODEL_FORWARD_H

#include "kernels/pool.h"
#include "model/memory.h"
#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Consecutive tokens of one sequence inside a batch. */
struct ew__run {
    uint32_t first, n;  /* tokens first .. first+n-1 of the batch */
    uint32_t n_past;    /* tokens of the sequence before them */
    void *const *pages; /* pages for n_past + n tokens */
    float *state;       /* recurrent state after n_past tokens; updated in place */
};

struct ew__batch {
    uint32_t n_tokens;
    const int32_t *tokens;         /* ids, or -1: the token's row of `embeddings` instead */
    const float *embeddings;       /* [n_tokens][H]; may be NULL when no token is -1 */
    const int32_t (*positions)[3]; /* T, H, W of each token; the same number three times for text */
    const struct ew__run *runs;
    uint32_t n_runs;
};

/* Called with intermediate values, for tests and study: `what` as in the reference data
 * ("attn_norm", "conv_silu"...), rows of `columns` floats with distance ld. */
typedef void ew__trace_fn(void *context, const char *what, uint32_t layer, const float *values,
                          size_t rows, size_t columns, size_t ld);

/* What a screening of the head needs (model/head.h), and how the last ones went. */
struct ew__head_screen {
    bool usable;
    float *top;               /* [panels] */
    uint32_t *list;           /* [panels] */
    float *d, *e;             /* [H / 32], [H / 16]: struct ew__screen */
    uint32_t rest, next_rest; /* plain passes until the next try; after a failed one */
    uint64_t n_screened, n_failed;
    uint64_t n_computed; /* panels computed in those that did not fail */
};

/* Called with the input of every weight matrix before it is multiplied: x->t rows of w->n floats,
 * x->ldx apart. Of the head, the states after the final norm of every token of a pass. */
typedef void ew__watch_fn(void *context, const struct ew__matrix *w, const struct ew__acts *x);

struct ew__workspace {
    const struct ew__model *model;
    struct ew__pool *pool; /* borrowed */
    struct ew__memory_layout layout;
    uint32_t max_tokens; /* tokens of a batch at most */
    uint32_t max_ctx;    /* positions of a sequence at most */
    bool exact;          /* f32 activations throughout: the reference mode */
    ew__trace_fn *trace; /* or NULL */
    void *trace_context;
    ew__watch_fn *watch; /* or NULL */
    void *watch_context;
    struct ew__head_screen screen; /* its arrays, too, are in the arena */
    /* Buffers, [max_tokens][...] floats each. */
    float *x;               /* [H] residual stream */
    float *normed;          /* [H] */
    float *wide;            /* qkv | query and gate | ffn gate */
    float *wide2;           /* keys and values | ffn up; for the trace, convolved qkv */
    float *narrow;          /* z | queries */
    float *mixed;           /* output of the mixer before its projection */
    float *heads;           /* [4][n_v_head]: a, b, then (for the trace) alpha, beta */
    float *out;             /* [H] projection to be added to x */
    float *cosine, *sine;   /* [n_rot / 2] */
    float *inv_freq;        /* [n_rot / 2], and the YaRN attention factor behind them */
    float *partial;         /* [spans][n_head][head_dim + 2]: one token's attention, span by span */
    struct ew__qact q;      /* quantised activations: the widest input, or two terms of one of the
                             * delta layers */
    struct ew__arena arena; /* owns the above */
};

/* Bytes of scratch that the pool's threads need for this model. */
size_t ew__forward_scratch_bytes(const struct ew__model *model);

struct ew__workspace_options {
    uint32_t max_tokens, max_ctx;
    ew__dtype kv_type;
    bool exact, with_mtp;
    bool plain_head; /* ew__head_best computes every logit */
};
ew_status ew__workspace_init(struct ew__workspace *ws, const struct ew__model *model,
                             struct ew__pool *pool, const struct ew__workspace_options *options);
void ew__workspace_release(struct ew__workspace *ws);

/* Runs the layers; hidden[n_tokens][H] gets the state after the final norm of every token. May be
 * NULL when no output is wanted (prefill): only the sequences' memories are then advanced. */
void ew__forward(struct ew__workspace *ws, const struct ew__batch *batch, float *hidden);

/* logits[n][n_vocab] from n (<= max_tokens) final hidden states. */
void ew__head(struct ew__workspace *ws, const float *hidden, size_t n, float *logits);

/* The MTP block: from hidden states h (after the final norm) and the tokens that follow them, the
 * block's own hidden states, which feed the head and further drafts. It has its own page layer. */
void ew__mtp_forward(struct ew__workspace *ws, const struct ew__batch *next, const float *h,
                     float *hidden);

#endif
