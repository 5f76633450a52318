// SPDX-License-Identifier: Apache-2.0
/* The vision tower of a folder as an mmproj file of llama.cpp (docs/formats.md, "mmproj"). */
#ifndef EW_CONVERT_VISION_PLAN_H
#define EW_CONVERT_VISION_PLAN_H

#include "convert/metadata.h"
#include "convert/tensor_plan.h"
#include "model/vision.h"

struct ew__vision_config {
    struct ew__vision_shape shape;
    double mean[3], deviation[3];    /* of the preprocessor, 0.5 when it is silent */
    uint32_t min_pixels, max_pixels; /* 0: not named */
};

/* EW_NOT_FOUND when the folder has no vision tower. */
ew_status ew__vision_config_read(const struct ew__hf_folder *folder, struct ew__vision_config *out);
ew_status ew__add_vision_keys(struct ew__gguf_writer *writer,
                              const struct ew__vision_config *config, struct ew__str name,
                              ew__file_type file_type);
/* Linear layers get `type`; biases, norms and positions F32; the patch kernel F32, or F16 in an F16
 * file. */
ew_status ew__plan_vision(const struct ew__hf_folder *folder,
                          const struct ew__vision_config *config, ew__dtype type,
                          struct ew__tensor_plan *plan);

#endif
