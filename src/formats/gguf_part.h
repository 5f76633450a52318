// SPDX-License-Identifier: Apache-2.0
/* One GGUF file, parsed and checked on its own: what gguf_read.c puts together to a model that may
 * be split over several. Private to this room. */
#ifndef EW_FORMATS_GGUF_PART_H
#define EW_FORMATS_GGUF_PART_H

#include "base/map.h"
#include "base/os.h"
#include "formats/gguf_read.h"

struct ew__gguf_part {
    struct ew__file_map map; /* zeroed when the bytes are the caller's */
    const uint8_t *bytes;
    size_t size;
    uint32_t version, alignment;
    struct ew__gguf_kv *kvs;
    size_t kv_count;
    struct ew__map keys; /* key -> index in kvs */
    struct ew__tensor *tensors;
    size_t tensor_count;
};

/* Parses part->bytes into the other fields. After a failure the part still needs a release. */
ew_status ew__gguf_part_parse(struct ew__gguf_part *part);
void ew__gguf_part_release(struct ew__gguf_part *part); /* a zeroed part is fine */

/* The pair with this key in this part, or NULL. */
const struct ew__gguf_kv *ew__gguf_part_find(const struct ew__gguf_part *part, const char *key);

/* Bytes of one stored value; 0 for strings and arrays, whose size varies, and for unknown types. */
size_t ew__gguf_type_bytes(uint32_t type);
/* "u32", "string"...; "type N" for an unknown one, in a per-thread buffer. */
const char *ew__gguf_type_name(uint32_t type);

/* The typed read behind ew__gguf_u64, on one pair. */
ew_status ew__gguf_kv_u64(const struct ew__gguf_kv *kv, uint64_t min, uint64_t max, uint64_t *out);

/* Block of a tensor type that may stand in a GGUF file: also of those that ggml defines and this
 * build cannot decode. False for an id whose size nobody here knows. */
bool ew__gguf_tensor_block(uint32_t type, uint32_t *elements, uint32_t *bytes);

#endif
