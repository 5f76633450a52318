// SPDX-License-Identifier: Apache-2.0
#include "model/copies.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "model/checkpoint.h"
#include "quant/affine.h"

#include <stdatomic.h>

/* ---- rows ---- */

struct fill {
    const struct ew__affine *affine;
    ew__dtype type;
    const struct ew__config *tile; /* or NULL */
    uint8_t *to;
    size_t row_bytes, head_bytes;
    _Atomic uint64_t bad_row; /* the first that could not be made; UINT64_MAX: none */
};

/* A row before its heads are tiled, then what making it needs. */
size_t ew__affine_fill_scratch(const struct ew__affine_set *set) {
    size_t most = 0;
    for (size_t i = 0; i < set->count; i++)
        most = ew__max_size(most, (size_t)set->matrices[i].tensor.dims[0] * sizeof(float) +
                                      ew__affine_scratch_bytes(&set->matrices[i]));
    return most;
}

static ew_status fill_row(const struct fill *fill, uint64_t row, uint8_t *scratch) {
    size_t untiled_bytes = (size_t)fill->affine->tensor.dims[0] * sizeof(float);
    uint8_t *to = fill->to + row * fill->row_bytes;
    if (fill->tile == NULL)
        return ew__affine_row(fill->affine, fill->type, row, to, scratch + untiled_bytes);
    EW__TRY(ew__affine_row(fill->affine, fill->type, row, scratch, scratch + untiled_bytes));
    ew__tile_v_heads(fill->tile, scratch, to, fill->head_bytes);
    return EW_OK;
}

static void fill_rows(void *context, size_t begin, size_t end, void *scratch) {
    struct fill *fill = context;
    for (uint64_t row = begin; row < end; row++) {
        if (fill_row(fill, row, scratch) == EW_OK)
            continue;
        uint64_t first = atomic_load(&fill->bad_row);
        while (row < first && !atomic_compare_exchange_weak(&fill->bad_row, &first, row))
            ;
    }
}

ew_status ew__affine_fill(const struct ew__affine *affine, ew__dtype type,
                          const struct ew__config *tile, struct ew__pool *pool, void *to) {
    const struct ew__dtype_info *info = ew__dtype_info((uint32_t)type);
    size_t rows = (size_t)affine->tensor.dims[1];
    size_t row_bytes = (size_t)affine->tensor.dims[0] / info->block_elements * info->block_bytes;
    struct fill fill = {affine, type, tile, to, row_bytes, 0, UINT64_MAX};
    if (tile != NULL)
        fill.head_bytes = row_bytes / tile->n_v_head;
    ew__pool_run(pool, rows, 16, fill_rows, &fill);
    if (fill.bad_row == UINT64_MAX)
        return EW_OK;
    uint8_t *scratch = ew__alloc(ew__affine_scratch_bytes(affine)); // for the sentence, which
    if (scratch == NULL)                                            // belongs to a thread
        return EW_NO_MEMORY;
    ew_status status = ew__affine_row(affine, type, fill.bad_row,
                                      (uint8_t *)to + fill.bad_row * row_bytes, scratch);
    ew__free(scratch);
    return status;
}

/* ---- their memory ---- */

ew_status ew__copies_begin(struct ew__copies *copies, const struct ew__affine_set *set) {
    *copies = (struct ew__copies){0};
    if (set->count == 0)
        return EW_OK;
    copies->items = ew__calloc(set->count, sizeof *copies->items);
    if (copies->items == NULL)
        return EW_NO_MEMORY;
    copies->capacity = set->count;
    return ew__pool_new(0, ew__affine_fill_scratch(set), &copies->pool);
}

void ew__copies_end(struct ew__copies *copies) {
    ew__pool_free(copies->pool);
    copies->pool = NULL;
}

ew_status ew__copies_add(struct ew__copies *copies, const struct ew__affine *affine,
                         const struct ew__config *tile, struct ew__matrix *w) {
    uint64_t bytes;
    if (copies->n == copies->capacity)
        return ew__fail(EW_INTERNAL, "more copies than matrices");
    if (!ew__mul_u64(w->rows, w->row_bytes, &bytes) || bytes > SIZE_MAX)
        return ew__fail(EW_LIMIT, "a matrix is too large to be held");
    copies->items[copies->n++] = (struct ew__copy){w, affine, tile, NULL, bytes};
    return EW_OK;
}

static struct ew__copy *find(struct ew__copies *copies, const struct ew__matrix *w) {
    for (size_t i = 0; i < copies->n; i++)
        if (copies->items[i].w == w)
            return &copies->items[i];
    return NULL;
}

ew_status ew__copies_make(struct ew__copies *copies, const struct ew__matrix *w) {
    struct ew__copy *copy = find(copies, w);
    if (copy == NULL || copy->data != NULL)
        return EW_OK;
    if (copies->pool == NULL)
        return ew__fail(EW_INTERNAL, "rows are made while a model is loaded");
    copy->data = ew__alloc_aligned((size_t)copy->bytes);
    if (copy->data == NULL)
        return EW_NO_MEMORY;
    copy->w->data = copy->data;
    EW__TRY(ew__affine_fill(copy->affine, w->type, copy->tile, copies->pool, copy->data));
    const struct ew__tensor *source = copy->affine->weight;
    ew__file_map_hint(source->data, (size_t)source->bytes, EW__PAGES_DONE);
    return EW_OK;
}

void ew__copies_drop(struct ew__copies *copies, const struct ew__matrix *w) {
    struct ew__copy *copy = find(copies, w);
    if (copy == NULL)
        return;
    ew__free_aligned(copy->data);
    copy->w->data = copy->data = NULL;
}

ew_status ew__copies_make_unpacked(struct ew__copies *copies) {
    for (size_t i = 0; i < copies->n; i++)
        if (copies->items[i].w->packed == NULL)
            EW__TRY(ew__copies_make(copies, copies->items[i].w));
    return EW_OK;
}

uint64_t ew__copies_bytes(const struct ew__copies *copies) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < copies->n; i++)
        bytes += copies->items[i].data != NULL ? copies->items[i].bytes : 0;
    return bytes;
}

void ew__copies_release(struct ew__copies *copies) {
    ew__copies_end(copies);
    for (size_t i = 0; i < copies->n; i++)
        ew__free_aligned(copies->items[i].data);
    ew__free(copies->items);
    *copies = (struct ew__copies){0};
}
