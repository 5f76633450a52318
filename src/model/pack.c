// SPDX-License-Identifier: Apache-2.0
#include "model/pack.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "model/pack_cache.h"

/* head, the MTP block's fc, and at most seven of each layer and of the MTP block */
#define LAYER_MATRICES 7u
/* Less is packed in the time that it takes to find a file. */
#define CACHED_FROM_BYTES ((uint64_t)32 << 20)
/* Of a matrix in its file between two times that its pages are given back: the head of the 0.8B has
 * 200 MB, which would lie in memory twice. */
#define SLICE_BYTES ((size_t)16 << 20)
/* Marks, in the type that the store is told of, a matrix in two planes. */
#define SPLIT_MARK 0x10000u

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
    const struct ew__kernels *kernels = model->kernels;
    struct ew__matrix *head = &model->head;
    head->split = kernels->mul_split[head->type] != NULL && ew__split_can(head->type, head->n);
    add(model, out, head);
    return EW_OK;
}

void ew__pack_list_free(struct ew__pack_list *list) {
    ew__free(list->matrices);
    *list = (struct ew__pack_list){0};
}

size_t ew__pack_bytes(const struct ew__matrix *w) {
    return w->split ? ew__split_bytes(w->type, w->rows, w->n)
                    : ew__packed_bytes(w->type, w->rows, w->n);
}

size_t ew__pack_scratch_bytes(const struct ew__pack_list *list) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct ew__matrix *w = list->matrices[i];
        if (w->split)
            bytes = ew__max_size(bytes, ew__packed_panel_bytes(w->type, w->n));
    }
    return bytes;
}

struct pack_task {
    const struct ew__matrix *w;
    uint8_t *to;
    size_t panel_bytes, first; /* first: of the slice */
};

static void pack_panels(void *context, size_t begin, size_t end, void *scratch) {
    const struct pack_task *task = context;
    const struct ew__matrix *w = task->w;
    for (size_t i = task->first + begin; i < task->first + end; i++) {
        size_t row = i * EW__PANEL_ROWS;
        uint8_t *panel = w->split ? scratch : task->to + i * task->panel_bytes;
        ew__pack_panel(w->type, (const uint8_t *)w->data + row * w->row_bytes, w->row_bytes,
                       ew__min_size(EW__PANEL_ROWS, w->rows - row), w->n, panel);
        if (w->split)
            ew__split_panel(panel, task->to, w->type, w->rows, w->n, i);
    }
}

void ew__pack_matrix(struct ew__pool *pool, const struct ew__matrix *w, uint8_t *to) {
    struct pack_task task = {w, to, ew__packed_panel_bytes(w->type, w->n), 0};
    size_t panels = ew__packed_panels(w->rows), slice = SLICE_BYTES / task.panel_bytes + 1;
    for (; task.first < panels; task.first += slice) {
        size_t count = ew__min_size(slice, panels - task.first);
        size_t row = task.first * EW__PANEL_ROWS, end = row + count * EW__PANEL_ROWS;
        ew__pool_run(pool, count, 4, pack_panels, &task);
        if (w->mapped)
            ew__file_map_hint((const uint8_t *)w->data + row * w->row_bytes,
                              (ew__min_size(end, w->rows) - row) * w->row_bytes, EW__PAGES_DONE);
    }
}

/* What the store is told of each matrix. */
static struct ew__pack_matrix *describe(const struct ew__pack_list *list) {
    struct ew__pack_matrix *matrices = ew__calloc(list->n, sizeof *matrices);
    for (uint32_t i = 0; matrices != NULL && i < list->n; i++) {
        const struct ew__matrix *w = list->matrices[i];
        matrices[i] =
            (struct ew__pack_matrix){.type = (uint32_t)w->type | (w->split ? SPLIT_MARK : 0),
                                     .rows = w->rows,
                                     .n = w->n,
                                     .bytes = ew__pack_bytes(w)};
    }
    return matrices;
}

/* Rows that lie in no file are there only as long as they are packed. */
static ew_status pack_one(struct ew__model *model, struct ew__pool *pool, struct ew__matrix *w,
                          uint8_t *to) {
    EW__TRY(ew__copies_make(&model->copies, w));
    ew__pack_matrix(pool, w, to);
    ew__copies_drop(&model->copies, w);
    return EW_OK;
}

static ew_status pack_all(struct ew__model *model, const struct ew__pack_list *list) {
    struct ew__pack_store *store = &model->packed;
    struct ew__pool *pool;
    ew_status status = EW_OK;
    EW__TRY(ew__pool_new(0, ew__pack_scratch_bytes(list), &pool));
    for (uint32_t i = 0; status == EW_OK && i < list->n; i++)
        status = pack_one(model, pool, list->matrices[i], ew__pack_store_at(store, i));
    ew__pool_free(pool);
    return status == EW_OK ? ew__pack_store_seal(store) : status;
}

static ew_status fill_store(struct ew__model *model, const struct ew__pack_list *list,
                            struct ew__pack_request *request) {
    bool filled;
    struct ew__pack_matrix *matrices = describe(list);
    if (matrices == NULL)
        return EW_NO_MEMORY;
    ew__pack_identity(&model->checkpoint, request->identity);
    ew_status status = ew__pack_store_open(&model->packed, request, matrices, list->n, &filled);
    ew__free(matrices);
    if (status == EW_OK && !filled)
        status = pack_all(model, list);
    for (uint32_t i = 0; status == EW_OK && i < list->n; i++)
        list->matrices[i]->packed = ew__pack_store_at(&model->packed, i);
    return status;
}

ew_status ew__pack_model(struct ew__model *model, const char *path, bool no_cache, bool verify) {
    struct ew__pack_request request = {
        .path = path, .no_cache = no_cache, .verify = verify, .least_bytes = CACHED_FROM_BYTES};
    struct ew__pack_list list;
    EW__TRY(ew__pack_list_make(model, &list));
    ew_status status = list.n > 0 ? fill_store(model, &list, &request) : EW_OK;
    ew__pack_list_free(&list);
    return status;
}
