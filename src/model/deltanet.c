// SPDX-License-Identifier: Apache-2.0
/* Gated DeltaNet (Yang, Kautz, Hatamizadeh 2024, arXiv 2412.06464) as Qwen3.5 has it: projections,
 * short causal convolution, the gated delta rule, gated norm.
 *
 * What lies between the projections touches one key head and its value heads alone, so it is one
 * parallel region: a work item takes a key head through all tokens of a run, a few tokens at a
 * time, and what the steps hand to each other stays in the thread's scratch, in L1 and L2.
 *
 * The rule runs in its sequential form everywhere, prefill and decoding alike: columns of the state
 * are independent of each other. The result does not depend on chunk or thread count. */
#include "model/blocks.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 32 }; /* tokens that take a step together */

/* Scratch of an item for a chunk. A row of `conv` is [q][k][v of each value head]. */
struct delta_chunk {
    float *conv;         /* [CHUNK][ld] convolved inputs, then unit queries and keys */
    float *out;          /* [CHUNK][v_head_dim] of one value head */
    float *alpha, *beta; /* [value heads of the key head][CHUNK] */
    size_t ld, first, n; /* tokens first .. first + n - 1 of the batch */
};

struct delta_task {
    struct ew__workspace *ws;
    const struct ew__delta_weights *w;
    const struct ew__batch *batch;
    uint32_t index;
};

/* A key head of a run. */
struct delta_item {
    const struct delta_task *task;
    const struct ew__config *c;
    const struct ew__kernels *kernels;
    const struct ew__run *run;
    size_t key_head, n_v; /* value heads of the key head */
};

static size_t row_floats(const struct ew__config *c) {
    return 2 * (size_t)c->k_head_dim + (size_t)(c->n_v_head / c->n_k_head) * c->v_head_dim;
}

size_t ew__delta_scratch_bytes(const struct ew__config *c) {
    size_t n_v = c->n_v_head / c->n_k_head;
    return CHUNK * (row_floats(c) + c->v_head_dim + 2 * n_v) * sizeof(float);
}

/* Value head i of the key head, in the order of the model's heads. */
static size_t v_head(const struct delta_item *item, size_t i) {
    const struct ew__config *c = item->c;
    return c->v_heads_grouped ? item->key_head * item->n_v + i : item->key_head + i * c->n_k_head;
}

/* Part 0 is the query, 1 the key, 2 + i value head i: channels of it, its first channel among all,
 * and its first column in a chunk's row. */
struct part {
    size_t n, channel, column;
};

static struct part part_of(const struct delta_item *item, size_t part) {
    const struct ew__config *c = item->c;
    size_t dk = c->k_head_dim, dv = c->v_head_dim;
    if (part < 2)
        return (struct part){dk, part * ew__key_width(c) + item->key_head * dk, part * dk};
    return (struct part){dv, 2 * ew__key_width(c) + v_head(item, part - 2) * dv,
                         2 * dk + (part - 2) * dv};
}

static float *conv_past(const struct delta_item *item) {
    return ew__conv_state(&item->task->ws->layout, item->run->state, item->task->index);
}

static void convolve(const struct delta_item *item, const struct delta_chunk *chunk) {
    const struct ew__workspace *ws = item->task->ws;
    size_t C = ew__conv_width(item->c);
    bool is_first = chunk->first == item->run->first;
    for (size_t p = 0; p < 2 + item->n_v; p++) {
        struct part part = part_of(item, p);
        const float *u = ws->wide + chunk->first * C + part.channel;
        const float *past = is_first ? conv_past(item) + part.channel : u - EW__CONV_ROWS * C;
        item->kernels->conv4_silu(past, C, u, C, item->task->w->conv + part.channel, C,
                                  chunk->conv + part.column, chunk->ld, part.n, chunk->n);
    }
}

/* Keeps the run's last three rows for the next call. */
static void keep_rows(const struct delta_item *item) {
    const struct ew__workspace *ws = item->task->ws;
    size_t C = ew__conv_width(item->c), n = item->run->n;
    for (size_t p = 0; p < 2 + item->n_v; p++) {
        struct part part = part_of(item, p);
        float *past = conv_past(item) + part.channel;
        const float *u = ws->wide + item->run->first * C + part.channel;
        for (size_t row = 0; row < EW__CONV_ROWS; row++) { // row of the new past, oldest first
            size_t from = row + n;
            const float *source =
                from < EW__CONV_ROWS ? past + from * C : u + (from - EW__CONV_ROWS) * C;
            memmove(past + row * C, source, part.n * sizeof *past);
        }
    }
}

/* Unit queries and keys. */
static void normalise(const struct delta_item *item, const struct delta_chunk *chunk) {
    size_t dk = item->c->k_head_dim;
    const float q_scale = 1.0f / sqrtf((float)dk);
    for (size_t t = 0; t < chunk->n; t++) {
        float *row = chunk->conv + t * chunk->ld;
        item->kernels->l2_norm(row, dk, 1e-6f, q_scale);
        item->kernels->l2_norm(row + dk, dk, 1e-6f, 1.0f);
    }
}

/* Decay alpha = exp(g) and strength beta of the value heads. */
static void gates(const struct delta_item *item, const struct delta_chunk *chunk) {
    const struct delta_task *task = item->task;
    size_t nv = item->c->n_v_head;
    for (size_t i = 0; i < item->n_v; i++) {
        size_t h = v_head(item, i);
        for (size_t t = 0; t < chunk->n; t++) {
            float *heads = task->ws->heads + (chunk->first + t) * 4 * nv + h;
            float a = heads[0] + task->w->dt_bias[h];
            float softplus = a > 20.0f ? a : log1pf(expf(a));
            float alpha = expf(task->w->decay[h] * softplus);
            float beta = 1.0f / (1.0f + expf(-heads[nv]));
            chunk->alpha[i * CHUNK + t] = alpha;
            chunk->beta[i * CHUNK + t] = beta;
            if (task->ws->trace != NULL) {
                heads[2 * nv] = alpha;
                heads[3 * nv] = beta;
            }
        }
    }
}

/* The rule for value head i: chunk->out. */
static void rule(const struct delta_item *item, const struct delta_chunk *chunk, size_t i) {
    const struct ew__config *c = item->c;
    const struct ew__workspace *ws = item->task->ws;
    size_t dk = c->k_head_dim, dv = c->v_head_dim;
    float *S = ew__delta_state(&ws->layout, item->run->state, item->task->index) +
               v_head(item, i) * dk * dv;
    const float *v = chunk->conv + 2 * dk + i * dv;
    for (size_t column = 0; column < dv; column += EW__DELTA_COLUMNS)
        item->kernels->delta_rule(S + column * dk, dk, ew__min_size(EW__DELTA_COLUMNS, dv - column),
                                  chunk->conv, chunk->conv + dk, chunk->ld, v + column, chunk->ld,
                                  chunk->alpha + i * CHUNK, chunk->beta + i * CHUNK, 1,
                                  chunk->out + column, dv, chunk->n);
}

/* RMS norm of the head's output, times silu(z). The heads land in ws->mixed in GGUF's tiled order,
 * which the columns of ssm_out have in every container (model/bind.c). */
static void gated_norm(const struct delta_item *item, const struct delta_chunk *chunk, size_t i) {
    const struct ew__config *c = item->c;
    const struct ew__workspace *ws = item->task->ws;
    size_t dv = c->v_head_dim, V = ew__value_width(c), h = v_head(item, i);
    size_t place = item->key_head + i * c->n_k_head;
    for (size_t t = 0; t < chunk->n; t++) {
        float *y = ws->mixed + (chunk->first + t) * V + place * dv;
        float *z = ws->narrow + (chunk->first + t) * V + h * dv;
        item->kernels->rms_norm(chunk->out + t * dv, item->task->w->norm, y, dv, c->rms_eps);
        item->kernels->silu_mul(z, y, y, dv);
        if (ws->trace != NULL)
            memcpy(z, chunk->out + t * dv, dv * sizeof *z);
    }
}

/* The trace wants whole rows of what otherwise never leaves the scratch: these go to ws->wide2,
 * alpha and beta to ws->heads, and the rule's output takes the place of z, which it outlives. */
static void show_rows(const struct delta_item *item, const struct delta_chunk *chunk) {
    size_t C = ew__conv_width(item->c);
    for (size_t p = 0; p < 2 + item->n_v; p++) {
        struct part part = part_of(item, p);
        for (size_t t = 0; t < chunk->n; t++)
            memcpy(item->task->ws->wide2 + (chunk->first + t) * C + part.channel,
                   chunk->conv + t * chunk->ld + part.column, part.n * sizeof(float));
    }
}

static void take_chunk(const struct delta_item *item, const struct delta_chunk *chunk) {
    convolve(item, chunk);
    if (item->task->ws->trace != NULL)
        show_rows(item, chunk);
    normalise(item, chunk);
    gates(item, chunk);
    for (size_t i = 0; i < item->n_v; i++) {
        rule(item, chunk, i);
        gated_norm(item, chunk, i);
    }
}

/* Item = run x key head. */
static void mix_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct delta_task *task = context;
    const struct ew__config *c = task->ws->model->config;
    struct delta_chunk chunk = {.conv = scratch, .ld = row_floats(c)};
    chunk.out = chunk.conv + CHUNK * chunk.ld;
    chunk.alpha = chunk.out + CHUNK * (size_t)c->v_head_dim;
    chunk.beta = chunk.alpha + CHUNK * (size_t)(c->n_v_head / c->n_k_head);
    for (size_t i = begin; i < end; i++) {
        const struct delta_item item = {.task = task,
                                        .c = c,
                                        .kernels = task->ws->model->kernels,
                                        .run = &task->batch->runs[i / c->n_k_head],
                                        .key_head = i % c->n_k_head,
                                        .n_v = c->n_v_head / c->n_k_head};
        size_t run_end = (size_t)item.run->first + item.run->n;
        for (chunk.first = item.run->first; chunk.first < run_end; chunk.first += CHUNK) {
            chunk.n = ew__min_size(CHUNK, run_end - chunk.first);
            take_chunk(&item, &chunk);
        }
        keep_rows(&item);
    }
}

static void project_inputs(struct ew__workspace *ws, const float *norm,
                           const struct ew__delta_weights *w, size_t t, uint32_t layer) {
    const struct ew__config *c = ws->model->config;
    size_t C = ew__conv_width(c), V = ew__value_width(c), nv = c->n_v_head;
    const struct ew__matrix *const in[] = {&w->qkv, &w->z};
    struct ew__acts acts = ew__norm_acts(ws, NULL, norm, t, &(struct ew__inputs){in, 2, true});
    ew__trace(ws, "input_layernorm", layer, ws->normed, t, c->n_embd, c->n_embd);
    const struct ew__product products[] = {
        {&w->a, ws->heads, 4 * nv, EW__EXACT}, // small, but their errors grow
        {&w->b, ws->heads + nv, 4 * nv, EW__EXACT},
        {&w->qkv, ws->wide, C, EW__FINE},
        {&w->z, ws->narrow, V, EW__COARSE},
    };
    ew__project_list(ws, products, 4, &acts);
    ew__trace(ws, "in_proj_qkv", layer, ws->wide, t, C, C);
    ew__trace(ws, "in_proj_z", layer, ws->narrow, t, V, V);
    ew__trace(ws, "in_proj_a", layer, ws->heads, t, nv, 4 * nv);
    ew__trace(ws, "in_proj_b", layer, ws->heads + nv, t, nv, 4 * nv);
}

void ew__delta_mixer(struct ew__workspace *ws, const struct ew__layer_weights *layer_weights,
                     const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    const struct ew__delta_weights *w = &layer_weights->delta;
    const struct ew__config *c = ws->model->config;
    size_t t = batch->n_tokens, C = ew__conv_width(c), V = ew__value_width(c), nv = c->n_v_head;
    struct delta_task task = {.ws = ws, .w = w, .batch = batch, .index = index};
    project_inputs(ws, layer_weights->attn_norm, w, t, layer);
    ew__pool_run(ws->pool, (size_t)batch->n_runs * c->n_k_head, 1, mix_task, &task);
    ew__trace(ws, "conv_silu", layer, ws->wide2, t, C, C);
    ew__trace(ws, "alpha", layer, ws->heads + 2 * nv, t, nv, 4 * nv);
    ew__trace(ws, "beta", layer, ws->heads + 3 * nv, t, nv, 4 * nv);
    ew__trace(ws, "core_attn_out", layer, ws->narrow, t, V, V);
    ew__trace(ws, "gated_norm", layer, ws->mixed, t, V, V);
    const struct ew__matrix *const out[] = {&w->out};
    struct ew__acts acts =
        ew__prepare_acts(ws, ws->mixed, V, t, &(struct ew__inputs){out, 1, true});
    ew__project(ws, &w->out, &acts, ws->out, c->n_embd);
    ew__trace(ws, "out_proj", layer, ws->out, t, c->n_embd, c->n_embd);
}
