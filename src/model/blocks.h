// SPDX-License-Identifier: Apache-2.0
/* The parts of a decoder layer, shared by the main stack and the MTP block. Private to this room.
 */
#ifndef EW_MODEL_BLOCKS_H
#define EW_MODEL_BLOCKS_H

#include "model/forward.h"

/* Tells the trace, if any. */
static inline void ew__trace(const struct ew__workspace *ws, const char *what, uint32_t layer,
                             const float *values, size_t rows, size_t columns, size_t ld) {
    if (ws->trace != NULL)
        ws->trace(ws->trace_context, what, layer, values, rows, columns, ld);
}

/* Tells the watch, if any. */
static inline void ew__watch(const struct ew__workspace *ws, const struct ew__matrix *w,
                             const struct ew__acts *x) {
    if (ws->watch != NULL)
        ws->watch(ws->watch_context, w, x);
}

/* Matrices that read one input. With `refine` it gets a second term: 15 bits instead of 8, twice
 * the products. For the inputs of the delta rule and its output projection, whose rounding the
 * recurrence carries on: on the interop models they make four fifths of the whole error
 * (docs/kernels.md). */
struct ew__inputs {
    const struct ew__matrix *const *w; /* [n] */
    size_t n;
    bool refine;
};

/* Activations x[t][n] for the matrices: quantised when one of them reads int8 and the workspace is
 * not exact. The quantised form lives in ws->q until the next call. */
struct ew__acts ew__prepare_acts(struct ew__workspace *ws, const float *x, size_t ldx, size_t t,
                                 const struct ew__inputs *inputs);
/* The same after ws->x += add (t rows of H; NULL: nothing) and ws->normed = rms_norm(ws->x) * w,
 * which is the input: the step from one block of the network to the next. */
struct ew__acts ew__norm_acts(struct ew__workspace *ws, const float *add, const float *w, size_t t,
                              const struct ew__inputs *inputs);
/* The same after gate = silu(gate) * up, t rows of n, which is the input. */
struct ew__acts ew__silu_acts(struct ew__workspace *ws, float *gate, const float *up, size_t n,
                              size_t t, const struct ew__inputs *inputs);
/* y[j*ldy + i] = (W x_j)_i, with second terms where x has them. */
void ew__project(struct ew__workspace *ws, const struct ew__matrix *w, const struct ew__acts *x,
                 float *y, size_t ldy);
/* Several of them in one parallel region, each with its own precision (kernels/matmul.h). */
void ew__project_list(struct ew__workspace *ws, const struct ew__product *products, size_t n,
                      const struct ew__acts *x);
/* y = rms_norm(ws->x) * w for t rows of H. */
void ew__norm_rows(struct ew__workspace *ws, const float *w, float *y, size_t t);
/* ws->x += ws->out over t rows of H. */
void ew__add_out(struct ew__workspace *ws, size_t t);

/* Mixers: from ws->x through the layer's first norm to ws->out. `index` counts the layers of the
 * kind. */
void ew__attention_mixer(struct ew__workspace *ws, const struct ew__layer_weights *layer_weights,
                         const struct ew__batch *batch, uint32_t layer, uint32_t index);
void ew__delta_mixer(struct ew__workspace *ws, const struct ew__layer_weights *layer_weights,
                     const struct ew__batch *batch, uint32_t layer, uint32_t index);
/* A whole layer over ws->x. */
void ew__decoder_layer(struct ew__workspace *ws, const struct ew__layer_weights *w,
                       const struct ew__batch *batch, uint32_t layer, uint32_t index);

/* Rotary tables of a batch: ws->cosine, ws->sine from the positions. */
void ew__rope_init(struct ew__workspace *ws);
void ew__rope_tables(struct ew__workspace *ws, const struct ew__batch *batch);

/* Scratch of one thread in the delta mixer and in attention. */
size_t ew__delta_scratch_bytes(const struct ew__config *config);
size_t ew__attention_scratch_bytes(const struct ew__config *config);

#endif
