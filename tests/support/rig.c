// SPDX-License-Identifier: Apache-2.0
#include "support/rig.h"

#include "base/mem.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void must(ew_status status) {
    if (status != EW_OK)
        fail_msg("%s", ew_last_error());
}

void rig_open(struct rig *rig, const char *path, const struct rig_options *options) {
    struct ew__model_options model_options = {.isa = options->isa};
    struct ew__workspace_options ws = {
        .max_tokens = options->max_tokens != 0 ? options->max_tokens : 512,
        .max_ctx = options->max_ctx != 0 ? options->max_ctx : 512,
        .kv_type = options->kv_type,
        .exact = options->exact,
        .with_mtp = options->with_mtp,
    };
    memset(rig, 0, sizeof *rig);
    must(ew__model_open(path, &model_options, &rig->model));
    rig->model.config = &rig->model.checkpoint.config;
    must(ew__pool_new(options->n_threads != 0 ? options->n_threads : 1,
                      ew__forward_scratch_bytes(&rig->model), &rig->pool));
    must(ew__workspace_init(&rig->ws, &rig->model, rig->pool, &ws));
    rig->n_pages = ew__pages_for(ws.max_ctx);
    rig->pages = calloc(rig->n_pages, sizeof *rig->pages);
    for (size_t i = 0; i < rig->n_pages; i++)
        rig->pages[i] = ew__alloc_aligned(rig->ws.layout.page_bytes);
    rig->state = ew__alloc_aligned(rig->ws.layout.state_floats * sizeof(float));
}

void rig_close(struct rig *rig) {
    for (size_t i = 0; i < rig->n_pages; i++)
        ew__free_aligned(rig->pages[i]);
    free(rig->pages);
    ew__free_aligned(rig->state);
    ew__workspace_release(&rig->ws);
    ew__pool_free(rig->pool);
    ew__model_close(&rig->model);
}

void rig_reset(struct rig *rig) {
    memset(rig->state, 0, rig->ws.layout.state_floats * sizeof(float));
    rig->n_past = 0;
    rig->rope_delta = 0;
}

static int32_t (*text_positions(int32_t first, size_t n))[3] {
    int32_t(*positions)[3] = malloc((n + 1) * sizeof *positions);
    for (size_t i = 0; i < n; i++)
        for (int axis = 0; axis < 3; axis++)
            positions[i][axis] = first + (int32_t)i;
    return positions;
}

void rig_eval(struct rig *rig, const int32_t *tokens, size_t n, const int32_t (*positions)[3],
              const float *embeddings, float *hidden, float *logits) {
    size_t H = rig->model.config->n_embd, V = rig->model.config->n_vocab;
    int32_t(*own)[3] = text_positions((int32_t)rig->n_past + rig->rope_delta, n);
    float *states = malloc(n * H * sizeof *states);
    struct ew__run run = {
        .n = (uint32_t)n, .n_past = rig->n_past, .pages = rig->pages, .state = rig->state};
    struct ew__batch batch = {.n_tokens = (uint32_t)n,
                              .tokens = tokens,
                              .embeddings = embeddings,
                              .positions = positions != NULL ? positions : (const int32_t(*)[3])own,
                              .runs = &run,
                              .n_runs = 1};
    assert_true(n <= rig->ws.max_tokens && ew__pages_for(rig->n_past + n) <= rig->n_pages);
    ew__forward(&rig->ws, &batch, states);
    rig->n_past += (uint32_t)n;
    if (hidden != NULL)
        memcpy(hidden, states, n * H * sizeof *states);
    for (size_t i = 0; logits != NULL && i < n; i++)
        ew__head(&rig->ws, states + i * H, 1, logits + i * V);
    free(states);
    free(own);
}

void rig_mtp(struct rig *rig, uint32_t first, const int32_t *tokens, size_t n, const float *h,
             float *hidden) {
    int32_t(*positions)[3] = text_positions((int32_t)first, n);
    struct ew__run run = {
        .n = (uint32_t)n, .n_past = first, .pages = rig->pages, .state = rig->state};
    struct ew__batch batch = {.n_tokens = (uint32_t)n,
                              .tokens = tokens,
                              .positions = (const int32_t(*)[3])positions,
                              .runs = &run,
                              .n_runs = 1};
    ew__mtp_forward(&rig->ws, &batch, h, hidden);
    free(positions);
}
