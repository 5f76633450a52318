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
    size_t n_blocks; /* of the blocked form */
    uint32_t token;  /* of the span-wise form */
};

static const struct ew__run *run_of(const struct ew__batch *batch, uint32_t token) {
    const struct ew__run *run = batch->runs;
    while (token >= run->first + run->n)
        run++;
    return run;
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
    const struct ew__kernels *k = ws->model->kernels;
    const struct ew__run *run = run_of(task->batch, token);
    uint32_t position = run->n_past + token - run->first;
    void *page = run->pages[position / EW__KV_PAGE_TOKENS];
    size_t D = c->head_dim, width = c->n_head_kv * D;
    float *keys = ws->wide2 + token * 2 * width, *values = keys + width;
    for (uint32_t h = 0; h < c->n_head_kv; h++) {
        k->rms_norm(keys + h * D, task->w->k_norm, keys + h * D, D, c->rms_eps);
        rotate(ws, keys + h * D, token);
        k->kv_store(ws->layout.kv_type, ew__kv_head(&ws->layout, c, page, task->kv_layer, h, 0),
                    ew__kv_head(&ws->layout, c, page, task->kv_layer, h, 1),
                    position % EW__KV_PAGE_TOKENS, keys + h * D, values + h * D, D);
    }
}

static void place_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    for (size_t token = begin; token < end; token++) {
        place_queries(context, (uint32_t)token);
        place_keys(context, (uint32_t)token);
    }
}

/* ---- sums ---- */

/* Consecutive tokens of one run within one stretch of BLOCK_TOKENS absolute positions, so that they
 * end in the same span. */
enum { BLOCK_TOKENS = 16 };
struct block {
    const struct ew__run *run;
    uint32_t first, n; /* tokens of the batch */
    size_t position;   /* of the first */
};

/* A thread's scratch for a block of `rows` = tokens x group rows. */
struct sums {
    float *q;                            /* [rows][D] */
    float *max, *sum, *o;                /* running: [rows], [rows], [rows][D] */
    float *span_max, *span_sum, *span_o; /* of one span */
    float *kernel;                       /* of ew__attend_scratch */
};

static struct sums sums_in(float *scratch, size_t rows, size_t D) {
    struct sums s = {.q = scratch};
    s.o = s.q + rows * D;
    s.span_o = s.o + rows * D;
    s.max = s.span_o + rows * D;
    s.sum = s.max + rows;
    s.span_max = s.sum + rows;
    s.span_sum = s.span_max + rows;
    s.kernel = s.span_sum + rows;
    return s;
}

size_t ew__attention_scratch_bytes(const struct ew__config *c) {
    size_t D = c->head_dim, rows = BLOCK_TOKENS * (size_t)(c->n_head / c->n_head_kv);
    return (3 * rows * D + 4 * rows + ew__attend_scratch(rows, D)) * sizeof(float);
}

static struct ew__kv_view view_of(const struct attention_task *task, const struct ew__run *run,
                                  uint32_t kv_head, size_t span) {
    const struct ew__memory_layout *layout = &task->ws->layout;
    const struct ew__config *c = task->ws->model->config;
    void *page = run->pages[span];
    return (struct ew__kv_view){.k = ew__kv_head(layout, c, page, task->kv_layer, kv_head, 0),
                                .v = ew__kv_head(layout, c, page, task->kv_layer, kv_head, 1),
                                .type = layout->kv_type};
}

/* Blocks that a run's tokens are cut into. */
static size_t blocks_of(const struct ew__run *run) {
    size_t end = (size_t)run->n_past + run->n;
    return (end + BLOCK_TOKENS - 1) / BLOCK_TOKENS - run->n_past / BLOCK_TOKENS;
}

static size_t count_blocks(const struct ew__batch *batch) {
    size_t n = 0;
    for (uint32_t i = 0; i < batch->n_runs; i++)
        n += blocks_of(&batch->runs[i]);
    return n;
}

static struct block block_at(const struct ew__batch *batch, size_t index) {
    const struct ew__run *run = batch->runs;
    for (; index >= blocks_of(run); run++)
        index -= blocks_of(run);
    size_t from = (run->n_past / BLOCK_TOKENS + index) * BLOCK_TOKENS, to = from + BLOCK_TOKENS;
    from = ew__max_size(from, run->n_past);
    to = ew__min_size(to, (size_t)run->n_past + run->n);
    return (struct block){.run = run,
                          .first = run->first + (uint32_t)(from - run->n_past),
                          .n = (uint32_t)(to - from),
                          .position = from};
}

/* The queries of a block that share a key head, one after the other: all of a token, then the
 * next's. */
static void gather_queries(const struct ew__workspace *ws, const struct block *block,
                           uint32_t kv_head, float *q) {
    const struct ew__config *c = ws->model->config;
    size_t group = c->n_head / c->n_head_kv, D = c->head_dim;
    for (uint32_t t = 0; t < block->n; t++) {
        const float *from =
            ws->narrow + ((size_t)(block->first + t) * c->n_head + kv_head * group) * D;
        memcpy(q + t * group * D, from, group * D * sizeof *q);
    }
}

/* All spans of a block in order; the tokens see all of every span but the last. */
static void attend_block(const struct attention_task *task, const struct block *block,
                         uint32_t kv_head, const struct sums *s) {
    const struct ew__kernels *k = task->ws->model->kernels;
    const struct ew__config *c = task->ws->model->config;
    size_t group = c->n_head / c->n_head_kv, D = c->head_dim, rows = block->n * group;
    size_t last = block->position / EW__KV_PAGE_TOKENS;
    for (size_t span = 0; span <= last; span++) {
        const struct ew__kv_view view = view_of(task, block->run, kv_head, span);
        size_t n = span < last ? EW__KV_PAGE_TOKENS : block->position % EW__KV_PAGE_TOKENS + 1;
        if (span == 0) {
            k->attend_span(s->q, D, rows, group, &view, n, D, s->kernel, s->max, s->sum, s->o, D);
            continue;
        }
        k->attend_span(s->q, D, rows, group, &view, n, D, s->kernel, s->span_max, s->span_sum,
                       s->span_o, D);
        for (size_t i = 0; i < rows; i++)
            k->attend_merge(s->o + i * D, &s->max[i], &s->sum[i], s->span_o + i * D, s->span_max[i],
                            s->span_sum[i], D);
    }
}

/* Item = block x key head, the last blocks first: they see the most. */
static void block_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct attention_task *task = context;
    const struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    size_t group = c->n_head / c->n_head_kv, D = c->head_dim;
    const struct sums s = sums_in(scratch, BLOCK_TOKENS * group, D);
    for (size_t item = begin; item < end; item++) {
        struct block block = block_at(task->batch, task->n_blocks - 1 - item / c->n_head_kv);
        uint32_t kv_head = (uint32_t)(item % c->n_head_kv);
        gather_queries(ws, &block, kv_head, s.q);
        attend_block(task, &block, kv_head, &s);
        for (size_t i = 0; i < block.n * group; i++) {
            size_t row = (block.first + i / group) * c->n_head + kv_head * group + i % group;
            ws->model->kernels->scale(s.o + i * D, 1.0f / s.sum[i], ws->mixed + row * D, D);
        }
    }
}

static size_t span_count(const struct attention_task *task, uint32_t token) {
    const struct ew__run *run = run_of(task->batch, token);
    return ew__pages_for((size_t)run->n_past + (token - run->first) + 1);
}

/* ws->partial of one token: per span and head the output (D), its maximum and its sum. */
static float *partial_at(const struct ew__workspace *ws, size_t span, uint32_t head) {
    const struct ew__config *c = ws->model->config;
    return ws->partial + (span * c->n_head + head) * ((size_t)c->head_dim + 2);
}

/* The same sums span by span, for few tokens over many positions. Item = span x key head. */
static void span_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct attention_task *task = context;
    const struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    const struct ew__run *run = run_of(task->batch, task->token);
    size_t keys = (size_t)run->n_past + (task->token - run->first) + 1;
    size_t group = c->n_head / c->n_head_kv, D = c->head_dim;
    const struct sums s = sums_in(scratch, BLOCK_TOKENS * group, D);
    for (size_t item = begin; item < end; item++) {
        uint32_t kv_head = (uint32_t)(item % c->n_head_kv);
        size_t span = item / c->n_head_kv;
        size_t n = ew__min_size(keys - span * EW__KV_PAGE_TOKENS, EW__KV_PAGE_TOKENS);
        const struct ew__kv_view view = view_of(task, run, kv_head, span);
        const float *q = ws->narrow + ((size_t)task->token * c->n_head + kv_head * group) * D;
        float *partial = partial_at(ws, span, (uint32_t)(kv_head * group));
        ws->model->kernels->attend_span(q, D, group, group, &view, n, D, s.kernel, s.max, s.sum,
                                        partial, D + 2);
        for (size_t i = 0; i < group; i++, partial += D + 2) {
            partial[D] = s.max[i];
            partial[D + 1] = s.sum[i];
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

/* Blocks share the loads of keys and values between their tokens; where there are too few of them
 * for the threads, and for a single token, the spans are shared out instead. */
static void attend_all(struct attention_task *task) {
    struct ew__workspace *ws = task->ws;
    const struct ew__config *c = ws->model->config;
    uint32_t t = task->batch->n_tokens;
    task->n_blocks = count_blocks(task->batch);
    if (t > 1 && task->n_blocks * c->n_head_kv >= ew__pool_threads(ws->pool)) {
        ew__pool_run(ws->pool, task->n_blocks * c->n_head_kv, 1, block_task, task);
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

void ew__attention_mixer(struct ew__workspace *ws, const struct ew__layer_weights *layer_weights,
                         const struct ew__batch *batch, uint32_t layer, uint32_t index) {
    const struct ew__attention_weights *w = &layer_weights->attention;
    const struct ew__config *c = ws->model->config;
    size_t t = batch->n_tokens, width = (size_t)c->n_head * c->head_dim;
    size_t kv_width = (size_t)c->n_head_kv * c->head_dim;
    struct attention_task task = {.ws = ws, .w = w, .batch = batch, .kv_layer = index};
    const struct ew__matrix *const in[] = {&w->q, &w->k, &w->v};
    struct ew__acts acts =
        ew__norm_acts(ws, NULL, layer_weights->attn_norm, t, &(struct ew__inputs){in, 3, false});
    ew__trace(ws, "input_layernorm", layer, ws->normed, t, c->n_embd, c->n_embd);
    const struct ew__product products[] = {
        {&w->k, ws->wide2, 2 * kv_width, EW__COARSE},
        {&w->v, ws->wide2 + kv_width, 2 * kv_width, EW__COARSE},
        {&w->q, ws->wide, 2 * width, EW__COARSE},
    };
    ew__project_list(ws, products, 3, &acts);
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
    acts = ew__prepare_acts(ws, ws->mixed, width, t, &(struct ew__inputs){out, 1, false});
    ew__project(ws, &w->out, &acts, ws->out, c->n_embd);
    ew__trace(ws, "o_proj", layer, ws->out, t, c->n_embd, c->n_embd);
}
