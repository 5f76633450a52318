// SPDX-License-Identifier: Apache-2.0
/* A decoder layer: x += mixer(norm(x)); x += ffn(norm(x)). */
#include "model/blocks.h"

void ew__project(struct ew__workspace *ws, const struct ew__matrix *w, const struct ew__acts *x,
                 float *y, size_t ldy) {
    ew__watch(ws, w, x);
    ew__matmul(ws->model->kernels, ws->pool, w, x, ws->exact, y, ldy);
}

void ew__project_list(struct ew__workspace *ws, const struct ew__product *products, size_t n,
                      const struct ew__acts *x) {
    for (size_t i = 0; i < n; i++)
        ew__watch(ws, products[i].w, x);
    ew__matmul_list(ws->model->kernels, ws->pool, products, n, x);
}

/* x += out, then out = down( silu(gate norm(x)) * (up norm(x)) ) */
static void feed_forward(struct ew__workspace *ws, const struct ew__layer_weights *w, size_t t,
                         uint32_t layer) {
    const struct ew__config *c = ws->model->config;
    const struct ew__matrix *const in[] = {&w->gate, &w->up}, *const out[] = {&w->down};
    struct ew__acts acts =
        ew__norm_acts(ws, ws->out, w->post_norm, t, &(struct ew__inputs){in, 2, false});
    ew__trace(ws, "post_attention_layernorm", layer, ws->normed, t, c->n_embd, c->n_embd);
    const struct ew__product products[] = {{&w->gate, ws->wide, c->n_ff, EW__COARSE},
                                           {&w->up, ws->wide2, c->n_ff, EW__COARSE}};
    ew__project_list(ws, products, 2, &acts);
    acts = ew__silu_acts(ws, ws->wide, ws->wide2, c->n_ff, t, &(struct ew__inputs){out, 1, false});
    ew__project(ws, &w->down, &acts, ws->out, c->n_embd);
    ew__trace(ws, "mlp", layer, ws->out, t, c->n_embd, c->n_embd);
}

void ew__decoder_layer(struct ew__workspace *ws, const struct ew__layer_weights *w,
                       const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    size_t t = batch->n_tokens, H = ws->model->config->n_embd;
    if (w->is_full)
        ew__attention_mixer(ws, w, batch, layer, index);
    else
        ew__delta_mixer(ws, w, batch, layer, index);
    feed_forward(ws, w, t, layer);
    ew__add_out(ws, t);
    ew__trace(ws, "hidden", layer, ws->x, t, H, H);
}
