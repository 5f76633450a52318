// SPDX-License-Identifier: Apache-2.0
/* Which tensor of a checkpoint a bound weight matrix is. */
#ifndef EW_MODEL_MATRIX_NAME_H
#define EW_MODEL_MATRIX_NAME_H

#include "model/model.h"

/* The name in a GGUF file ("blk.3.ffn_up.weight") of a matrix of the model; a tied head is the
 * embedding. False, and nothing written, for an address that is none of its matrices. */
bool ew__matrix_name(const struct ew__model *model, const struct ew__matrix *w,
                     char name[EW__TENSOR_NAME_BYTES_MAX + 1]);

#endif
