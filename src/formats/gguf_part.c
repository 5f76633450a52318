// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_part.h"
#include "base/cursor.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "mapped tensors are used as they lie");

enum {
    default_alignment = 32,
    alignment_min = 8, /* ggml docs/gguf.md: a multiple of 8; data is read as numbers in place */
    kv_bytes_min = 8 + 1 + 4 + 1,
    tensor_bytes_min = 8 + 1 + 4 + 8 + 4 + 8
};

bool ew__gguf_tensor_block(uint32_t type, uint32_t *elements, uint32_t *bytes) {
    /* Defined by ggml (ggml-common.h), not decoded here: a tool may still list and copy them. */
    static const struct {
        uint32_t id, elements, bytes;
    } foreign[] = {
        {9, 32, 36},    // Q8_1
        {15, 256, 292}, // Q8_K
        {19, 256, 50},  // IQ1_S
        {29, 256, 56},  // IQ1_M
        {34, 256, 54},  // TQ1_0
        {35, 256, 66},  // TQ2_0
        {39, 32, 17},   // MXFP4
        {40, 64, 36},   // NVFP4
    };
    const struct ew__dtype_info *info = ew__dtype_info(type);
    bool is_own = type >= EW__U8 && type <= EW__BOOL; // ids of other containers, not of GGUF
    if (info->name != NULL && !is_own) {
        *elements = info->block_elements;
        *bytes = info->block_bytes;
        return true;
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (foreign[i].id == type) {
            *elements = foreign[i].elements;
            *bytes = foreign[i].bytes;
            return true;
        }
    }
    return false;
}

static const char *quoted(struct ew__str text) {
    return ew__quote(text.bytes, text.n);
}

static ew_status read_header(struct ew__cursor *c, struct ew__gguf_part *part) {
    struct ew__str magic = ew__cursor_bytes(c, 4, "the magic number");
    if (c->status == EW_OK && !ew__str_is(magic, "GGUF"))
        return ew__fail(EW_FORMAT, "not a GGUF file: it starts with \"%s\" instead of \"GGUF\"",
                        quoted(magic));
    part->version = ew__cursor_u32(c, "the version");
    EW__TRY(c->status);
    if (part->version == 0)
        return ew__fail(EW_FORMAT, "GGUF version 0 does not exist");
    if ((part->version & 0xffff) == 0)
        return ew__fail(EW_UNSUPPORTED, "a big-endian GGUF file; only little-endian ones are read");
    if (part->version == 1)
        return ew__fail(EW_UNSUPPORTED, "GGUF version 1 is obsolete; versions 2 and 3 are read");
    if (part->version > 3)
        return ew__fail(EW_UNSUPPORTED,
                        "GGUF version %" PRIu32 " is unknown; versions 2 and 3 are read",
                        part->version);
    return EW_OK;
}

/* A count of the file's header, against the limit and the bytes that so many items need. */
static ew_status read_count(struct ew__cursor *c, const char *what, uint64_t max, uint64_t left,
                            uint64_t item_bytes_min, size_t *out) {
    uint64_t count = ew__cursor_u64(c, what);
    EW__TRY(c->status);
    if (count > max)
        return ew__fail(EW_LIMIT, "%s is %" PRIu64 ", at most %" PRIu64 " are allowed", what, count,
                        max);
    if (count > left / item_bytes_min)
        return ew__fail(EW_FORMAT, "%s is %" PRIu64 ", more than a file of this size can hold",
                        what, count);
    *out = (size_t)count;
    return EW_OK;
}

/* --- pairs --- */

static ew_status skip_string(struct ew__cursor *c) {
    uint64_t n = ew__cursor_u64(c, "a string's length");
    if (c->status == EW_OK && n > EW__GGUF_STRING_BYTES_MAX)
        return ew__cursor_fail(c, "a string of %" PRIu64 " bytes, over the limit of %u", n,
                               EW__GGUF_STRING_BYTES_MAX);
    ew__cursor_bytes(c, n, "a string");
    return c->status;
}

/* 250,000 strings stand in an ordinary file, so the usual case avoids the cursor's bookkeeping. */
static ew_status skip_strings(struct ew__cursor *c, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        size_t left = c->size - c->at;
        uint64_t n = left >= 8 ? ew__load_u64(c->base + c->at) : UINT64_MAX;
        if (left < 8 || n > left - 8 || n > EW__GGUF_STRING_BYTES_MAX)
            return ew__fail_in(skip_string(c), "string %" PRIu64, i);
        c->at += 8 + (size_t)n;
    }
    return EW_OK;
}

static ew_status check_bools(struct ew__str raw) {
    for (size_t i = 0; i < raw.n; i++)
        if ((uint8_t)raw.bytes[i] > 1)
            return ew__fail(EW_FORMAT, "a bool holds %u, only 0 and 1 are allowed",
                            (uint8_t)raw.bytes[i]);
    return EW_OK;
}

static ew_status read_array_type(struct ew__cursor *c, struct ew__gguf_kv *kv) {
    uint32_t element = ew__cursor_u32(c, "the array's element type");
    kv->count = ew__cursor_u64(c, "the array's count");
    EW__TRY(c->status);
    if (element == EW__GGUF_ARRAY)
        return ew__fail(EW_UNSUPPORTED, "arrays of arrays are not read");
    if (element >= EW__GGUF_TYPE_COUNT)
        return ew__fail(EW_FORMAT, "an array of the unknown value type %" PRIu32, element);
    kv->element = (ew__gguf_type)element;
    if (kv->count > EW__GGUF_ARRAY_COUNT_MAX)
        return ew__fail(EW_LIMIT, "an array of %" PRIu64 " elements, over the limit of %u",
                        kv->count, EW__GGUF_ARRAY_COUNT_MAX);
    return EW_OK;
}

static ew_status read_value(struct ew__cursor *c, struct ew__gguf_kv *kv) {
    uint32_t type = ew__cursor_u32(c, "the value type");
    EW__TRY(c->status);
    if (type >= EW__GGUF_TYPE_COUNT)
        return ew__fail(EW_FORMAT, "unknown value type %" PRIu32, type);
    kv->type = kv->element = (ew__gguf_type)type;
    kv->count = 1;
    if (type == EW__GGUF_ARRAY)
        EW__TRY(read_array_type(c, kv));
    const char *start = (const char *)c->base + c->at;
    if (kv->element == EW__GGUF_STRING) {
        EW__TRY(skip_strings(c, kv->count));
        kv->raw = ew__str_of(start, (size_t)((const char *)c->base + c->at - start));
        return EW_OK;
    }
    // at most 2^30 elements of 8 bytes: no overflow
    kv->raw = ew__cursor_bytes(c, kv->count * ew__gguf_type_bytes(kv->element), "the value");
    EW__TRY(c->status);
    return kv->element == EW__GGUF_BOOL ? check_bools(kv->raw) : EW_OK;
}

static ew_status read_kv(struct ew__cursor *c, struct ew__gguf_part *part) {
    struct ew__gguf_kv *kv = &part->kvs[part->kv_count];
    bool existed;
    uint64_t n = ew__cursor_u64(c, "the key's length");
    EW__TRY(c->status);
    if (n == 0)
        return ew__fail(EW_FORMAT, "the key is empty");
    if (n > EW__GGUF_KEY_BYTES_MAX)
        return ew__fail(EW_FORMAT, "the key has %" PRIu64 " bytes, at most %u are allowed", n,
                        EW__GGUF_KEY_BYTES_MAX);
    kv->key = ew__cursor_bytes(c, n, "the key");
    EW__TRY(c->status);
    if (!ew__utf8_valid(kv->key))
        return ew__fail(EW_FORMAT, "the key \"%s\" is not valid UTF-8", quoted(kv->key));
    EW__TRY(ew__map_add(&part->keys, kv->key, (uint32_t)part->kv_count, &existed));
    if (existed)
        return ew__fail(EW_FORMAT, "the key \"%s\" stands twice", quoted(kv->key));
    part->kv_count++;
    return ew__fail_in(read_value(c, kv), "key \"%s\"", quoted(kv->key));
}

static ew_status read_kvs(struct ew__cursor *c, struct ew__gguf_part *part, size_t count) {
    part->kvs = ew__calloc(count, sizeof *part->kvs);
    if (part->kvs == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__map_init(&part->keys, count));
    for (size_t i = 0; i < count; i++)
        EW__TRY(ew__fail_in(read_kv(c, part), "pair %zu of %zu", i + 1, count));
    return EW_OK;
}

static ew_status read_alignment(struct ew__gguf_part *part) {
    const struct ew__gguf_kv *kv = ew__gguf_part_find(part, "general.alignment");
    uint64_t value;
    part->alignment = default_alignment;
    if (kv == NULL)
        return EW_OK;
    if (kv->type != EW__GGUF_U32)
        return ew__fail(EW_FORMAT, "key \"general.alignment\" must be a u32");
    EW__TRY(ew__gguf_kv_u64(kv, alignment_min, EW__GGUF_ALIGNMENT_MAX, &value));
    if ((value & (value - 1)) != 0)
        return ew__fail(
            EW_FORMAT, "key \"general.alignment\" is %" PRIu64 ", which is no power of two", value);
    part->alignment = (uint32_t)value;
    return EW_OK;
}

/* --- tensors --- */

static ew_status read_tensor_name(struct ew__cursor *c, struct ew__tensor *tensor) {
    uint64_t n = ew__cursor_u64(c, "the name's length");
    EW__TRY(c->status);
    if (n == 0)
        return ew__fail(EW_FORMAT, "the name is empty");
    if (n > EW__GGUF_TENSOR_NAME_BYTES_MAX)
        return ew__fail(EW_FORMAT, "the name has %" PRIu64 " bytes, at most %u are allowed", n,
                        EW__GGUF_TENSOR_NAME_BYTES_MAX);
    tensor->name = ew__cursor_bytes(c, n, "the name");
    EW__TRY(c->status);
    if (!ew__utf8_valid(tensor->name))
        return ew__fail(EW_FORMAT, "the name \"%s\" is not valid UTF-8", quoted(tensor->name));
    return EW_OK;
}

static ew_status read_dims(struct ew__cursor *c, struct ew__tensor *tensor) {
    uint64_t elements = 1;
    tensor->n_dims = ew__cursor_u32(c, "the number of dimensions");
    EW__TRY(c->status);
    if (tensor->n_dims == 0 || tensor->n_dims > EW__GGUF_DIMS_MAX)
        return ew__fail(EW_FORMAT, "%" PRIu32 " dimensions, allowed are 1 to %u", tensor->n_dims,
                        EW__GGUF_DIMS_MAX);
    for (uint32_t i = 0; i < EW__TENSOR_DIMS_MAX; i++)
        tensor->dims[i] = i < tensor->n_dims ? ew__cursor_u64(c, "a dimension") : 1;
    EW__TRY(c->status);
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] == 0)
            return ew__fail(EW_FORMAT, "dimension %" PRIu32 " is 0", i);
        if (tensor->dims[i] > INT64_MAX)
            return ew__fail(EW_FORMAT, "dimension %" PRIu32 " is negative or over 2^63", i);
        if (!ew__mul_u64(elements, tensor->dims[i], &elements) || elements > INT64_MAX)
            return ew__fail(EW_FORMAT, "the product of the dimensions overflows");
    }
    return EW_OK;
}

/* With ggml's name for an id that only newer or older versions have. */
static ew_status unknown_type(uint32_t type) {
    const char *name = type < 64 ? ew__dtype_name(type) : "";
    if (name[0] == '\0' || strncmp(name, "type ", 5) == 0)
        return ew__fail(EW_UNSUPPORTED, "unknown tensor type %" PRIu32, type);
    return ew__fail(EW_UNSUPPORTED, "unknown tensor type %" PRIu32 " (%s)", type, name);
}

static ew_status measure(struct ew__tensor *tensor) {
    uint32_t block_elements, block_bytes;
    if (!ew__gguf_tensor_block(tensor->type, &block_elements, &block_bytes))
        return unknown_type(tensor->type);
    if (tensor->dims[0] % block_elements != 0)
        return ew__fail(EW_FORMAT,
                        "its rows of %" PRIu64
                        " elements are no multiple of the %s block of %" PRIu32,
                        tensor->dims[0], ew__dtype_name(tensor->type), block_elements);
    if (!ew__mul_u64(ew__tensor_elements(tensor) / block_elements, block_bytes, &tensor->bytes))
        return ew__fail(EW_FORMAT, "its size in bytes overflows");
    return EW_OK;
}

/* *end is the running sum of padded sizes. Data must stand exactly there, as in ggml's reader: no
 * gap, no overlap. */
static ew_status place(const struct ew__tensor *tensor, uint64_t offset, uint32_t alignment,
                       uint64_t *end) {
    uint64_t padded;
    if (offset % alignment != 0)
        return ew__fail(EW_FORMAT,
                        "its offset %" PRIu64 " is no multiple of the alignment %" PRIu32, offset,
                        alignment);
    if (offset < *end)
        return ew__fail(EW_FORMAT,
                        "its offset %" PRIu64 " overlaps the tensor before, which ends at %" PRIu64,
                        offset, *end);
    if (offset > *end)
        return ew__fail(EW_FORMAT,
                        "its offset %" PRIu64 " leaves a gap, the data before it ends at %" PRIu64,
                        offset, *end);
    if (!ew__add_u64(offset, tensor->bytes, &padded) ||
        !ew__add_u64(padded, alignment - 1, &padded))
        return ew__fail(EW_FORMAT, "the end of its data overflows");
    *end = padded / alignment * alignment;
    return EW_OK;
}

static ew_status read_tensor_rest(struct ew__cursor *c, struct ew__tensor *tensor,
                                  uint32_t alignment, uint64_t *end) {
    EW__TRY(read_dims(c, tensor));
    tensor->type = ew__cursor_u32(c, "the tensor type");
    uint64_t offset = ew__cursor_u64(c, "the offset");
    EW__TRY(c->status);
    EW__TRY(measure(tensor));
    return place(tensor, offset, alignment, end);
}

static ew_status read_tensor(struct ew__cursor *c, struct ew__gguf_part *part, size_t count,
                             uint64_t *end) {
    struct ew__tensor *tensor = &part->tensors[part->tensor_count];
    EW__TRY(ew__fail_in(read_tensor_name(c, tensor), "tensor %zu of %zu", part->tensor_count + 1,
                        count));
    part->tensor_count++;
    return ew__fail_in(read_tensor_rest(c, tensor, part->alignment, end), "tensor \"%s\"",
                       quoted(tensor->name));
}

/* Gives every tensor its bytes. Offsets equal the running sum, so it alone is needed. */
static ew_status bind_data(struct ew__gguf_part *part, size_t header_end) {
    uint64_t at = ((uint64_t)header_end + part->alignment - 1) / part->alignment * part->alignment;
    for (size_t i = 0; i < part->tensor_count; i++) {
        struct ew__tensor *tensor = &part->tensors[i];
        uint64_t end;
        if (!ew__add_u64(at, tensor->bytes, &end) || end > part->size)
            return ew__fail(EW_FORMAT,
                            "truncated file: the data of tensor \"%s\" starts at byte %" PRIu64
                            " and takes %" PRIu64 ", the file has %zu",
                            quoted(tensor->name), at, tensor->bytes, part->size);
        tensor->data = part->bytes + at;
        at = (end + part->alignment - 1) / part->alignment * part->alignment;
    }
    return EW_OK;
}

static ew_status read_tensors(struct ew__cursor *c, struct ew__gguf_part *part, size_t count) {
    uint64_t end = 0;
    part->tensors = ew__calloc(count, sizeof *part->tensors);
    if (part->tensors == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        EW__TRY(read_tensor(c, part, count, &end));
    return bind_data(part, c->at);
}

ew_status ew__gguf_part_parse(struct ew__gguf_part *part) {
    struct ew__cursor c;
    size_t tensors, kvs;
    ew__cursor_init(&c, part->bytes, part->size);
    EW__TRY(read_header(&c, part));
    EW__TRY(read_count(&c, "the number of tensors", EW__TENSOR_COUNT_MAX, part->size,
                       tensor_bytes_min, &tensors));
    EW__TRY(read_count(&c, "the number of metadata pairs", EW__GGUF_KV_COUNT_MAX, part->size,
                       kv_bytes_min, &kvs));
    EW__TRY(read_kvs(&c, part, kvs));
    EW__TRY(read_alignment(part));
    return read_tensors(&c, part, tensors);
}

void ew__gguf_part_release(struct ew__gguf_part *part) {
    ew__free(part->kvs);
    ew__free(part->tensors);
    ew__map_release(&part->keys);
    ew__file_map_close(&part->map);
}

const struct ew__gguf_kv *ew__gguf_part_find(const struct ew__gguf_part *part, const char *key) {
    uint32_t index;
    return ew__map_get(&part->keys, ew__str(key), &index) ? &part->kvs[index] : NULL;
}
