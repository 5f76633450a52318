// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include "base/os.h"
#include "base/size.h"
#include "model/blocks.h"
#include "quant/quant.h"

#include <string.h>

/* Rows of the embedding that are read before their pages are given back: a row brings the 64 KB
 * around it into memory, so that a long text would bring all of a matrix whose packed form is there
 * already. */
enum { EMBED_ROWS = 128 };

struct embed_task {
    struct ew__workspace *ws;
    const struct ew__batch *batch;
    float *out;
    size_t ldout, first;
};

static void embed_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct embed_task *task = context;
    const struct ew__matrix *embd = &task->ws->model->embd;
    for (size_t t = task->first + begin; t < task->first + end; t++) {
        int32_t token = task->batch->tokens[t];
        float *row = task->out + t * task->ldout;
        if (token < 0)
            memcpy(row, task->batch->embeddings + t * embd->n, embd->n * sizeof *row);
        else
            (void)ew__dequantize_row(embd->type,
                                     (const uint8_t *)embd->data + (size_t)token * embd->row_bytes,
                                     row, embd->n);
    }
}

/* An unpacked head reads the same pages for every token. */
static void give_back_embedding(const struct ew__model *model) {
    const struct ew__matrix *embd = &model->embd;
    if (embd->mapped && (model->head.packed != NULL || model->head.data != embd->data))
        ew__file_map_hint(embd->data, embd->rows * embd->row_bytes, EW__PAGES_DONE);
}

static bool passes_mark(const struct ew__run *run) {
    return run->n_past / EMBED_ROWS != (run->n_past + run->n) / EMBED_ROWS;
}

static void embed(struct ew__workspace *ws, const struct ew__batch *batch, float *out,
                  size_t ldout) {
    struct embed_task task = {ws, batch, out, ldout, 0};
    for (; task.first < batch->n_tokens; task.first += EMBED_ROWS) {
        size_t n = ew__min_size(EMBED_ROWS, batch->n_tokens - task.first);
        ew__pool_run(ws->pool, n, 8, embed_task, &task);
        if (n == EMBED_ROWS || passes_mark(&batch->runs[0]))
            give_back_embedding(ws->model);
    }
}

void ew__forward(struct ew__workspace *ws, const struct ew__batch *batch, float *hidden) {
    const struct ew__model *model = ws->model;
    size_t t = batch->n_tokens, H = model->config->n_embd;
    uint32_t of_kind[2] = {0, 0}; // layers passed: DeltaNet, full attention
    ew__rope_tables(ws, batch);
    embed(ws, batch, ws->x, H);
    ew__trace(ws, "embedding", 0, ws->x, t, H, H);
    for (uint32_t i = 0; i < model->config->n_layer; i++) {
        const struct ew__layer_weights *layer = &model->layers[i];
        ew__decoder_layer(ws, layer, batch, i, of_kind[layer->is_full]++);
    }
    if (hidden != NULL) {
        ew__norm_rows(ws, model->out_norm, hidden, t);
        ew__trace(ws, "final_norm", 0, hidden, t, H, H);
        ew__watch(ws, &model->head, &(struct ew__acts){.x = hidden, .ldx = H, .t = t});
    }
}

void ew__head(struct ew__workspace *ws, const float *hidden, size_t n, float *logits) {
    const struct ew__model *model = ws->model;
    const struct ew__matrix *const out[] = {&model->head};
    struct ew__acts acts =
        ew__prepare_acts(ws, hidden, model->config->n_embd, n, &(struct ew__inputs){out, 1, false});
    ew__matmul(model->kernels, ws->pool, &model->head, &acts, ws->exact, logits,
               model->config->n_vocab);
}

void ew__mtp_forward(struct ew__workspace *ws, const struct ew__batch *next, const float *h,
                     float *hidden) {
    const struct ew__model *model = ws->model;
    const struct ew__mtp_weights *mtp = model->mtp;
    size_t t = next->n_tokens, H = model->config->n_embd;
    float *joint = ws->wide; // [t][2H]: normed embedding, then normed hidden state
    ew__rope_tables(ws, next);
    embed(ws, next, joint, 2 * H);
    for (size_t i = 0; i < t; i++) {
        float *row = joint + i * 2 * H;
        model->kernels->rms_norm(row, mtp->norm_embd, row, H, model->config->rms_eps);
        model->kernels->rms_norm(h + i * H, mtp->norm_hidden, row + H, H, model->config->rms_eps);
    }
    const struct ew__matrix *const in[] = {&mtp->fc};
    struct ew__acts acts =
        ew__prepare_acts(ws, joint, 2 * H, t, &(struct ew__inputs){in, 1, false});
    ew__project(ws, &mtp->fc, &acts, ws->x, H);
    ew__trace(ws, "mtp_fc", model->config->n_layer, ws->x, t, H, H);
    ew__decoder_layer(ws, &mtp->layer, next, model->config->n_layer,
                      ew__n_full_layers(model->config));
    ew__norm_rows(ws, mtp->norm_out, hidden, t);
}
