// SPDX-License-Identifier: Apache-2.0
/* Reads GGUF versions 2 and 3, split over files or not; maps the data and copies none of it.
 *
 * Layout (source: ggml docs/gguf.md and its reader, facts in docs/formats.md):
 *   "GGUF" | u32 version | u64 tensors | u64 pairs | pairs | tensor infos | padding | data
 * Every count, length and offset of the file is checked before it is used. */
#ifndef EW_FORMATS_GGUF_READ_H
#define EW_FORMATS_GGUF_READ_H

#include "base/status.h"
#include "base/str.h"
#include "formats/tensor_desc.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ew__gguf_type {
    EW__GGUF_U8 = 0,
    EW__GGUF_I8,
    EW__GGUF_U16,
    EW__GGUF_I16,
    EW__GGUF_U32,
    EW__GGUF_I32,
    EW__GGUF_F32,
    EW__GGUF_BOOL,
    EW__GGUF_STRING,
    EW__GGUF_ARRAY,
    EW__GGUF_U64,
    EW__GGUF_I64,
    EW__GGUF_F64,
    EW__GGUF_TYPE_COUNT
} ew__gguf_type;

struct ew__gguf_kv {
    struct ew__str key;
    ew__gguf_type type;    /* EW__GGUF_ARRAY for arrays */
    ew__gguf_type element; /* of an array; equal to `type` otherwise */
    uint64_t count;        /* elements; 1 for scalars */
    struct ew__str raw;    /* the stored bytes of the value(s), little endian, unaligned; strings,
                              also a single one, each with their u64 length before them */
};

struct ew__gguf; /* opaque; immutable after open, so any number of threads may read it */

/* Opens a file; for a name ending in -00001-of-0000N.gguf also its other parts. *out is closed with
 * ew__gguf_close; it is NULL after a failure. Metadata comes from the first part, tensors from all.
 *
 * EW_FORMAT for a broken file, EW_UNSUPPORTED for one that is big-endian, of another version, with
 * nested arrays or a tensor type whose size is unknown, EW_LIMIT, EW_IO, EW_NO_MEMORY; EW_ARGUMENT
 * when a later part is named. A tensor of a type that ggml defines and this build cannot decode
 * (IQ1_S, MXFP4...) is listed with its bytes: who needs it refuses it. */
ew_status ew__gguf_open(const char *path, struct ew__gguf **out);
/* The same from n bytes that the caller keeps alive (tests, fuzzing); split files are refused. The
 * address should be a multiple of 8, as malloc's are: tensors are read where they lie. */
ew_status ew__gguf_open_bytes(const void *bytes, size_t n, struct ew__gguf **out);
void ew__gguf_close(struct ew__gguf *gguf); /* NULL is fine */

uint32_t ew__gguf_version(const struct ew__gguf *gguf);
uint64_t ew__gguf_file_bytes(const struct ew__gguf *gguf); /* of all parts */
/* Sum of the times of change of all parts, in nanoseconds: differs when one of them changed. 0 for
 * bytes in memory. */
uint64_t ew__gguf_modified(const struct ew__gguf *gguf);
/* Takes what was read of the files so far, such as 10 MB of token strings, out of this process's
 * memory; all of it can be read again. */
void ew__gguf_give_back(const struct ew__gguf *gguf);
uint32_t ew__gguf_part_count(const struct ew__gguf *gguf);

size_t ew__gguf_kv_count(const struct ew__gguf *gguf);
const struct ew__gguf_kv *ew__gguf_kv_at(const struct ew__gguf *gguf, size_t index);
const struct ew__gguf_kv *ew__gguf_find(const struct ew__gguf *gguf, const char *key); /* or NULL */

/* Typed reads. An absent key leaves *out alone and returns EW_OK; a value of the wrong kind or
 * range is EW_FORMAT with the key in the sentence. Any integer type serves an integer, any float a
 * float; a number outside [min, max] is refused, and so is a float that is not finite. */
ew_status ew__gguf_u64(const struct ew__gguf *gguf, const char *key, uint64_t min, uint64_t max,
                       uint64_t *out);
ew_status ew__gguf_u32(const struct ew__gguf *gguf, const char *key, uint32_t min, uint32_t max,
                       uint32_t *out);
ew_status ew__gguf_f64(const struct ew__gguf *gguf, const char *key, double *out);
ew_status ew__gguf_bool(const struct ew__gguf *gguf, const char *key, bool *out);
ew_status ew__gguf_str(const struct ew__gguf *gguf, const char *key, struct ew__str *out);

/* Element `index` of an array or, with index 0, a scalar: the number as a signed 64-bit integer
 * (booleans as 0 and 1); false when it is no integer or out of range. */
bool ew__gguf_element_i64(const struct ew__gguf_kv *kv, uint64_t index, int64_t *out);
bool ew__gguf_element_f64(const struct ew__gguf_kv *kv, uint64_t index, double *out);
/* Walks the strings of a string array (or a single one) in order: *at starts at 0 and is advanced.
 * The lengths were checked at opening; false after the last. */
bool ew__gguf_next_string(const struct ew__gguf_kv *kv, size_t *at, struct ew__str *out);

size_t ew__gguf_tensor_count(const struct ew__gguf *gguf);
const struct ew__tensor *ew__gguf_tensor_at(const struct ew__gguf *gguf, size_t index);
const struct ew__tensor *ew__gguf_tensor(const struct ew__gguf *gguf,
                                         struct ew__str name); /* or NULL */

#endif
