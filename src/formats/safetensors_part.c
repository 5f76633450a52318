// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_part.h"
#include "base/cursor.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { unknown_bits = 0 };

/* The format's types. Those without an ew__dtype can be measured, but not decoded. */
static const struct {
    const char *name;
    uint32_t type, bits;
} dtypes[] = {
    {"BOOL", EW__BOOL, 8},      {"U8", EW__U8, 8},          {"I8", EW__I8, 8},
    {"U16", EW__U16, 16},       {"I16", EW__I16, 16},       {"F16", EW__F16, 16},
    {"BF16", EW__BF16, 16},     {"U32", EW__U32, 32},       {"I32", EW__I32, 32},
    {"F32", EW__F32, 32},       {"U64", EW__U64, 64},       {"I64", EW__I64, 64},
    {"F64", EW__F64, 64},       {"C64", UINT32_MAX, 64},    {"F8_E4M3", UINT32_MAX, 8},
    {"F8_E5M2", UINT32_MAX, 8}, {"F8_E8M0", UINT32_MAX, 8}, {"F4", UINT32_MAX, 4},
    {"F6_E2M3", UINT32_MAX, 6}, {"F6_E3M2", UINT32_MAX, 6},
};

const char *ew__safetensors_dtype_name(ew__dtype type) {
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (dtypes[i].type == (uint32_t)type)
            return dtypes[i].name;
    return NULL;
}

static const char *quoted(struct ew__str text) {
    return ew__quote(text.bytes, text.n);
}

/* --- the header as JSON --- */

/* Finds the header's text and the data buffer behind it. */
static ew_status frame(const struct ew__safetensors_part *part, struct ew__str *header) {
    if (part->size < 8)
        return ew__fail(EW_FORMAT, "truncated file: %zu bytes are too short for a header",
                        part->size);
    uint64_t n = ew__load_u64(part->bytes);
    if (n == 0)
        return ew__fail(EW_FORMAT, "the header is empty");
    if (n > EW__SAFETENSORS_HEADER_BYTES_MAX)
        return ew__fail(EW_FORMAT, "a header of %" PRIu64 " bytes, over the format's limit of %u",
                        n, EW__SAFETENSORS_HEADER_BYTES_MAX);
    if (n > part->size - 8)
        return ew__fail(EW_FORMAT,
                        "truncated file: the header needs %" PRIu64 " bytes, %zu are left", n,
                        part->size - 8);
    *header = ew__str_of((const char *)part->bytes + 8, (size_t)n);
    if (header->bytes[0] != '{')
        return ew__fail(EW_FORMAT, "the header must start with {");
    if (!ew__utf8_valid(*header))
        return ew__fail(EW_FORMAT, "the header is not valid UTF-8");
    return EW_OK;
}

static ew_status check_metadata(const json_t *metadata) {
    const char *key;
    const json_t *value;
    if (!json_is_object(metadata))
        return ew__fail(EW_FORMAT, "__metadata__ must be an object");
    for (void *i = json_object_iter((json_t *)(uintptr_t)metadata); i != NULL;
         i = json_object_iter_next((json_t *)(uintptr_t)metadata, i)) {
        key = json_object_iter_key(i);
        value = json_object_iter_value(i);
        if (!json_is_string(value))
            return ew__fail(EW_FORMAT, "__metadata__ entry \"%s\" must be a string",
                            ew__quote(key, strlen(key)));
    }
    return EW_OK;
}

/* --- one entry --- */

/* A size in JSON: a whole number from 0 to 2^53, the range that every JSON reader keeps exact. */
static ew_status read_size(const json_t *value, const char *what, uint64_t *out) {
    const json_int_t max = (json_int_t)1 << 53;
    if (!json_is_integer(value))
        return ew__fail(EW_FORMAT, "%s must hold whole numbers", what);
    json_int_t number = json_integer_value(value);
    if (number < 0 || number > max)
        return ew__fail(EW_FORMAT, "%s holds %" JSON_INTEGER_FORMAT ", allowed are 0 to 2^53", what,
                        number);
    *out = (uint64_t)number;
    return EW_OK;
}

/* Reads the shape, reversed: the file has the contiguous dimension last. */
static ew_status read_shape(const json_t *shape, struct ew__tensor *tensor, uint64_t *elements) {
    *elements = 1;
    if (!json_is_array(shape))
        return ew__fail(EW_FORMAT, "shape must be an array");
    size_t n = json_array_size(shape);
    if (n > EW__TENSOR_DIMS_MAX)
        return ew__fail(EW_FORMAT, "%zu dimensions, at most %u are allowed", n,
                        EW__TENSOR_DIMS_MAX);
    tensor->n_dims = (uint32_t)n;
    for (size_t i = 0; i < EW__TENSOR_DIMS_MAX; i++)
        tensor->dims[i] = 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t *dim = &tensor->dims[n - 1 - i];
        EW__TRY(read_size(json_array_get(shape, i), "shape", dim));
        if (!ew__mul_u64(*elements, *dim, elements))
            return ew__fail(EW_FORMAT, "the product of the shape overflows");
    }
    return EW_OK;
}

/* *bits stays as it is for a word that this build does not know. */
static ew_status read_dtype(const json_t *dtype, struct ew__safetensors_entry *entry,
                            uint32_t *bits) {
    if (!json_is_string(dtype))
        return ew__fail(EW_FORMAT, "dtype must be a string");
    entry->dtype_name = ew__str_of(json_string_value(dtype), json_string_length(dtype));
    entry->tensor.type = UINT32_MAX;

    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (ew__str_is(entry->dtype_name, dtypes[i].name)) {
            entry->tensor.type = dtypes[i].type;
            *bits = dtypes[i].bits;
        }
    }
    return EW_OK;
}

static ew_status read_range(const json_t *offsets, uint64_t buffer, uint64_t *begin,
                            uint64_t *end) {
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return ew__fail(EW_FORMAT, "data_offsets must be an array of two numbers");
    EW__TRY(read_size(json_array_get(offsets, 0), "data_offsets", begin));
    EW__TRY(read_size(json_array_get(offsets, 1), "data_offsets", end));
    if (*begin > *end)
        return ew__fail(EW_FORMAT, "data_offsets end before they begin");
    if (*end > buffer)
        return ew__fail(EW_FORMAT, "data_offsets end at %" PRIu64 ", the file's data at %" PRIu64,
                        *end, buffer);
    return EW_OK;
}

static ew_status read_entry(const json_t *value, uint64_t buffer,
                            struct ew__safetensors_entry *entry) {
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    uint64_t elements, total_bits, end;
    uint32_t bits = unknown_bits;
    if (!json_is_object(value))
        return ew__fail(EW_FORMAT, "its entry must be an object");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (json_object_get(value, fields[i]) == NULL)
            return ew__fail(EW_FORMAT, "its entry has no %s", fields[i]);
    EW__TRY(read_dtype(json_object_get(value, "dtype"), entry, &bits));
    EW__TRY(read_shape(json_object_get(value, "shape"), &entry->tensor, &elements));
    EW__TRY(read_range(json_object_get(value, "data_offsets"), buffer, &entry->begin, &end));
    entry->tensor.bytes = end - entry->begin;
    if (bits == unknown_bits)
        return EW_OK; // who needs the tensor refuses the type
    if (!ew__mul_u64(elements, bits, &total_bits))
        return ew__fail(EW_FORMAT, "the size in bits overflows");
    if (total_bits % 8 != 0)
        return ew__fail(EW_FORMAT, "its %s elements do not fill whole bytes",
                        quoted(entry->dtype_name));
    if (total_bits / 8 != entry->tensor.bytes)
        return ew__fail(EW_FORMAT,
                        "data_offsets span %" PRIu64 " bytes, shape and dtype need %" PRIu64,
                        entry->tensor.bytes, total_bits / 8);
    return EW_OK;
}

static ew_status read_named_entry(const char *name, const json_t *value, uint64_t buffer,
                                  struct ew__safetensors_entry *entry) {
    entry->tensor.name = ew__str(name);
    if (entry->tensor.name.n == 0)
        return ew__fail(EW_FORMAT, "a tensor's name is empty");
    if (entry->tensor.name.n > EW__TENSOR_NAME_BYTES_MAX)
        return ew__fail(EW_FORMAT, "the tensor name \"%s\" has %zu bytes, at most %u are allowed",
                        quoted(entry->tensor.name), entry->tensor.name.n,
                        EW__TENSOR_NAME_BYTES_MAX);
    return ew__fail_in(read_entry(value, buffer, entry), "tensor \"%s\"",
                       quoted(entry->tensor.name));
}

/* --- all entries --- */

static int by_place(const void *a, const void *b) {
    const struct ew__safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->tensor.bytes !=
        y->tensor.bytes) // an empty tensor stands before the one that starts there
        return x->tensor.bytes < y->tensor.bytes ? -1 : 1;
    return strcmp(x->tensor.name.bytes, y->tensor.name.bytes);
}

/* The sorted entries must fill the buffer: the reference implementation refuses holes, too. */
static ew_status check_tiling(const struct ew__safetensors_part *part, uint64_t buffer) {
    uint64_t at = 0;
    for (size_t i = 0; i < part->count; i++) {
        const struct ew__safetensors_entry *entry = &part->entries[i];
        if (entry->begin < at)
            return ew__fail(EW_FORMAT, "tensor \"%s\": its data overlap those of \"%s\"",
                            quoted(entry->tensor.name), quoted(part->entries[i - 1].tensor.name));
        if (entry->begin > at)
            return ew__fail(EW_FORMAT, "tensor \"%s\": a hole of %" PRIu64 " bytes before its data",
                            quoted(entry->tensor.name), entry->begin - at);
        at += entry->tensor.bytes;
    }
    if (at != buffer)
        return ew__fail(EW_FORMAT, "%" PRIu64 " bytes of data after the last tensor", buffer - at);
    return EW_OK;
}

static ew_status read_entries(struct ew__safetensors_part *part, const uint8_t *data,
                              uint64_t buffer) {
    size_t max = json_object_size(part->header);
    if (max > EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "%zu tensors, at most %u are allowed", max, EW__TENSOR_COUNT_MAX);
    part->entries = ew__calloc(max, sizeof *part->entries);
    if (part->entries == NULL)
        return EW_NO_MEMORY;
    for (void *i = json_object_iter(part->header); i != NULL;
         i = json_object_iter_next(part->header, i)) {
        const char *name = json_object_iter_key(i);
        const json_t *value = json_object_iter_value(i);
        if (strcmp(name, "__metadata__") == 0)
            EW__TRY(check_metadata(value));
        else
            EW__TRY(read_named_entry(name, value, buffer, &part->entries[part->count++]));
    }
    if (part->count != 0)
        qsort(part->entries, part->count, sizeof *part->entries, by_place);
    EW__TRY(check_tiling(part, buffer));
    for (size_t i = 0; i < part->count; i++)
        part->entries[i].tensor.data = data + part->entries[i].begin;
    return EW_OK;
}

ew_status ew__safetensors_part_parse(struct ew__safetensors_part *part) {
    struct ew__str text;
    EW__TRY(frame(part, &text));
    EW__TRY(ew__json_parse(text.bytes, text.n, "the header", &part->header));
    if (!json_is_object(part->header))
        return ew__fail(EW_FORMAT, "the header must be a JSON object");
    return read_entries(part, part->bytes + 8 + text.n, part->size - 8 - text.n);
}

void ew__safetensors_part_release(struct ew__safetensors_part *part) {
    json_decref(part->header);
    ew__free(part->entries);
    ew__file_map_close(&part->map);
}
