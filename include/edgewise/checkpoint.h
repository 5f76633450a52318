// SPDX-License-Identifier: Apache-2.0
/* Checkpoints as files: looking inside and converting. */
#ifndef EDGEWISE_CHECKPOINT_H
#define EDGEWISE_CHECKPOINT_H

#include "edgewise/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- looking inside
 * -------------------------------------------------------------------------------- */

typedef struct ew_inspection ew_inspection;

/* Reads the structure of any GGUF file, safetensors file or checkpoint folder, also of a model that
 * cannot be run. With check_values every weight is read and NaN and infinite ones are reported. */
EW_API ew_status ew_inspect(const char *path, bool check_values, ew_inspection **out);
EW_API void ew_inspection_free(ew_inspection *inspection);

/* "GGUF v3", "safetensors", "Hugging Face folder". */
EW_API const char *ew_inspection_container(const ew_inspection *inspection);
EW_API uint64_t ew_inspection_file_bytes(const ew_inspection *inspection);

/* Metadata in file order: key, type ("u32", "string", "array of i32"...) and a printable value,
 * long ones shortened with a count. Strings belong to the inspection. */
typedef struct ew_metadata {
    const char *key, *type, *value;
} ew_metadata;
EW_API size_t ew_inspection_metadata_count(const ew_inspection *inspection);
EW_API ew_metadata ew_inspection_metadata(const ew_inspection *inspection, size_t index);

/* A tensor: name, type name, dims with the contiguous one first, bytes, its part of a split file.
 */
typedef struct ew_tensor_info {
    const char *name, *type;
    uint32_t n_dims;
    uint64_t dims[8];
    uint64_t bytes;
} ew_tensor_info;
EW_API size_t ew_inspection_tensor_count(const ew_inspection *inspection);
EW_API ew_tensor_info ew_inspection_tensor(const ew_inspection *inspection, size_t index);

/* What would stop or degrade running it, one sentence each; none means that it loads. */
EW_API size_t ew_inspection_problem_count(const ew_inspection *inspection);
EW_API const char *ew_inspection_problem(const ew_inspection *inspection, size_t index);

/* ---- converting
 * -------------------------------------------------------------------------------------- */

/* Called now and then with the bytes done and all; return false to stop (EW_CANCELLED). */
typedef bool ew_progress_fn(void *context, uint64_t done, uint64_t total);

typedef struct ew_convert_options {
    size_t size;
    const char *type;   /* "f32", "f16", "bf16", "q8_0"; NULL: the checkpoint's own float type */
    const char *mmproj; /* where the vision tower goes; NULL: beside `out` as mmproj-<out>, when
                           the checkpoint has one; "" leaves it out */
    ew_progress_fn *progress;
    void *progress_context;
    const char *name; /* general.name of the files; NULL: the folder's */
} ew_convert_options;

/* Hugging Face folder -> GGUF that llama.cpp reads too. The file appears whole or not at all. */
EW_API ew_status ew_convert(const char *dir, const char *out, const ew_convert_options *options);

#ifdef __cplusplus
}
#endif
#endif
