// SPDX-License-Identifier: Apache-2.0
/* What every reader yields for a tensor: name, type, shape, and its bytes in the mapped file. */
#ifndef EW_FORMATS_TENSOR_DESC_H
#define EW_FORMATS_TENSOR_DESC_H

#include "base/dtype.h"
#include "base/limits.h"
#include "base/str.h"

#include <stdint.h>

struct ew__affine;

struct ew__tensor {
    struct ew__str name;
    uint32_t type; /* an ew__dtype, or an id this build cannot decode: see ew__dtype_name */
    uint32_t n_dims;
    /* Contiguous dimension first (ggml's order), unused ones 1: a checkpoint matrix [out, in] has
     * dims {in, out} whichever container it comes from. */
    uint64_t dims[EW__TENSOR_DIMS_MAX];
    const uint8_t *data; /* in the map; any address for safetensors, a multiple of 8 (in
                             practice 32) for GGUF */
    uint64_t bytes;
    /* Not NULL: the rows lie in no file in this type, ew__affine_row (quant/affine.h) makes them;
     * data is NULL then. */
    const struct ew__affine *affine;
};

static inline uint64_t ew__tensor_elements(const struct ew__tensor *tensor) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        n *= tensor->dims[i];
    return n; /* cannot overflow: the readers checked */
}

#endif
