// SPDX-License-Identifier: Apache-2.0
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "base/utf8.h"
#include "formats/name_set.h"
#include "formats/safetensors_part.h"

#include <inttypes.h>
#include <string.h>

enum phase { DECLARING, WRITING, FINISHED };

struct ew__safetensors_writer {
    enum phase phase;
    ew_status status; /* first failure: nothing goes on after it */
    struct ew__buf header;
    struct ew__map names;
    uint64_t data_bytes, given;
    struct ew__file_out out;
};

ew_status ew__safetensors_writer_new(struct ew__safetensors_writer **out) {
    *out = ew__calloc(1, sizeof **out);
    if (*out == NULL)
        return EW_NO_MEMORY;
    (*out)->out.fd = -1;
    ew__buf_init(&(*out)->header, EW__SAFETENSORS_HEADER_BYTES_MAX);
    (*out)->status = ew__buf_add_text(&(*out)->header, "{\"__metadata__\":{\"format\":\"pt\"}");
    if ((*out)->status == EW_OK)
        return EW_OK;
    ew__safetensors_writer_free(*out);
    *out = NULL;
    return EW_NO_MEMORY;
}

void ew__safetensors_writer_free(struct ew__safetensors_writer *writer) {
    if (writer == NULL)
        return;
    ew__file_out_abort(&writer->out);
    ew__buf_release(&writer->header);
    ew__name_set_release(&writer->names);
    ew__free(writer);
}

static ew_status enter(const struct ew__safetensors_writer *writer, enum phase phase) {
    if (writer->status != EW_OK)
        return ew__fail(writer->status, "an earlier call to this safetensors writer failed");
    if (writer->phase != phase)
        return ew__fail(EW_STATE, "this call belongs %s",
                        phase == DECLARING ? "before begin" : "between begin and commit");
    return EW_OK;
}

static ew_status stick(struct ew__safetensors_writer *writer, ew_status status) {
    if (writer->status == EW_OK)
        writer->status = status;
    return status;
}

/* A JSON string: quotes, backslashes and control characters escaped, the rest as it is. */
static void add_quoted(struct ew__buf *buf, struct ew__str text) {
    (void)ew__buf_add(buf, "\"", 1);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if (c == '"' || c == '\\')
            (void)ew__buf_add_format(buf, "\\%c", c);
        else if (c < 0x20)
            (void)ew__buf_add_format(buf, "\\u%04x", c);
        else
            (void)ew__buf_add(buf, &text.bytes[i], 1);
    }
    (void)ew__buf_add(buf, "\"", 1);
}

static ew_status tensor_bytes(ew__dtype type, uint32_t n_dims, const uint64_t *dims,
                              uint64_t *bytes) {
    if (ew__safetensors_dtype_name(type) == NULL)
        return ew__fail(EW_ARGUMENT, "safetensors has no type %s", ew__dtype_name(type));
    if (n_dims > EW__TENSOR_DIMS_MAX)
        return ew__fail(EW_ARGUMENT, "%" PRIu32 " dimensions, at most %u are read", n_dims,
                        EW__TENSOR_DIMS_MAX);
    *bytes = ew__dtype_info(type)->block_bytes;
    for (uint32_t i = 0; i < n_dims; i++)
        if (!ew__mul_u64(*bytes, dims[i], bytes) || *bytes > INT64_MAX)
            return ew__fail(EW_ARGUMENT, "the size overflows");
    return EW_OK;
}

static ew_status add_tensor(struct ew__safetensors_writer *writer, struct ew__str name,
                            ew__dtype type, uint32_t n_dims, const uint64_t *dims) {
    struct ew__buf *header = &writer->header;
    uint64_t bytes = 0, end;
    if (name.n == 0 || name.n > EW__TENSOR_NAME_BYTES_MAX || !ew__utf8_valid(name) ||
        memchr(name.bytes, 0, name.n) != NULL || ew__str_is(name, "__metadata__"))
        return ew__fail(EW_ARGUMENT, "the name must have 1 to %u bytes of UTF-8 without NUL",
                        EW__TENSOR_NAME_BYTES_MAX);
    EW__TRY(tensor_bytes(type, n_dims, dims, &bytes));
    if (!ew__add_u64(writer->data_bytes, bytes, &end) || end > (uint64_t)1 << 53)
        return ew__fail(EW_LIMIT, "the data of all tensors is too large");
    if (writer->names.count == EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "over %u tensors", EW__TENSOR_COUNT_MAX);
    EW__TRY(ew__name_set_add(&writer->names, name, NULL));
    (void)ew__buf_add(header, ",", 1);
    add_quoted(header, name);
    (void)ew__buf_add_format(header, ":{\"dtype\":\"%s\",\"shape\":[",
                             ew__safetensors_dtype_name(type));
    for (uint32_t i = n_dims; i-- > 0;)
        (void)ew__buf_add_format(header, "%" PRIu64 "%s", dims[i], i != 0 ? "," : "");
    (void)ew__buf_add_format(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                             writer->data_bytes, end);
    writer->data_bytes = end;
    return ew__buf_status(header);
}

ew_status ew__safetensors_add_tensor(struct ew__safetensors_writer *writer, struct ew__str name,
                                     ew__dtype type, uint32_t n_dims, const uint64_t *dims) {
    EW__TRY(enter(writer, DECLARING));
    ew_status status = add_tensor(writer, name, type, n_dims, dims);
    return stick(writer, ew__fail_in(status, "tensor \"%s\"", ew__quote(name.bytes, name.n)));
}

static ew_status write_header(struct ew__safetensors_writer *writer) {
    struct ew__buf *header = &writer->header;
    (void)ew__buf_add(header, "}", 1);
    while (header->status == EW_OK && header->n % 8 != 0)
        (void)ew__buf_add(header, " ", 1); // so that the data begins at a multiple of 8
    EW__TRY(ew__buf_status(header));
    uint64_t n = header->n; // little-endian hosts only, as gguf_part.c asserts
    EW__TRY(ew__file_out_write(&writer->out, &n, sizeof n));
    return ew__file_out_write(&writer->out, header->bytes, header->n);
}

ew_status ew__safetensors_begin(struct ew__safetensors_writer *writer, const char *path) {
    EW__TRY(enter(writer, DECLARING));
    EW__TRY(stick(writer, ew__file_out_open(&writer->out, path)));
    writer->phase = WRITING;
    return stick(writer, write_header(writer));
}

ew_status ew__safetensors_write(struct ew__safetensors_writer *writer, const void *bytes,
                                size_t n) {
    EW__TRY(enter(writer, WRITING));
    if (n > writer->data_bytes - writer->given)
        return stick(writer,
                     ew__fail(EW_STATE, "the tensors take %" PRIu64 " more bytes, %zu were given",
                              writer->data_bytes - writer->given, n));
    writer->given += n;
    return stick(writer, ew__file_out_write(&writer->out, bytes, n));
}

ew_status ew__safetensors_commit(struct ew__safetensors_writer *writer) {
    EW__TRY(enter(writer, WRITING));
    if (writer->given != writer->data_bytes)
        return stick(writer, ew__fail(EW_STATE, "%" PRIu64 " bytes of data are still to come",
                                      writer->data_bytes - writer->given));
    writer->phase = FINISHED;
    return stick(writer, ew__file_out_commit(&writer->out));
}
