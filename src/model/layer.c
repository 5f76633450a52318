// SPDX-License-Identifier: Apache-2.0
/* A decoder layer: x += mixer(norm(x)); x += ffn(norm(x)). */
#include "model/blocks.h"

struct rows_task {
    const struct ew__kernels *kernels;
    const float *x, *w;
    float *y;
    size_t n;
    float eps;
};

struct ew__acts ew__prepare_acts(struct ew__workspace *ws, const float *x, size_t ldx, size_t t,
                                 const struct ew__matrix *const *w, size_t n_w) {
    struct ew__acts acts = {.x = x, .ldx = ldx, .t = t};
    for (size_t i = 0; i < n_w && !ws->exact; i++)
        if (ew__matmul_wants_q8(ws->model->kernels, w[i]))
            acts.quantised = true;
    if (acts.quantised)
        ew__quantise_acts(ws->model->kernels, ws->pool, x, ldx, w[0]->n, t, &ws->q);
    acts.q = ws->q;
    return acts;
}

void ew__refine_acts(struct ew__workspace *ws, struct ew__acts *acts, size_t n) {
    if (acts->quantised)
        ew__quantise_rest(ws->model->kernels, ws->pool, acts->x, acts->ldx, n, acts->t, &ws->q);
    acts->q = ws->q;
}

void ew__project(struct ew__workspace *ws, const struct ew__matrix *w, const struct ew__acts *x,
                 float *y, size_t ldy) {
    ew__matmul(ws->model->kernels, ws->pool, w, x, ws->exact, y, ldy);
}

void ew__project_list(struct ew__workspace *ws, const struct ew__product *products, size_t n,
                      const struct ew__acts *x) {
    ew__matmul_list(ws->model->kernels, ws->pool, products, n, x);
}

static void norm_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct rows_task *task = context;
    for (size_t i = begin; i < end; i++)
        task->kernels->rms_norm(task->x + i * task->n, task->w, task->y + i * task->n, task->n,
                                task->eps);
}

void ew__norm_rows(struct ew__workspace *ws, const float *x, const float *w, float *y, size_t t) {
    const struct ew__config *c = ws->model->config;
    struct rows_task task = {ws->model->kernels, x, w, y, c->n_embd, c->rms_eps};
    ew__pool_run(ws->pool, t, 8, norm_task, &task);
}

static void add_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct rows_task *task = context;
    task->kernels->add(task->y + begin * task->n, task->x + begin * task->n,
                       (end - begin) * task->n);
}

void ew__add_rows(struct ew__workspace *ws, float *y, const float *x, size_t t) {
    struct rows_task task = {
        .kernels = ws->model->kernels, .x = x, .y = y, .n = ws->model->config->n_embd};
    ew__pool_run(ws->pool, t, 16, add_task, &task);
}

struct silu_task {
    const struct ew__kernels *kernels;
    float *gate;
    const float *up;
    size_t n;
};

static void silu_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct silu_task *task = context;
    for (size_t i = begin; i < end; i++)
        task->kernels->silu_mul(task->gate + i * task->n, task->up + i * task->n,
                                task->gate + i * task->n, task->n);
}

/* down( silu(gate x) * (up x) ) */
void ew__feed_forward(struct ew__workspace *ws, const struct ew__layer_weights *w, size_t t,
                      uint32_t layer) {
    const struct ew__config *c = ws->model->config;
    const struct ew__matrix *const in[] = {&w->gate, &w->up}, *const out[] = {&w->down};
    struct ew__acts acts = ew__prepare_acts(ws, ws->normed, c->n_embd, t, in, 2);
    const struct ew__product products[] = {{&w->gate, ws->wide, c->n_ff, EW__COARSE},
                                           {&w->up, ws->wide2, c->n_ff, EW__COARSE}};
    ew__project_list(ws, products, 2, &acts);
    struct silu_task task = {ws->model->kernels, ws->wide, ws->wide2, c->n_ff};
    ew__pool_run(ws->pool, t, 2, silu_task, &task);
    acts = ew__prepare_acts(ws, ws->wide, c->n_ff, t, out, 1);
    ew__project(ws, &w->down, &acts, ws->out, c->n_embd);
    ew__trace(ws, "mlp", layer, ws->out, t, c->n_embd, c->n_embd);
}

void ew__decoder_layer(struct ew__workspace *ws, const struct ew__layer_weights *w,
                       const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    size_t t = batch->n_tokens, H = ws->model->config->n_embd;
    ew__norm_rows(ws, ws->x, w->attn_norm, ws->normed, t);
    ew__trace(ws, "input_layernorm", layer, ws->normed, t, H, H);
    if (w->is_full)
        ew__attention_mixer(ws, &w->attention, batch, layer, index);
    else
        ew__delta_mixer(ws, &w->delta, batch, layer, index);
    ew__add_rows(ws, ws->x, ws->out, t);
    ew__norm_rows(ws, ws->x, w->post_norm, ws->normed, t);
    ew__trace(ws, "post_attention_layernorm", layer, ws->normed, t, H, H);
    ew__feed_forward(ws, w, t, layer);
    ew__add_rows(ws, ws->x, ws->out, t);
    ew__trace(ws, "hidden", layer, ws->x, t, H, H);
}
