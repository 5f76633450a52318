// SPDX-License-Identifier: Apache-2.0
/* The buffers of a vision call and its parts. Private to this room. */
#ifndef EW_MODEL_VISION_PASS_H
#define EW_MODEL_VISION_PASS_H

#include "model/vision.h"

/* Patches that go through the wide layers together: enough to use the weights well, few enough that
 * their activations stay small. A multiple of EW__TOKEN_PATCHES. */
#define EW__VISION_CHUNK 512u
/* Patches of a pass that may hold several temporal patches. */
#define EW__VISION_PASS_PATCHES 2048u

/* One pass: whole temporal patches, `frames` of them with `frame` = h x w patches each. */
struct ew__vision_pass {
    const struct ew__vision *vision;
    struct ew__pool *pool;
    const struct ew__vision_input *input;
    uint32_t frame, frames;
    size_t n;             /* patches of this pass: frame x frames */
    const float *patches; /* [n][1536] */
    float *features;      /* [n / 4][n_out] */
    /* Buffers. */
    float *x;             /* [n][h] residual stream */
    float *mixed;         /* [n][h] attention output, head by head */
    float *heads;         /* [3][n_head][n][head_dim]: rotated and scaled queries, keys, values */
    float *normed;        /* [chunk][h] */
    float *wide;          /* [chunk][max(3h, i)] */
    float *cosine, *sine; /* [max(h, w) of the grid][head_dim / 4] of a row or column */
};

static inline uint32_t ew__vision_head_dim(const struct ew__vision *vision) {
    return vision->shape.n_embd / vision->shape.n_head;
}

static inline void ew__vision_trace(const struct ew__vision_pass *pass, const char *what,
                                    uint32_t layer, const float *values, size_t rows,
                                    size_t columns) {
    if (pass->input->trace != NULL)
        pass->input->trace(pass->input->trace_context, what, layer, values, rows, columns, columns);
}

/* Angles of the rows and columns of the grid, for all blocks. */
void ew__vision_rope_tables(struct ew__vision_pass *pass);
/* t rows of 3h from patch `first` on, pass->wide -> pass->heads: split, rotate, scale. */
void ew__vision_place_heads(struct ew__vision_pass *pass, size_t first, size_t t);
/* pass->heads -> pass->mixed, each temporal patch within itself. */
void ew__vision_attend(struct ew__vision_pass *pass);
size_t ew__vision_attention_scratch_bytes(const struct ew__vision *vision);

#endif
