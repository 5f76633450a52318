// SPDX-License-Identifier: Apache-2.0
#include "model/pack.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

/* head, the MTP block's fc, and at most seven of each layer and of the MTP block */
#define LAYER_MATRICES 7u

static void add(const struct ew__model *model, struct ew__pack_list *list, struct ew__matrix *w) {
    if (ew__matmul_can_pack(model->kernels, w))
        list->matrices[list->n++] = w;
}

static void add_layer(const struct ew__model *model, struct ew__pack_list *list,
                      struct ew__layer_weights *layer) {
    struct ew__matrix *const full[] = {&layer->attention.q, &layer->attention.k,
                                       &layer->attention.v, &layer->attention.out};
    struct ew__matrix *const linear[] = {&layer->delta.qkv, &layer->delta.z, &layer->delta.out};
    for (size_t i = 0; i < (layer->is_full ? 4 : 3); i++)
        add(model, list, layer->is_full ? full[i] : linear[i]);
    add(model, list, &layer->gate);
    add(model, list, &layer->up);
    add(model, list, &layer->down);
}

ew_status ew__pack_list_make(struct ew__model *model, struct ew__pack_list *out) {
    size_t most = ((size_t)model->config->n_layer + 1) * LAYER_MATRICES + 2;
    *out = (struct ew__pack_list){.matrices = ew__calloc(most, sizeof *out->matrices)};
    if (out->matrices == NULL)
        return EW_NO_MEMORY;
    for (uint32_t i = 0; i < model->config->n_layer; i++)
        add_layer(model, out, &model->layers[i]);
    if (model->mtp != NULL) {
        add(model, out, &model->mtp->fc);
        add_layer(model, out, &model->mtp->layer);
    }
    add(model, out, &model->head);
    return EW_OK;
}

void ew__pack_list_free(struct ew__pack_list *list) {
    ew__free(list->matrices);
    *list = (struct ew__pack_list){0};
}

size_t ew__pack_bytes(const struct ew__matrix *w) {
    return ew__packed_bytes(w->type, w->rows, w->n);
}

struct pack_task {
    const struct ew__matrix *w;
    uint8_t *to;
    size_t panel_bytes;
};

static void pack_panels(void *context, size_t begin, size_t end, void *scratch) {
    const struct pack_task *task = context;
    const struct ew__matrix *w = task->w;
    (void)scratch;
    for (size_t i = begin; i < end; i++) {
        size_t row = i * EW__PANEL_ROWS;
        ew__pack_panel(w->type, (const uint8_t *)w->data + row * w->row_bytes, w->row_bytes,
                       ew__min_size(EW__PANEL_ROWS, w->rows - row), w->n,
                       task->to + i * task->panel_bytes);
    }
}

void ew__pack_matrix(struct ew__pool *pool, const struct ew__matrix *w, uint8_t *to) {
    struct pack_task task = {w, to, ew__packed_panel_bytes(w->type, w->n)};
    ew__pool_run(pool, ew__packed_panels(w->rows), 4, pack_panels, &task);
    if (w->mapped)
        ew__file_map_hint(w->data, w->rows * w->row_bytes, EW__PAGES_DONE);
}

static ew_status pack_into(struct ew__model *model, const struct ew__pack_list *list) {
    struct ew__pool *pool;
    size_t bytes = 0, at = 0;
    for (uint32_t i = 0; i < list->n; i++)
        bytes += ew__pack_bytes(list->matrices[i]);
    model->packed = ew__alloc_aligned(bytes);
    if (model->packed == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__pool_new(0, 0, &pool));
    for (uint32_t i = 0; i < list->n; i++) {
        struct ew__matrix *w = list->matrices[i];
        ew__pack_matrix(pool, w, model->packed + at);
        w->packed = model->packed + at;
        at += ew__pack_bytes(w);
    }
    ew__pool_free(pool);
    return EW_OK;
}

ew_status ew__pack_in_memory(struct ew__model *model) {
    struct ew__pack_list list;
    EW__TRY(ew__pack_list_make(model, &list));
    ew_status status = list.n > 0 ? pack_into(model, &list) : EW_OK;
    ew__pack_list_free(&list);
    return status;
}
