// SPDX-License-Identifier: Apache-2.0
/* Matrices of MLX checkpoints in affine group quantisation: which modules of a folder are stored
 * so, with how many bits, in groups of how many. Facts: docs/formats.md, "MLX" (source:
 * ml-explore/mlx, ops.quantize). The numbers themselves are read by quant/affine.h. */
#ifndef EW_FORMATS_AFFINE_H
#define EW_FORMATS_AFFINE_H

#include "base/json.h"
#include "base/map.h"
#include "base/status.h"
#include "formats/safetensors.h"
#include "formats/tensor_desc.h"

/* w[out][in] = q * scale + bias: q of `bits` bits, scale and bias of each `group` columns. */
struct ew__affine {
    struct ew__tensor tensor; /* what it stands for: named as the weight, dims {in, out}, a type
                               * that has room for it, `affine` set and no data */
    const struct ew__tensor *weight;          /* U32 [out, in * bits / 32]: rows are bit streams */
    const struct ew__tensor *scales, *biases; /* [out, in / group]: BF16, F16 or F32 */
    uint32_t bits;                            /* 2, 3, 4, 5, 6 or 8 */
    uint32_t group;                           /* 32, 64 or 128 */
};

struct ew__affine_set {
    struct ew__affine *matrices;
    size_t count;
    struct ew__map parts; /* name of a weight, scales or biases -> 3 * matrix + part */
};

enum ew__affine_part { EW__AFFINE_WEIGHT, EW__AFFINE_SCALES, EW__AFFINE_BIASES };

/* Finds every module "X" of which there are "X.scales". config is config.json; its "quantization"
 * gives bits and group, for all and for single modules, and must agree with the shapes. Refused,
 * naming the format or the tensor: quantised checkpoints of other formats and modes, modules with
 * parts missing, widths that do not fit. out is empty for a folder that is not quantised. It
 * borrows from tensors; release it also after a failure. */
ew_status ew__affine_set_read(const json_t *config, const struct ew__safetensors *tensors,
                              struct ew__affine_set *out);
void ew__affine_set_release(struct ew__affine_set *set); /* a zeroed one is fine */

/* The matrix that a tensor is a part of, or NULL; *part (may be NULL) says which. */
const struct ew__affine *ew__affine_find(const struct ew__affine_set *set, struct ew__str name,
                                         enum ew__affine_part *part);

#endif
