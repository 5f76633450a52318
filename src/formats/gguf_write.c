// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_write.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "base/utf8.h"
#include "formats/gguf_part.h"
#include "formats/name_set.h"

#include <inttypes.h>
#include <string.h>

enum { default_alignment = 32, alignment_min = 8, version = 3 };

struct sized_tensor {
    const char *name; /* owned by the set of names */
    uint64_t bytes;
};

enum phase { DECLARING, WRITING, FINISHED };

struct ew__gguf_writer {
    ew_status status; /* first failure; its sentence is kept in `reason` */
    char reason[EW__MESSAGE_MAX];
    enum phase phase;
    uint32_t alignment;
    struct ew__buf kvs, infos; /* as they will stand in the file */
    struct ew__map keys, names;
    struct sized_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    uint64_t data_end; /* of the tensors declared so far, padded */
    struct ew__file_out out;
    size_t current;  /* tensor whose data comes */
    uint64_t filled; /* bytes of it that came */
};

ew_status ew__gguf_writer_new(struct ew__gguf_writer **out) {
    *out = ew__calloc(1, sizeof **out);
    if (*out == NULL)
        return EW_NO_MEMORY;
    (*out)->alignment = default_alignment;
    (*out)->out.fd = -1;
    ew__buf_init(&(*out)->kvs, EW__GGUF_HEADER_BYTES_MAX);
    ew__buf_init(&(*out)->infos, EW__GGUF_HEADER_BYTES_MAX);
    return EW_OK;
}

void ew__gguf_writer_free(struct ew__gguf_writer *writer) {
    if (writer == NULL)
        return;
    ew__file_out_abort(&writer->out);
    ew__buf_release(&writer->kvs);
    ew__buf_release(&writer->infos);
    ew__name_set_release(&writer->keys);
    ew__name_set_release(&writer->names);
    ew__free(writer->tensors);
    ew__free(writer);
}

/* Keeps the first failure with its sentence. */
static ew_status stick(struct ew__gguf_writer *writer, ew_status status) {
    if (status != EW_OK && writer->status == EW_OK) {
        writer->status = status;
        strncpy(writer->reason, ew_last_error(), sizeof writer->reason - 1);
    }
    return status;
}

/* The sticky failure, said again; then the phase that the call belongs to. */
static ew_status enter(struct ew__gguf_writer *writer, enum phase phase) {
    if (writer->status != EW_OK)
        return ew__fail(writer->status, "%s", writer->reason);
    if (writer->phase != phase)
        return ew__fail(EW_STATE, "this call belongs %s",
                        phase == DECLARING ? "before begin" : "between begin and commit");
    return EW_OK;
}

/* --- metadata --- */

static void add_bytes_u32(struct ew__buf *buf, uint32_t value) {
    (void)ew__buf_add(buf, &value,
                      sizeof value); // little-endian hosts only, as gguf_part.c asserts
}

static void add_bytes_u64(struct ew__buf *buf, uint64_t value) {
    (void)ew__buf_add(buf, &value, sizeof value);
}

static void add_bytes_str(struct ew__buf *buf, struct ew__str text) {
    add_bytes_u64(buf, text.n);
    (void)ew__buf_add(buf, text.bytes, text.n);
}

static ew_status check_key(struct ew__str key) {
    if (key.n == 0 || key.n > EW__GGUF_KEY_BYTES_MAX || !ew__utf8_valid(key))
        return ew__fail(EW_ARGUMENT, "\"%s\" cannot be a metadata key",
                        ew__quote(key.bytes, key.n));
    return EW_OK;
}

/* Registers the key and writes it with the value type. */
static ew_status start_kv(struct ew__gguf_writer *writer, struct ew__str key, ew__gguf_type type) {
    EW__TRY(check_key(key));
    if (writer->keys.count == EW__GGUF_KV_COUNT_MAX)
        return ew__fail(EW_LIMIT, "over %u metadata pairs", EW__GGUF_KV_COUNT_MAX);
    EW__TRY(ew__name_set_add(&writer->keys, key, NULL));
    add_bytes_str(&writer->kvs, key);
    add_bytes_u32(&writer->kvs, type);
    return ew__buf_status(&writer->kvs);
}

/* The reader's rule, so that no file is written that it refuses. */
static ew_status take_alignment(struct ew__gguf_writer *writer, uint32_t value) {
    if (value < alignment_min || value > EW__GGUF_ALIGNMENT_MAX || (value & (value - 1)) != 0)
        return ew__fail(EW_ARGUMENT, "%" PRIu32 " cannot be the alignment", value);
    if (writer->tensor_count != 0)
        return ew__fail(EW_STATE, "the alignment must be set before the first tensor");
    writer->alignment = value;
    return EW_OK;
}

static ew_status add_value(struct ew__gguf_writer *writer, struct ew__str key, ew__gguf_type type,
                           const void *raw, size_t n) {
    EW__TRY(enter(writer, DECLARING));
    EW__TRY(stick(writer, start_kv(writer, key, type)));
    EW__TRY(stick(writer, ew__buf_add(&writer->kvs, raw, n)));
    if (!ew__str_is(key, "general.alignment"))
        return EW_OK;
    uint32_t alignment = 0;
    if (type == EW__GGUF_U32)
        memcpy(&alignment, raw, sizeof alignment);
    return stick(writer, take_alignment(writer, alignment));
}

ew_status ew__gguf_add_u32(struct ew__gguf_writer *writer, const char *key, uint32_t value) {
    return add_value(writer, ew__str(key), EW__GGUF_U32, &value, sizeof value);
}

ew_status ew__gguf_add_u64(struct ew__gguf_writer *writer, const char *key, uint64_t value) {
    return add_value(writer, ew__str(key), EW__GGUF_U64, &value, sizeof value);
}

ew_status ew__gguf_add_f32(struct ew__gguf_writer *writer, const char *key, float value) {
    return add_value(writer, ew__str(key), EW__GGUF_F32, &value, sizeof value);
}

ew_status ew__gguf_add_bool(struct ew__gguf_writer *writer, const char *key, bool value) {
    uint8_t byte = value ? 1 : 0;
    return add_value(writer, ew__str(key), EW__GGUF_BOOL, &byte, 1);
}

ew_status ew__gguf_add_str(struct ew__gguf_writer *writer, const char *key, struct ew__str value) {
    EW__TRY(enter(writer, DECLARING));
    if (value.n > EW__GGUF_STRING_BYTES_MAX)
        return stick(writer, ew__fail(EW_LIMIT, "the value of \"%s\" is too long", key));
    EW__TRY(stick(writer, start_kv(writer, ew__str(key), EW__GGUF_STRING)));
    add_bytes_str(&writer->kvs, value);
    return stick(writer, ew__buf_status(&writer->kvs));
}

static ew_status start_array(struct ew__gguf_writer *writer, const char *key, ew__gguf_type element,
                             uint64_t count) {
    if (count > EW__GGUF_ARRAY_COUNT_MAX)
        return ew__fail(EW_LIMIT, "the array \"%s\" has too many elements", key);
    EW__TRY(start_kv(writer, ew__str(key), EW__GGUF_ARRAY));
    add_bytes_u32(&writer->kvs, element);
    add_bytes_u64(&writer->kvs, count);
    return ew__buf_status(&writer->kvs);
}

ew_status ew__gguf_add_array(struct ew__gguf_writer *writer, const char *key, ew__gguf_type element,
                             const void *values, uint64_t count) {
    EW__TRY(enter(writer, DECLARING));
    size_t bytes = ew__gguf_type_bytes(element);
    if (bytes == 0)
        return stick(writer, ew__fail(EW_ARGUMENT, "\"%s\": no array of %s can be added this way",
                                      key, ew__gguf_type_name(element)));
    EW__TRY(stick(writer, start_array(writer, key, element, count)));
    return stick(writer, ew__buf_add(&writer->kvs, values, (size_t)count * bytes));
}

ew_status ew__gguf_add_strings(struct ew__gguf_writer *writer, const char *key,
                               const struct ew__str *values, uint64_t count) {
    EW__TRY(enter(writer, DECLARING));
    EW__TRY(stick(writer, start_array(writer, key, EW__GGUF_STRING, count)));
    for (uint64_t i = 0; i < count; i++) {
        if (values[i].n > EW__GGUF_STRING_BYTES_MAX)
            return stick(writer, ew__fail(EW_LIMIT, "a string of \"%s\" is too long", key));
        add_bytes_str(&writer->kvs, values[i]);
    }
    return stick(writer, ew__buf_status(&writer->kvs));
}

ew_status ew__gguf_add_kv(struct ew__gguf_writer *writer, const struct ew__gguf_kv *kv) {
    if (kv->type != EW__GGUF_ARRAY)
        return add_value(writer, kv->key, kv->type, kv->raw.bytes, kv->raw.n);
    EW__TRY(enter(writer, DECLARING));
    EW__TRY(stick(writer, start_kv(writer, kv->key, EW__GGUF_ARRAY)));
    add_bytes_u32(&writer->kvs, kv->element);
    add_bytes_u64(&writer->kvs, kv->count);
    return stick(writer, ew__buf_add(&writer->kvs, kv->raw.bytes, kv->raw.n));
}

/* --- tensors --- */

static ew_status tensor_bytes(ew__dtype type, uint32_t n_dims, const uint64_t *dims,
                              uint64_t *bytes) {
    uint64_t rows = 1, elements;
    if (n_dims == 0 || n_dims > EW__GGUF_DIMS_MAX)
        return ew__fail(EW_ARGUMENT, "%" PRIu32 " dimensions, GGUF has 1 to %u", n_dims,
                        EW__GGUF_DIMS_MAX);
    if ((uint32_t)type >= 64 || ew__dtype_info(type)->name == NULL)
        return ew__fail(EW_ARGUMENT, "GGUF has no tensor type %s", ew__dtype_name(type));
    if (!ew__dtype_row_bytes(type, dims[0], bytes))
        return ew__fail(EW_ARGUMENT, "rows of %" PRIu64 " elements cannot be %s", dims[0],
                        ew__dtype_name(type));
    for (uint32_t i = 1; i < n_dims; i++)
        if (!ew__mul_u64(rows, dims[i], &rows))
            rows = 0;
    if (dims[0] == 0 || rows == 0 || !ew__mul_u64(rows, dims[0], &elements) ||
        elements > INT64_MAX || !ew__mul_u64(rows, *bytes, bytes) || *bytes > INT64_MAX)
        return ew__fail(EW_ARGUMENT, "a dimension is 0 or their product too large");
    return EW_OK;
}

/* Room for one more tensor; the array doubles. */
static ew_status grow_tensors(struct ew__gguf_writer *writer) {
    if (writer->tensor_count < writer->tensor_capacity)
        return EW_OK;
    if (writer->tensor_count == EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "over %u tensors", EW__TENSOR_COUNT_MAX);
    size_t capacity = writer->tensor_capacity == 0 ? 64 : writer->tensor_capacity * 2;
    struct sized_tensor *more = ew__realloc(writer->tensors, capacity * sizeof *more);
    if (more == NULL)
        return EW_NO_MEMORY;
    writer->tensors = more;
    writer->tensor_capacity = capacity;
    return EW_OK;
}

static ew_status add_tensor(struct ew__gguf_writer *writer, struct ew__str name, ew__dtype type,
                            uint32_t n_dims, const uint64_t *dims) {
    struct sized_tensor tensor;
    uint64_t end;
    if (name.n == 0 || name.n > EW__GGUF_TENSOR_NAME_BYTES_MAX || !ew__utf8_valid(name))
        return ew__fail(EW_ARGUMENT, "the name must have 1 to %u bytes of UTF-8",
                        EW__GGUF_TENSOR_NAME_BYTES_MAX);
    EW__TRY(tensor_bytes(type, n_dims, dims, &tensor.bytes));
    if (!ew__add_u64(writer->data_end, tensor.bytes, &end) || end > INT64_MAX)
        return ew__fail(EW_LIMIT, "the data of all tensors is too large");
    EW__TRY(grow_tensors(writer));
    EW__TRY(ew__name_set_add(&writer->names, name, &tensor.name));
    writer->tensors[writer->tensor_count++] = tensor;
    add_bytes_str(&writer->infos, name);
    add_bytes_u32(&writer->infos, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        add_bytes_u64(&writer->infos, dims[i]);
    add_bytes_u32(&writer->infos, type);
    add_bytes_u64(&writer->infos, writer->data_end);
    writer->data_end = (end + writer->alignment - 1) / writer->alignment * writer->alignment;
    return ew__buf_status(&writer->infos);
}

ew_status ew__gguf_add_tensor(struct ew__gguf_writer *writer, struct ew__str name, ew__dtype type,
                              uint32_t n_dims, const uint64_t *dims) {
    EW__TRY(enter(writer, DECLARING));
    ew_status status = add_tensor(writer, name, type, n_dims, dims);
    return stick(writer, ew__fail_in(status, "tensor \"%s\"", ew__quote(name.bytes, name.n)));
}

/* --- the file --- */

/* Zeros up to the next multiple of the alignment. */
static ew_status pad(struct ew__gguf_writer *writer) {
    static const uint8_t zeros[256];
    uint64_t left =
        (writer->alignment - writer->out.written % writer->alignment) % writer->alignment;
    while (left != 0) {
        size_t n = left < sizeof zeros ? (size_t)left : sizeof zeros;
        EW__TRY(ew__file_out_write(&writer->out, zeros, n));
        left -= n;
    }
    return EW_OK;
}

static ew_status write_header(struct ew__gguf_writer *writer) {
    struct ew__buf head;
    ew__buf_init(&head, 64);
    (void)ew__buf_add(&head, "GGUF", 4);
    add_bytes_u32(&head, version);
    add_bytes_u64(&head, writer->tensor_count);
    add_bytes_u64(&head, writer->keys.count);
    ew_status status = ew__buf_status(&head);
    if (status == EW_OK)
        status = ew__file_out_write(&writer->out, head.bytes, head.n);
    ew__buf_release(&head);
    EW__TRY(status);
    EW__TRY(ew__file_out_write(&writer->out, writer->kvs.bytes, writer->kvs.n));
    EW__TRY(ew__file_out_write(&writer->out, writer->infos.bytes, writer->infos.n));
    return pad(writer);
}

ew_status ew__gguf_begin(struct ew__gguf_writer *writer, const char *path) {
    EW__TRY(enter(writer, DECLARING));
    EW__TRY(stick(writer, ew__file_out_open(&writer->out, path)));
    writer->phase = WRITING;
    return stick(writer, write_header(writer));
}

ew_status ew__gguf_write(struct ew__gguf_writer *writer, const void *bytes, size_t n) {
    EW__TRY(enter(writer, WRITING));
    if (n == 0)
        return EW_OK;
    if (writer->current == writer->tensor_count)
        return stick(writer, ew__fail(EW_STATE, "data after the last tensor"));
    const struct sized_tensor *tensor = &writer->tensors[writer->current];
    if (n > tensor->bytes - writer->filled)
        return stick(writer, ew__fail(EW_STATE,
                                      "tensor \"%s\" takes %" PRIu64 " more bytes, %zu were given",
                                      ew__quote(tensor->name, strlen(tensor->name)),
                                      tensor->bytes - writer->filled, n));
    EW__TRY(stick(writer, ew__file_out_write(&writer->out, bytes, n)));
    writer->filled += n;
    if (writer->filled < tensor->bytes)
        return EW_OK;
    writer->current++;
    writer->filled = 0;
    return stick(writer, pad(writer));
}

ew_status ew__gguf_commit(struct ew__gguf_writer *writer) {
    EW__TRY(enter(writer, WRITING));
    if (writer->current != writer->tensor_count) {
        const char *name = writer->tensors[writer->current].name;
        return stick(writer, ew__fail(EW_STATE, "the data of tensor \"%s\" is not complete",
                                      ew__quote(name, strlen(name))));
    }
    writer->phase = FINISHED;
    return stick(writer, ew__file_out_commit(&writer->out));
}
