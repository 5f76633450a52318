// SPDX-License-Identifier: Apache-2.0
/* One safetensors file, parsed and checked on its own. Private to this room. */
#ifndef EW_FORMATS_SAFETENSORS_PART_H
#define EW_FORMATS_SAFETENSORS_PART_H

#include "base/json.h"
#include "base/os.h"
#include "formats/safetensors.h"

struct ew__safetensors_entry {
    struct ew__tensor tensor;  /* first, so that a tensor's address is its entry's */
    struct ew__str dtype_name; /* borrowed from the header, like the tensor's name */
    uint64_t begin;            /* in the data buffer */
};

struct ew__safetensors_part {
    struct ew__file_map map; /* zeroed when the bytes are the caller's */
    const uint8_t *bytes;
    size_t size;
    json_t *header;
    struct ew__safetensors_entry *entries; /* in order of the data */
    size_t count;
};

/* Parses part->bytes into the other fields. After a failure the part still needs a release. */
ew_status ew__safetensors_part_parse(struct ew__safetensors_part *part);
void ew__safetensors_part_release(struct ew__safetensors_part *part); /* a zeroed part is fine */

/* The container's word for a type ("BF16"), or NULL when it has none. */
const char *ew__safetensors_dtype_name(ew__dtype type);

#endif
