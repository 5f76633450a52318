// SPDX-License-Identifier: Apache-2.0
/* Writes GGUF version 3: metadata and tensor list first, then the data tensor by tensor, so that
 * memory is bounded by one tensor. The file appears whole or not at all. */
#ifndef EW_FORMATS_GGUF_WRITE_H
#define EW_FORMATS_GGUF_WRITE_H

#include "base/dtype.h"
#include "base/status.h"
#include "base/str.h"
#include "formats/gguf_read.h"

#include <stdbool.h>
#include <stdint.h>

struct ew__gguf_writer; /* opaque; one thread at a time */

ew_status ew__gguf_writer_new(struct ew__gguf_writer **out);
void ew__gguf_writer_free(
    struct ew__gguf_writer *writer); /* removes an unfinished file; NULL is fine */

/* 1. Metadata, in the order in which it is to stand in the file. A failure (memory, duplicate key)
 * sticks and is reported by every later call up to commit. Array adders copy. */
ew_status ew__gguf_add_u32(struct ew__gguf_writer *writer, const char *key, uint32_t value);
ew_status ew__gguf_add_u64(struct ew__gguf_writer *writer, const char *key, uint64_t value);
ew_status ew__gguf_add_f32(struct ew__gguf_writer *writer, const char *key, float value);
ew_status ew__gguf_add_bool(struct ew__gguf_writer *writer, const char *key, bool value);
ew_status ew__gguf_add_str(struct ew__gguf_writer *writer, const char *key, struct ew__str value);
ew_status ew__gguf_add_array(struct ew__gguf_writer *writer, const char *key, ew__gguf_type element,
                             const void *values,
                             uint64_t count); /* numbers and bool, native layout */
ew_status ew__gguf_add_strings(struct ew__gguf_writer *writer, const char *key,
                               const struct ew__str *values, uint64_t count);
/* Copies one pair of another file as it is. */
ew_status ew__gguf_add_kv(struct ew__gguf_writer *writer, const struct ew__gguf_kv *kv);

/* 2. Tensors, in the order in which their data will come. dims: contiguous one first. */
ew_status ew__gguf_add_tensor(struct ew__gguf_writer *writer, struct ew__str name, ew__dtype type,
                              uint32_t n_dims, const uint64_t *dims);

/* 3. Opens the temporary file beside `path` and writes the header; 4. takes the data of the tensors
 * in order, in pieces of any size (a piece never spans two tensors); 5. checks that all came, then
 * flushes and renames. */
ew_status ew__gguf_begin(struct ew__gguf_writer *writer, const char *path);
ew_status ew__gguf_write(struct ew__gguf_writer *writer, const void *bytes, size_t n);
ew_status ew__gguf_commit(struct ew__gguf_writer *writer);

#endif
