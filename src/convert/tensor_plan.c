// SPDX-License-Identifier: Apache-2.0
#include "convert/tensor_plan.h"

#include "base/mem.h"
#include "base/size.h"
#include "quant/affine.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <math.h>

/* Bytes between two calls of the progress function. */
#define REPORT_STEP ((uint64_t)8 << 20)

static ew_status check_source(const struct ew__planned_tensor *tensor) {
    const struct ew__tensor *source = tensor->source;
    int name_n = (int)source->name.n; // printable: it was looked up by a name of ours
    const char *name = source->name.bytes;
    uint64_t n;
    if (source->affine == NULL && (!ew__dtype_decodable((ew__dtype)source->type) ||
                                   ew__dtype_info(source->type)->block_elements != 1))
        return ew__fail(EW_UNSUPPORTED,
                        "tensor \"%.*s\" has type %s, only float types are converted", name_n, name,
                        ew__dtype_name(source->type));
    if (!ew__mul_u64(tensor->rows, tensor->source_columns, &n) || n != ew__tensor_elements(source))
        return ew__fail(EW_FORMAT,
                        "tensor \"%.*s\" has %" PRIu64 " values, its shape should be [%" PRIu64
                        ", %" PRIu64 "]",
                        name_n, name, ew__tensor_elements(source), tensor->rows,
                        tensor->source_columns);
    return EW_OK;
}

static ew_status grow(struct ew__tensor_plan *plan) {
    size_t capacity = plan->capacity == 0 ? 256 : 2 * plan->capacity;
    struct ew__planned_tensor *tensors =
        ew__realloc(plan->tensors, capacity * sizeof *plan->tensors);
    if (tensors == NULL)
        return EW_NO_MEMORY;
    plan->tensors = tensors;
    plan->capacity = capacity;
    return EW_OK;
}

ew_status ew__plan_add(struct ew__tensor_plan *plan, const struct ew__planned_tensor *tensor) {
    size_t n = strlen(tensor->name) + 1;
    EW__TRY(check_source(tensor));
    if (plan->count == plan->capacity)
        EW__TRY(grow(plan));
    char *name = ew__arena_alloc(&plan->arena, n);
    if (name == NULL)
        return EW_NO_MEMORY;
    memcpy(name, tensor->name, n);
    plan->tensors[plan->count] = *tensor;
    plan->tensors[plan->count++].name = name;
    return EW_OK;
}

void ew__plan_release(struct ew__tensor_plan *plan) {
    ew__free(plan->tensors);
    ew__arena_release(&plan->arena);
    *plan = (struct ew__tensor_plan){0};
}

uint64_t ew__plan_bytes(const struct ew__tensor_plan *plan) {
    uint64_t total = 0, row_bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (ew__dtype_row_bytes(plan->tensors[i].type, plan->tensors[i].columns, &row_bytes))
            total += row_bytes * plan->tensors[i].rows;
    return total;
}

ew__dtype ew__matrix_type(ew__dtype wanted, const struct ew__tensor *source, uint64_t columns) {
    if (wanted == EW__OWN_TYPE)
        return (ew__dtype)source->type;
    return columns % ew__dtype_info(wanted)->block_elements == 0 ? wanted : EW__F16;
}

ew_status ew__plan_declare(const struct ew__tensor_plan *plan, struct ew__gguf_writer *writer) {
    for (size_t i = 0; i < plan->count; i++) {
        const struct ew__planned_tensor *tensor = &plan->tensors[i];
        EW__TRY(ew__gguf_add_tensor(writer, ew__str(tensor->name), tensor->type, tensor->n_dims,
                                    tensor->dims));
    }
    return EW_OK;
}

/* ---- one tensor ---- */

struct row_work {
    float *source, *values; /* decoded row; the result's row */
    uint8_t *bytes;         /* the result's row, encoded */
    void *affine;           /* what making a row of a quantised source needs */
    uint64_t source_bytes, result_bytes;
};

static void release_work(struct row_work *work) {
    ew__free(work->source);
    ew__free(work->values);
    ew__free(work->bytes);
    ew__free(work->affine);
}

static ew_status make_work(const struct ew__planned_tensor *tensor, struct row_work *work) {
    *work = (struct row_work){0};
    if (!ew__dtype_row_bytes((ew__dtype)tensor->source->type, tensor->source_columns,
                             &work->source_bytes) ||
        !ew__dtype_row_bytes(tensor->type, tensor->columns, &work->result_bytes))
        return ew__fail(EW_INTERNAL, "a row of tensor \"%s\" has no whole blocks", tensor->name);
    work->source = ew__calloc((size_t)tensor->source_columns, sizeof *work->source);
    work->values = ew__calloc((size_t)tensor->columns, sizeof *work->values);
    work->bytes = ew__calloc(1, (size_t)work->result_bytes);
    const struct ew__affine *affine = tensor->source->affine;
    work->affine = ew__alloc(affine != NULL ? ew__affine_scratch_bytes(affine) : 0);
    if (work->source != NULL && work->values != NULL && work->bytes != NULL && work->affine != NULL)
        return EW_OK;
    release_work(work);
    return EW_NO_MEMORY;
}

/* As model/bind.c does it when a folder is loaded, so that both give the same bits. */
static void apply_transform(ew__transform transform, float *values, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        if (transform == EW__ADD_ONE)
            values[i] += 1.0f;
        if (transform == EW__NEGATE_EXP)
            values[i] = -expf(values[i]);
    }
}

/* Whether a quantised source goes over as the blocks that it is loaded as. */
static bool keeps_blocks(const struct ew__planned_tensor *tensor) {
    const struct ew__tensor *source = tensor->source;
    if (source->affine == NULL || tensor->type != (ew__dtype)source->type)
        return false;
    return tensor->gather == NULL ||
           (tensor->tile_blocks && ew__tiled_type(tensor->config, source) == tensor->type);
}

/* A row of a quantised source as the blocks that it is loaded as. */
static ew_status keep_blocks(const struct ew__planned_tensor *tensor, uint64_t from,
                             struct row_work *work) {
    const struct ew__config *c = tensor->config;
    uint8_t *blocks = tensor->tile_blocks ? (uint8_t *)work->source : work->bytes;
    EW__TRY(ew__affine_row(tensor->source->affine, tensor->type, from, blocks, work->affine));
    if (tensor->tile_blocks)
        ew__tile_v_heads(c, blocks, work->bytes, (size_t)work->result_bytes / c->n_v_head);
    return EW_OK;
}

static void decode_row(const struct ew__planned_tensor *tensor, uint64_t from,
                       const struct row_work *work, float *values) {
    const struct ew__tensor *source = tensor->source;
    if (source->affine != NULL)
        ew__affine_floats(source->affine, from, values, work->affine);
    else
        (void)ew__dequantize_row((ew__dtype)source->type, source->data + from * work->source_bytes,
                                 values, tensor->source_columns);
}

static ew_status make_row(const struct ew__planned_tensor *tensor, uint64_t row,
                          struct row_work *work) {
    const struct ew__tensor *source = tensor->source;
    uint64_t from = tensor->row_source != NULL ? tensor->row_source(tensor, row) : row;
    float *values = tensor->gather != NULL ? work->source : work->values;
    if (keeps_blocks(tensor))
        return keep_blocks(tensor, from, work);
    decode_row(tensor, from, work, values);
    if (ew__first_non_finite(EW__F32, values, tensor->source_columns) != UINT64_MAX)
        return ew__fail(EW_FORMAT, "tensor \"%.*s\" holds a NaN or infinity in row %" PRIu64,
                        (int)source->name.n, source->name.bytes, from);
    if (tensor->gather != NULL)
        tensor->gather(tensor, work->source, work->values);
    apply_transform(tensor->transform, work->values, tensor->columns);
    (void)ew__quantize_row(tensor->type, work->values, work->bytes, tensor->columns);
    if (ew__first_non_finite(tensor->type, work->bytes, tensor->columns) != UINT64_MAX)
        return ew__fail(
            EW_FORMAT, "tensor \"%.*s\" has values in row %" PRIu64 " that %s cannot hold",
            (int)source->name.n, source->name.bytes, from, ew__dtype_name(tensor->type));
    return EW_OK;
}

static ew_status advance(struct ew__conversion_progress *progress, uint64_t bytes) {
    progress->done += bytes;
    if (progress->report == NULL ||
        (progress->done < progress->next_report && progress->done != progress->total))
        return EW_OK;
    progress->next_report = progress->done + REPORT_STEP;
    if (!progress->report(progress->context, progress->done, progress->total))
        return ew__fail(EW_CANCELLED, "the conversion was stopped");
    return EW_OK;
}

static ew_status write_rows(const struct ew__planned_tensor *tensor, struct row_work *work,
                            struct ew__gguf_writer *writer,
                            struct ew__conversion_progress *progress) {
    for (uint64_t row = 0; row < tensor->rows; row++) {
        EW__TRY(make_row(tensor, row, work));
        EW__TRY(ew__gguf_write(writer, work->bytes, (size_t)work->result_bytes));
        EW__TRY(advance(progress, work->result_bytes));
    }
    return EW_OK;
}

ew_status ew__plan_write(const struct ew__tensor_plan *plan, struct ew__gguf_writer *writer,
                         struct ew__conversion_progress *progress) {
    for (size_t i = 0; i < plan->count; i++) {
        struct row_work work;
        EW__TRY(make_work(&plan->tensors[i], &work));
        ew_status status = write_rows(&plan->tensors[i], &work, writer, progress);
        release_work(&work);
        EW__TRY(status);
    }
    return EW_OK;
}
