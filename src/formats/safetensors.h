// SPDX-License-Identifier: Apache-2.0
/* Reads safetensors: one file, or the shards of a checkpoint folder; maps the data, copies none of
 * it. Facts: docs/formats.md (source: the huggingface/safetensors format description). Writes one
 * file. */
#ifndef EW_FORMATS_SAFETENSORS_H
#define EW_FORMATS_SAFETENSORS_H

#include "base/dtype.h"
#include "base/status.h"
#include "base/str.h"
#include "formats/tensor_desc.h"

struct ew__safetensors; /* opaque; immutable after open */

ew_status ew__safetensors_open(const char *path, struct ew__safetensors **out);
/* A folder: model.safetensors.index.json with its shards, else model.safetensors, else the single
 * *.safetensors file. */
ew_status ew__safetensors_open_dir(const char *dir, struct ew__safetensors **out);
ew_status ew__safetensors_open_bytes(const void *bytes, size_t n, struct ew__safetensors **out);
void ew__safetensors_close(struct ew__safetensors *set); /* NULL is fine */

uint64_t ew__safetensors_file_bytes(const struct ew__safetensors *set);
/* Sum of the times of change of all files, in nanoseconds: differs when one of them changed. */
uint64_t ew__safetensors_modified(const struct ew__safetensors *set);
uint32_t ew__safetensors_part_count(const struct ew__safetensors *set);
size_t ew__safetensors_tensor_count(const struct ew__safetensors *set);
/* In order of the data. `type` of an unknown dtype (F8_E4M3...) is UINT32_MAX; *dtype_name (may be
 * NULL) gets the file's own word for it. */
const struct ew__tensor *ew__safetensors_tensor_at(const struct ew__safetensors *set, size_t index,
                                                   struct ew__str *dtype_name);
const struct ew__tensor *ew__safetensors_tensor(const struct ew__safetensors *set,
                                                struct ew__str name);
/* Value of a __metadata__ entry of the first file; empty when absent. */
struct ew__str ew__safetensors_metadata(const struct ew__safetensors *set, const char *key);

/* Writer: declare all tensors, begin, give the data in the same order, commit. */
struct ew__safetensors_writer;
ew_status ew__safetensors_writer_new(struct ew__safetensors_writer **out);
void ew__safetensors_writer_free(struct ew__safetensors_writer *writer);
/* dims: contiguous one first, as everywhere in the library; written reversed. */
ew_status ew__safetensors_add_tensor(struct ew__safetensors_writer *writer, struct ew__str name,
                                     ew__dtype type, uint32_t n_dims, const uint64_t *dims);
ew_status ew__safetensors_begin(struct ew__safetensors_writer *writer, const char *path);
ew_status ew__safetensors_write(struct ew__safetensors_writer *writer, const void *bytes, size_t n);
ew_status ew__safetensors_commit(struct ew__safetensors_writer *writer);

#endif
