// SPDX-License-Identifier: Apache-2.0
/* Gated attention with grouped queries, per-head norms and partial rotary positions.
 *
 * Order of sums: the keys of a query are cut at absolute multiples of EW__KV_PAGE_TOKENS; each span
 * is summed alone and the spans are merged from the first to the last. Neither the chunk nor the
 * number of threads enters, so a token's result is the same whenever it is computed. */
#include "model/blocks.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

struct attention_task {
    struct ew__workspace *ws;
    const struct ew__attention_weights *w;
    const struct ew__batch *batch;
    uint32_t kv_layer;
    uint32_t token; /* of the span-wise form */
};

static const struct ew__run *run_of(const struct ew__batch *batch, uint32_t token) {
    const struct ew__run *run = batch->runs;
    while (token >= run->first + run->n)
        run++;
    return run;
}

static void store_kv(const struct ew__workspace *ws, const float *from, char *to) {
    const struct ew__config *c = ws->model->config;
    if (ws->layout.kv_type == EW__F16)
        ws->model->kernels->to_f16(from, (uint16_t *)(void *)to, c->head_dim);
    else
        memcpy(to, from, c->head_dim * sizeof *from);
}

static void rotate(const struct ew__workspace *ws, float *head, uint32_t token) {
    uint32_t half = ws->model->config->n_rot / 2;
    ws->model->kernels->rope(head, ws->cosine + (size_t)token * half,
                             ws->sine + (size_t)token * half, half);
}

/* Queries of a token: norm, rotate, scale by head_dim^-1/2; ws->wide -> ws->narrow. */
static void place_queries(const struct attention_task *task, uint32_t token) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    const struct ew__kernels *k = ws->model->kernels;
    size_t D = c->head_dim, width = c->n_head * D;
    const float scale = 1.0f / sqrtf((float)D);
    for (uint32_t h = 0; h < c->n_head; h++) {
        const float *from = ws->wide + token * 2 * width + 2 * D * h; // query, then gate, per head
        float *query = ws->narrow + token * width + D * h;
        k->rms_norm(from, task->w->q_norm, query, D, c->rms_eps);
        rotate(ws, query, token);
        if (ws->trace == NULL)
            k->scale(query, scale, query, D);
    }
}

/* Keys and values of a token into the sequence's page. */
static void place_keys(const struct attention_task *task, uint32_t token) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    const struct ew__run *run = run_of(task->batch, token);
    uint32_t position = run->n_past + token - run->first;
    void *page = run->pages[position / EW__KV_PAGE_TOKENS];
    size_t D = c->head_dim, width = c->n_head_kv * D;
    size_t row =
        position % EW__KV_PAGE_TOKENS * D * ew__dtype_info(ws->layout.kv_type)->block_bytes;
    float *keys = ws->wide2 + token * 2 * width, *values = keys + width;
    for (uint32_t h = 0; h < c->n_head_kv; h++) {
        ws->model->kernels->rms_norm(keys + h * D, task->w->k_norm, keys + h * D, D, c->rms_eps);
        rotate(ws, keys + h * D, token);
        store_kv(ws, keys + h * D, ew__kv_head(&ws->layout, c, page, task->kv_layer, h, 0) + row);
        store_kv(ws, values + h * D, ew__kv_head(&ws->layout, c, page, task->kv_layer, h, 1) + row);
    }
}

static void place_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    for (size_t token = begin; token < end; token++) {
        place_queries(context, (uint32_t)token);
        place_keys(context, (uint32_t)token);
    }
}

/* One span of one token for the query heads that share a key head. o, max, sum: per query head. */
static void attend(const struct attention_task *task, uint32_t token, uint32_t kv_head, size_t span,
                   float *p, float *max, float *sum, float *o) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    const struct ew__run *run = run_of(task->batch, token);
    size_t keys = (size_t)run->n_past + (token - run->first) + 1, first = span * EW__KV_PAGE_TOKENS;
    size_t n = ew__min_size(keys - first, EW__KV_PAGE_TOKENS), D = c->head_dim;
    uint32_t group = c->n_head / c->n_head_kv;
    void *page = run->pages[span];
    const struct ew__kv_view view = {
        .k = ew__kv_head(&ws->layout, c, page, task->kv_layer, kv_head, 0),
        .v = ew__kv_head(&ws->layout, c, page, task->kv_layer, kv_head, 1),
        .type = ws->layout.kv_type};
    const float *q = ws->narrow + (size_t)token * c->n_head * D + (size_t)kv_head * group * D;
    ws->model->kernels->attend_span(q, D, group, &view, n, D, p, max, sum, o, D);
}

static size_t span_count(const struct attention_task *task, uint32_t token) {
    const struct ew__run *run = run_of(task->batch, token);
    return ew__pages_for((size_t)run->n_past + (token - run->first) + 1);
}

/* All spans of one token and key head in order, the running result in ws->mixed. */
static void whole_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct attention_task *task = context;
    const struct ew__kernels *k = task->ws->model->kernels;
    const struct ew__config *c = task->ws->model->config;
    uint32_t group = c->n_head / c->n_head_kv;
    size_t D = c->head_dim;
    float *p = scratch, *max = p + (size_t)group * EW__KV_PAGE_TOKENS, *sum = max + group;
    float *span_max = sum + group, *span_sum = span_max + group, *span_o = span_sum + group;
    for (size_t item = begin; item < end; item++) {
        uint32_t token = (uint32_t)(item % task->batch->n_tokens);
        uint32_t kv_head = (uint32_t)(item / task->batch->n_tokens);
        float *o = task->ws->mixed + ((size_t)token * c->n_head + (size_t)kv_head * group) * D;
        size_t spans = span_count(task, token);
        attend(task, token, kv_head, 0, p, max, sum, o);
        for (size_t span = 1; span < spans; span++) {
            attend(task, token, kv_head, span, p, span_max, span_sum, span_o);
            for (uint32_t g = 0; g < group; g++)
                k->attend_merge(o + g * D, &max[g], &sum[g], span_o + g * D, span_max[g],
                                span_sum[g], D);
        }
        for (uint32_t g = 0; g < group; g++)
            k->scale(o + g * D, 1.0f / sum[g], o + g * D, D);
    }
}

/* ws->partial of one token: per span and head the output (D), its maximum and its sum. */
static float *partial_at(const struct ew__workspace *ws, size_t span, uint32_t head) {
    const struct ew__config *c = ws->model->config;
    return ws->partial + (span * c->n_head + head) * ((size_t)c->head_dim + 2);
}

/* The same sums span by span, for few tokens over many positions. Item = span x key head. */
static void span_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct attention_task *task = context;
    const struct ew__config *c = task->ws->model->config;
    uint32_t group = c->n_head / c->n_head_kv;
    size_t D = c->head_dim;
    float *p = scratch, *max = p + (size_t)group * EW__KV_PAGE_TOKENS, *sum = max + group;
    float *o = sum + group;
    for (size_t item = begin; item < end; item++) {
        uint32_t kv_head = (uint32_t)(item % c->n_head_kv);
        size_t span = item / c->n_head_kv;
        attend(task, task->token, kv_head, span, p, max, sum, o);
        for (uint32_t g = 0; g < group; g++) {
            float *partial = partial_at(task->ws, span, kv_head * group + g);
            memcpy(partial, o + g * D, D * sizeof *o);
            partial[D] = max[g];
            partial[D + 1] = sum[g];
        }
    }
}

static void merge_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct attention_task *task = context;
    const struct ew__kernels *k = task->ws->model->kernels;
    const struct ew__config *c = task->ws->model->config;
    size_t D = c->head_dim, spans = span_count(task, task->token);
    for (size_t head = begin; head < end; head++) {
        float *o = task->ws->mixed + ((size_t)task->token * c->n_head + head) * D;
        const float *partial = partial_at(task->ws, 0, (uint32_t)head);
        float max = partial[D], sum = partial[D + 1];
        memcpy(o, partial, D * sizeof *o);
        for (size_t span = 1; span < spans; span++) {
            partial = partial_at(task->ws, span, (uint32_t)head);
            k->attend_merge(o, &max, &sum, partial, partial[D], partial[D + 1], D);
        }
        k->scale(o, 1.0f / sum, o, D);
    }
}

static void gate_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct attention_task *task = context;
    const struct ew__config *c = task->ws->model->config;
    size_t D = c->head_dim, width = c->n_head * D;
    for (size_t token = begin; token < end; token++)
        for (uint32_t h = 0; h < c->n_head; h++) {
            float *o = task->ws->mixed + token * width + h * D;
            const float *gate = task->ws->wide + token * 2 * width + 2 * D * h + D;
            task->ws->model->kernels->sigmoid_mul(o, gate, o, D);
        }
}

size_t ew__attention_scratch_bytes(const struct ew__config *c) {
    size_t group = c->n_head / c->n_head_kv;
    return group * (EW__KV_PAGE_TOKENS + 4 + c->head_dim) * sizeof(float);
}

static void attend_all(struct attention_task *task) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    uint32_t t = task->batch->n_tokens;
    if ((size_t)t * c->n_head_kv >= 4 * (size_t)ew__pool_threads(ws->pool)) {
        ew__pool_run(ws->pool, (size_t)t * c->n_head_kv, 1, whole_task, task);
        return;
    }
    for (task->token = 0; task->token < t; task->token++) {
        size_t spans = span_count(task, task->token);
        ew__pool_run(ws->pool, spans * c->n_head_kv, 1, span_task, task);
        ew__pool_run(ws->pool, c->n_head, 1, merge_task, task);
    }
}

/* The tests want to see rotated queries before the scale that the kernel folds into them. */
static void trace_queries(struct attention_task *task, uint32_t layer) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    size_t t = task->batch->n_tokens, width = (size_t)c->n_head * c->head_dim;
    if (ws->trace == NULL)
        return;
    ew__trace(ws, "q_rope", layer, ws->narrow, t, width, width);
    ew__trace(ws, "k_rope", layer, ws->wide2, t, (size_t)c->n_head_kv * c->head_dim,
              2 * (size_t)c->n_head_kv * c->head_dim);
    const float scale = 1.0f / sqrtf((float)c->head_dim);
    ws->model->kernels->scale(ws->narrow, scale, ws->narrow, t * width);
}

void ew__attention_mixer(struct ew__workspace *ws, const struct ew__attention_weights *w,
                         const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    const struct ew__config *c = ws->model->config;
    size_t t = batch->n_tokens, width = (size_t)c->n_head * c->head_dim;
    size_t kv_width = (size_t)c->n_head_kv * c->head_dim;
    struct attention_task task = {.ws = ws, .w = w, .batch = batch, .kv_layer = index};
    const struct ew__matrix *const in[] = {&w->q, &w->k, &w->v};
    struct ew__acts acts = ew__prepare_acts(ws, ws->normed, c->n_embd, t, in, 3);
    ew__project(ws, &w->q, &acts, ws->wide, 2 * width);
    ew__project(ws, &w->k, &acts, ws->wide2, 2 * kv_width);
    ew__project(ws, &w->v, &acts, ws->wide2 + kv_width, 2 * kv_width);
    ew__trace(ws, "q_proj", layer, ws->wide, t, 2 * width, 2 * width);
    ew__trace(ws, "k_proj", layer, ws->wide2, t, kv_width, 2 * kv_width);
    ew__trace(ws, "v_proj", layer, ws->wide2 + kv_width, t, kv_width, 2 * kv_width);
    ew__pool_run(ws->pool, t, 4, place_task, &task);
    trace_queries(&task, layer);
    attend_all(&task);
    ew__trace(ws, "attn_context", layer, ws->mixed, t, width, width);
    ew__pool_run(ws->pool, t, 4, gate_task, &task);
    ew__trace(ws, "o_proj_in", layer, ws->mixed, t, width, width);
    const struct ew__matrix *const out[] = {&w->out};
    acts = ew__prepare_acts(ws, ws->mixed, width, t, out, 1);
    ew__project(ws, &w->out, &acts, ws->out, c->n_embd);
    ew__trace(ws, "o_proj", layer, ws->out, t, c->n_embd, c->n_embd);
}
