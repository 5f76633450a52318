// SPDX-License-Identifier: Apache-2.0
/* Gated DeltaNet (Yang, Kautz, Hatamizadeh 2024, arXiv 2412.06464) as Qwen3.5 has it: projections,
 * short causal convolution, the gated delta rule, gated norm.
 *
 * The rule runs in its sequential form everywhere, prefill and decoding alike: columns of the state
 * are independent of each other, so a work item takes one block of columns of one head through all
 * tokens of a run with the block in L1. The result does not depend on chunk or thread count. */
#include "model/blocks.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

struct delta_task {
    struct ew__workspace *ws;
    const struct ew__delta_weights *w;
    const struct ew__batch *batch;
    uint32_t index;
};

enum { conv_block = 256 };

/* Item = run x block of channels. Afterwards the last three rows are kept for the next call. */
static void conv_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct delta_task *task = context;
    struct ew__workspace *ws = task->ws;
    size_t C = ew__conv_width(ws->model->config), blocks = (C + conv_block - 1) / conv_block;
    for (size_t item = begin; item < end; item++) {
        const struct ew__run *run = &task->batch->runs[item / blocks];
        size_t c = item % blocks * conv_block, n = ew__min_size(conv_block, C - c);
        float *past = ew__conv_state(&ws->layout, run->state, task->index) + c;
        const float *u = ws->wide + run->first * C + c;
        ws->model->kernels->conv4_silu(past, C, u, C, task->w->conv + c, C,
                                       ws->wide2 + run->first * C + c, C, n, run->n);
        for (size_t row = 0; row < EW__CONV_ROWS; row++) { // row of the new past, oldest first
            size_t from = row + run->n;
            const float *source =
                from < EW__CONV_ROWS ? past + from * C : u + (from - EW__CONV_ROWS) * C;
            memmove(past + row * C, source, n * sizeof *past);
        }
    }
}

/* Per token: unit queries and keys; decay alpha = exp(g) and strength beta of every value head. */
static void gates_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct delta_task *task = context;
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    size_t C = ew__conv_width(c), K = ew__key_width(c), nv = c->n_v_head;
    const float q_scale = 1.0f / sqrtf((float)c->k_head_dim);
    for (size_t t = begin; t < end; t++) {
        float *q = ws->wide2 + t * C, *k = q + K, *heads = ws->heads + t * 4 * nv;
        for (uint32_t h = 0; h < c->n_k_head; h++) {
            ws->model->kernels->l2_norm(q + h * c->k_head_dim, c->k_head_dim, 1e-6f, q_scale);
            ws->model->kernels->l2_norm(k + h * c->k_head_dim, c->k_head_dim, 1e-6f, 1.0f);
        }
        for (size_t h = 0; h < nv; h++) {
            float a = heads[h] + task->w->dt_bias[h];
            float softplus = a > 20.0f ? a : log1pf(expf(a));
            heads[2 * nv + h] = expf(task->w->decay[h] * softplus);
            heads[3 * nv + h] = 1.0f / (1.0f + expf(-heads[nv + h]));
        }
    }
}

/* Item = run x value head x block of columns. */
static void rule_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct delta_task *task = context;
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    size_t dk = c->k_head_dim, dv = c->v_head_dim, nv = c->n_v_head, V = nv * dv;
    size_t blocks = (dv + EW__DELTA_COLUMNS - 1) / EW__DELTA_COLUMNS, C = ew__conv_width(c);
    size_t K = ew__key_width(c);
    for (size_t item = begin; item < end; item++) {
        const struct ew__run *run = &task->batch->runs[item / (nv * blocks)];
        size_t h = item / blocks % nv, column = item % blocks * EW__DELTA_COLUMNS;
        size_t key_head = c->v_heads_grouped ? h / (nv / c->n_k_head) : h % c->n_k_head;
        size_t columns = ew__min_size(EW__DELTA_COLUMNS, dv - column);
        float *S =
            ew__delta_state(&ws->layout, run->state, task->index) + h * dk * dv + column * dk;
        const float *token = ws->wide2 + run->first * C, *heads = ws->heads + run->first * 4 * nv;
        ws->model->kernels->delta_rule(
            S, dk, columns, token + key_head * dk, token + K + key_head * dk, C,
            token + 2 * K + h * dv + column, C, heads + 2 * nv + h, heads + 3 * nv + h, 4 * nv,
            ws->mixed + run->first * V + h * dv + column, V, run->n);
    }
}

/* Per token: RMS norm of each head's output, times silu(z). The heads land in ws->wide in GGUF's
 * tiled order, which the columns of ssm_out have in every container (model/bind.c). */
static void gated_norm_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct delta_task *task = context;
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    size_t dv = c->v_head_dim, V = ew__value_width(c);
    for (size_t t = begin; t < end; t++)
        for (uint32_t place = 0; place < c->n_v_head; place++) {
            uint32_t h = c->v_heads_grouped ? ew__v_head_at(c, place) : place;
            float *y = ws->wide + t * V + place * dv;
            const float *z = ws->narrow + t * V + h * dv;
            ws->model->kernels->rms_norm(ws->mixed + t * V + h * dv, task->w->norm, y, dv,
                                         c->rms_eps);
            ws->model->kernels->silu_mul(z, y, y, dv);
        }
}

static void project_inputs(struct ew__workspace *ws, const struct ew__delta_weights *w, size_t t,
                           uint32_t layer) {
    const struct ew__config *c = ws->model->config;
    size_t C = ew__conv_width(c), V = ew__value_width(c), nv = c->n_v_head;
    const struct ew__matrix *const in[] = {&w->qkv, &w->z};
    struct ew__acts acts = ew__prepare_acts(ws, ws->normed, c->n_embd, t, in, 2);
    ew__project(ws, &w->z, &acts, ws->narrow, V);
    ew__refine_acts(ws, &acts, c->n_embd);
    ew__project(ws, &w->qkv, &acts, ws->wide, C);
    ew__project_exact(ws, &w->a, &acts, ws->heads, 4 * nv);
    ew__project_exact(ws, &w->b, &acts, ws->heads + nv, 4 * nv);
    ew__trace(ws, "in_proj_qkv", layer, ws->wide, t, C, C);
    ew__trace(ws, "in_proj_z", layer, ws->narrow, t, V, V);
    ew__trace(ws, "in_proj_a", layer, ws->heads, t, nv, 4 * nv);
    ew__trace(ws, "in_proj_b", layer, ws->heads + nv, t, nv, 4 * nv);
}

void ew__delta_mixer(struct ew__workspace *ws, const struct ew__delta_weights *w,
                     const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    const struct ew__config *c = ws->model->config;
    size_t t = batch->n_tokens, C = ew__conv_width(c), V = ew__value_width(c), nv = c->n_v_head;
    size_t column_blocks = (c->v_head_dim + EW__DELTA_COLUMNS - 1) / EW__DELTA_COLUMNS;
    struct delta_task task = {.ws = ws, .w = w, .batch = batch, .index = index};
    project_inputs(ws, w, t, layer);
    ew__pool_run(ws->pool, batch->n_runs * ((C + conv_block - 1) / conv_block), 1, conv_task,
                 &task);
    ew__trace(ws, "conv_silu", layer, ws->wide2, t, C, C);
    ew__pool_run(ws->pool, t, 4, gates_task, &task);
    ew__trace(ws, "alpha", layer, ws->heads + 2 * nv, t, nv, 4 * nv);
    ew__trace(ws, "beta", layer, ws->heads + 3 * nv, t, nv, 4 * nv);
    ew__pool_run(ws->pool, batch->n_runs * nv * column_blocks, 1, rule_task, &task);
    ew__trace(ws, "core_attn_out", layer, ws->mixed, t, V, V);
    ew__pool_run(ws->pool, t, 4, gated_norm_task, &task);
    ew__trace(ws, "gated_norm", layer, ws->wide, t, V, V);
    const struct ew__matrix *const out[] = {&w->out};
    struct ew__acts acts = ew__prepare_acts(ws, ws->wide, V, t, out, 1);
    ew__refine_acts(ws, &acts, V);
    ew__project(ws, &w->out, &acts, ws->out, c->n_embd);
    ew__trace(ws, "out_proj", layer, ws->out, t, c->n_embd, c->n_embd);
}
