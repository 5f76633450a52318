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

/* "GGUF v3", "safetensors", "Hugging Face folder", "MLX folder". */
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
    const char *type;   /* "f32", "f16", "bf16", "q8_0"; NULL: the checkpoint's own types, for
                           quantised   matrices of MLX those they are loaded as */
    const char *mmproj; /* where the vision tower goes; NULL: beside `out` as mmproj-<out>, when
                           the checkpoint has one; "" leaves it out */
    ew_progress_fn *progress;
    void *progress_context;
    const char *name; /* general.name of the files; NULL: the folder's */
} ew_convert_options;

/* Folder of Hugging Face or MLX -> GGUF that llama.cpp reads too. The file appears whole or not at
 * all. */
EW_API ew_status ew_convert(const char *dir, const char *out, const ew_convert_options *options);

/* ---- importance matrices
 * ----------------------------------------------------------------------------- */

/* For every weight matrix, the squares of its inputs summed over a text: what an error in each
 * column costs, for ew_quantize. One thread at a time. */
typedef struct ew_importance ew_importance;
struct ew_session;

EW_API ew_status ew_importance_new(ew_importance **out); /* empty */
EW_API void ew_importance_free(ew_importance *importance);
/* llama.cpp's GGUF form and its older binary form. */
EW_API ew_status ew_importance_load(const char *path, ew_importance **out);
/* Writes the GGUF form; the file appears whole or not at all. */
EW_API ew_status ew_importance_save(const ew_importance *importance, const char *path);
/* Adds another one. EW_FORMAT, with nothing changed, when they are of different models or of
 * chunks of different lengths. */
EW_API ew_status ew_importance_merge(ew_importance *into, const ew_importance *from);
/* Evaluates n tokens from an empty context on the session, which is cleared, and adds their inputs
 * as one chunk of the text `dataset` (a name; NULL: none). After a failure nothing is added. */
EW_API ew_status ew_importance_collect(ew_importance *into, struct ew_session *session,
                                       const char *dataset, const int32_t *tokens, size_t n);

typedef struct ew_importance_info {
    size_t size;
    const char *dataset; /* names, separated by ", "; belongs to the importance matrix */
    uint32_t n_chunks, chunk_size;
    size_t n_matrices;
} ew_importance_info;
/* Fills as much of *out as out->size says. */
EW_API ew_status ew_importance_get_info(const ew_importance *importance, ew_importance_info *out);

/* ---- quantising
 * -------------------------------------------------------------------------------------- */

typedef struct ew_quantize_options {
    size_t size;
    const char *type;   /* a mix, "Q4_K_M" or "q8_0": the types are those that llama.cpp gives each
                           tensor under that name. Required */
    uint32_t n_threads; /* 0: all cores */
    ew_progress_fn *progress; /* bytes of the source */
    void *progress_context;
    const char *imatrix; /* file of an importance matrix, which then weights the errors; NULL: none.
                            Matrices that it has no data for are weighted evenly, with a warning;
                            one of another model is refused with EW_FORMAT */
} ew_quantize_options;

/* GGUF file (the first of a split one) -> one GGUF file with other weight types. The bytes depend
 * on the source and the type alone. Memory: a slice of a tensor. The file appears whole or not at
 * all; EW_FORMAT for weights that are not finite or that the type cannot hold, EW_UNSUPPORTED for
 * another architecture or a source type that is not decoded. */
EW_API ew_status ew_quantize(const char *in, const char *out, const ew_quantize_options *options);

#ifdef __cplusplus
}
#endif
#endif
