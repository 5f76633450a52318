// SPDX-License-Identifier: Apache-2.0
/* Rows of MLX's affine group quantisation (formats/affine.h) -> floats, and -> the blocks that the
 * kernels multiply. Formulas and what the blocks lose: docs/formats.md, "MLX". */
#ifndef EW_QUANT_AFFINE_H
#define EW_QUANT_AFFINE_H

#include "base/status.h"
#include "formats/affine.h"

#include <stdint.h>

/* Bytes of scratch that the functions below need for a row: any alignment of 4. */
size_t ew__affine_scratch_bytes(const struct ew__affine *affine);

/* Row `row` < tensor.dims[1] as floats: q * scale + bias, rounded after each operation.
 * out[tensor.dims[0]]. */
void ew__affine_floats(const struct ew__affine *affine, uint64_t row, float *out, void *scratch);

/* The same row in `type`, which is affine->tensor.type or F32: Q4_1 and Q5_1 with the scale and
 * bias of its group in each block, whose values are those of ew__affine_floats bit for bit where
 * both are halves, which bfloat16 numbers of magnitudes 2^-14 to 65504 are (smaller ones are off by
 * at most 2^-25); Q8_0 rounded; F32 exact. EW_FORMAT, naming the tensor, for scales that are not
 * finite or too large. Packed weights of a changed rule need a new EW__PACK_LAYOUT. */
ew_status ew__affine_row(const struct ew__affine *affine, ew__dtype type, uint64_t row, void *out,
                         void *scratch);

#endif
