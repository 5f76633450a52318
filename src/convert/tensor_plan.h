// SPDX-License-Identifier: Apache-2.0
/* A GGUF file's tensors as a list of what to read and how to change it, and the writing of such a
 * list row by row: memory is bounded by one row. */
#ifndef EW_CONVERT_TENSOR_PLAN_H
#define EW_CONVERT_TENSOR_PLAN_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/status.h"
#include "edgewise/checkpoint.h"
#include "formats/gguf_write.h"
#include "formats/tensor_desc.h"
#include "model/checkpoint.h"

struct ew__planned_tensor;

/* In place of a type: each matrix keeps the one that it is loaded as. */
#define EW__OWN_TYPE ((ew__dtype)EW__DTYPE_COUNT)

/* The row of the source that becomes row `row` of the result. */
typedef uint64_t ew__row_source(const struct ew__planned_tensor *tensor, uint64_t row);
/* Picks the result's columns from a row of the source. */
typedef void ew__column_gather(const struct ew__planned_tensor *tensor, const float *in,
                               float *out);

struct ew__planned_tensor {
    const char *name; /* in the GGUF file; in the plan's arena */
    const struct ew__tensor *source;
    ew__dtype type; /* of the result: F32, F16, BF16, Q8_0, or that of a quantised source */
    uint32_t n_dims;
    uint64_t dims[4];                       /* of the result, contiguous one first */
    uint64_t columns, rows, source_columns; /* rows: the same in source and result */
    ew__transform transform;
    ew__row_source *row_source;      /* NULL: the same row */
    ew__column_gather *gather;       /* NULL: the same columns */
    bool tile_blocks;                /* kept blocks whose columns are value heads */
    const struct ew__config *config; /* for the value-head maps */
    ew__v_axis v_axis;
    uint32_t slice; /* for gather: the time slice of the vision patch kernel */
};

struct ew__tensor_plan {
    struct ew__planned_tensor *tensors;
    size_t count, capacity;
    struct ew__arena arena; /* names */
};

/* Appends a copy; the name is copied too. Fails when the source's type cannot be decoded or its
 * size is not rows x source_columns. */
ew_status ew__plan_add(struct ew__tensor_plan *plan, const struct ew__planned_tensor *tensor);
void ew__plan_release(struct ew__tensor_plan *plan); /* a zeroed one is fine */
/* Bytes of all results; cannot overflow, since every source is in a file. */
uint64_t ew__plan_bytes(const struct ew__tensor_plan *plan);

struct ew__conversion_progress {
    ew_progress_fn *report; /* may be NULL */
    void *context;
    uint64_t done, total; /* bytes */
    uint64_t next_report;
};

ew_status ew__plan_declare(const struct ew__tensor_plan *plan, struct ew__gguf_writer *writer);
/* After ew__gguf_begin. Values that are not finite, or not in the result's type, are refused with
 * the tensor's name. */
ew_status ew__plan_write(const struct ew__tensor_plan *plan, struct ew__gguf_writer *writer,
                         struct ew__conversion_progress *progress);

/* The matrix type `wanted`, or F16 where rows are no whole blocks of it; the source's where
 * EW__OWN_TYPE is wanted. */
ew__dtype ew__matrix_type(ew__dtype wanted, const struct ew__tensor *source, uint64_t columns);

#endif
