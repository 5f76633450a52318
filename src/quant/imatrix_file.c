// SPDX-License-Identifier: Apache-2.0
/* The two forms of an importance matrix on disk. */
#include "quant/imatrix.h"

#include "base/cursor.h"
#include "base/mem.h"
#include "base/os.h"
#include "formats/gguf_read.h"
#include "formats/gguf_write.h"
#include "quant/blocks.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DAT_ENTRIES_MAX = 1 << 20, COLUMNS_MAX = 1 << 24 };
static const char SUMS[] = ".in_sum2", COUNTS[] = ".counts";

/* ---- values ---- */

static ew_status check_number(const char *name, float value) {
    if (isfinite(value) && value >= 0)
        return EW_OK;
    return ew__fail(EW_FORMAT, "the importance of \"%s\" holds a number that is no sum of squares",
                    ew__quote(name, strlen(name)));
}

/* n little-endian floats at any address -> the sums of an entry that is made for them. */
static ew_status add_sums(struct ew__imatrix *imatrix, const char *name, const uint8_t *values,
                          uint64_t n, double count) {
    struct ew__imatrix_entry *entry;
    if (ew__imatrix_find(imatrix, name) != NULL)
        return ew__fail(EW_FORMAT, "the importance matrix has \"%s\" twice",
                        ew__quote(name, strlen(name)));
    EW__TRY(ew__imatrix_entry(imatrix, name, n, &entry));
    entry->count = count;
    for (uint64_t i = 0; i < n; i++) {
        float value = ew__float_of_bits(ew__load_u32(values + 4 * i));
        EW__TRY(check_number(name, value));
        entry->sum2[i] = (double)value;
    }
    return EW_OK;
}

/* ---- GGUF ---- */

/* name + suffix; false when it is longer than a tensor's name can be. */
static bool tensor_name(char out[EW__TENSOR_NAME_BYTES_MAX + 1], struct ew__str name,
                        const char *suffix) {
    int n = snprintf(out, EW__TENSOR_NAME_BYTES_MAX + 1, "%.*s%s", (int)name.n, name.bytes, suffix);
    return n > 0 && (unsigned)n <= EW__TENSOR_NAME_BYTES_MAX;
}

/* The tensor "<name>.in_sum2" with its "<name>.counts". */
static ew_status read_pair(const struct ew__gguf *gguf, const struct ew__tensor *sums,
                           struct ew__imatrix *out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1], counts_name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct ew__str bare = ew__str_of(sums->name.bytes, sums->name.n - strlen(SUMS));
    const struct ew__tensor *counts = NULL;
    if (tensor_name(name, bare, "") && tensor_name(counts_name, bare, COUNTS))
        counts = ew__gguf_tensor(gguf, ew__str(counts_name));
    if (counts == NULL || sums->type != EW__F32 || counts->type != EW__F32)
        return ew__fail(EW_FORMAT, "tensor \"%s\" has no counts beside it, or is not F32",
                        ew__quote(sums->name.bytes, sums->name.n));
    if (ew__tensor_elements(counts) != 1 || ew__tensor_elements(sums) != sums->dims[0] ||
        sums->dims[0] > COLUMNS_MAX)
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" is of several matrices: only dense models",
                        ew__quote(sums->name.bytes, sums->name.n));
    float count = ew__float_of_bits(ew__load_u32(counts->data));
    EW__TRY(check_number(name, count));
    return add_sums(out, name, sums->data, sums->dims[0], (double)count);
}

static ew_status read_datasets(const struct ew__gguf *gguf, struct ew__imatrix *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, "imatrix.datasets");
    struct ew__str one;
    size_t at = 0;
    if (kv == NULL || kv->element != EW__GGUF_STRING)
        return EW_OK;
    while (ew__gguf_next_string(kv, &at, &one)) {
        struct ew__imatrix named = {.dataset = ew__strndup(one.bytes, one.n)};
        ew_status status = named.dataset == NULL ? EW_NO_MEMORY : ew__imatrix_merge(out, &named);
        ew__free(named.dataset);
        EW__TRY(status);
    }
    return EW_OK;
}

static ew_status read_gguf(const struct ew__gguf *gguf, struct ew__imatrix *out) {
    struct ew__str type = {NULL, 0};
    EW__TRY(ew__gguf_str(gguf, "general.type", &type));
    if (!ew__str_is(type, "imatrix"))
        return ew__fail(EW_FORMAT, "no importance matrix: its general.type is \"%s\"",
                        ew__quote(type.bytes, type.n));
    EW__TRY(read_datasets(gguf, out));
    EW__TRY(ew__gguf_u32(gguf, "imatrix.chunk_count", 0, UINT32_MAX, &out->n_chunks));
    EW__TRY(ew__gguf_u32(gguf, "imatrix.chunk_size", 0, UINT32_MAX, &out->chunk_size));
    for (size_t i = 0; i < ew__gguf_tensor_count(gguf); i++)
        if (ew__str_ends(ew__gguf_tensor_at(gguf, i)->name, SUMS))
            EW__TRY(read_pair(gguf, ew__gguf_tensor_at(gguf, i), out));
    return EW_OK;
}

/* ---- .dat: i32 entries; each i32 n, name, i32 calls, i32 columns, floats (a mean times calls);
 * then, in later versions, i32 chunks, i32 n, name of the text ---- */

static ew_status read_dat_entry(struct ew__cursor *cursor, struct ew__imatrix *out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint32_t n = ew__cursor_u32(cursor, "length of a name");
    if (cursor->status == EW_OK && (n == 0 || n > EW__TENSOR_NAME_BYTES_MAX))
        return ew__cursor_fail(cursor, "a tensor name of %" PRIu32 " bytes", n);
    struct ew__str text = ew__cursor_bytes(cursor, n, "name of a tensor");
    uint32_t calls = ew__cursor_u32(cursor, "number of calls");
    uint32_t columns = ew__cursor_u32(cursor, "number of columns");
    if (cursor->status == EW_OK && (columns == 0 || columns > COLUMNS_MAX || calls > INT32_MAX))
        return ew__cursor_fail(cursor, "%" PRIu32 " columns and %" PRIu32 " calls", columns, calls);
    struct ew__str values = ew__cursor_bytes(cursor, 4 * (uint64_t)columns, "values of a tensor");
    if (cursor->status != EW_OK || memchr(text.bytes, 0, text.n) != NULL)
        return cursor->status != EW_OK ? cursor->status
                                       : ew__cursor_fail(cursor, "a name that holds a NUL");
    memcpy(name, text.bytes, text.n);
    name[text.n] = '\0';
    return add_sums(out, name, (const uint8_t *)values.bytes, columns, (double)calls);
}

ew_status ew__imatrix_read_dat(const void *bytes, size_t n, struct ew__imatrix *out) {
    struct ew__cursor cursor;
    *out = (struct ew__imatrix){0};
    ew__cursor_init(&cursor, bytes, n);
    uint32_t count = ew__cursor_u32(&cursor, "number of tensors");
    if (cursor.status == EW_OK && (count == 0 || count > DAT_ENTRIES_MAX))
        return ew__cursor_fail(&cursor, "%" PRIu32 " tensors, so no importance matrix", count);
    EW__TRY(cursor.status);
    for (uint32_t i = 0; i < count; i++)
        EW__TRY(read_dat_entry(&cursor, out));
    if (cursor.at == cursor.size)
        return EW_OK;
    out->n_chunks = ew__cursor_u32(&cursor, "number of chunks");
    uint32_t length = ew__cursor_u32(&cursor, "length of the dataset's name");
    struct ew__str dataset = ew__cursor_bytes(&cursor, length, "the dataset's name");
    EW__TRY(cursor.status);
    out->dataset = ew__strndup(dataset.bytes, dataset.n);
    return out->dataset == NULL ? EW_NO_MEMORY : EW_OK;
}

/* ---- both ---- */

static ew_status read_any(const char *path, struct ew__imatrix *out) {
    struct ew__file_map map = {0};
    struct ew__gguf *gguf = NULL;
    ew_status status = ew__file_map_open(path, &map);
    if (status != EW_OK)
        return status;
    if (map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0) {
        status = ew__gguf_open(path, &gguf);
        if (status == EW_OK)
            status = read_gguf(gguf, out);
    } else {
        status = ew__imatrix_read_dat(map.data, map.size, out);
    }
    ew__gguf_close(gguf);
    ew__file_map_close(&map);
    return status;
}

ew_status ew__imatrix_read(const char *path, struct ew__imatrix *out) {
    *out = (struct ew__imatrix){0};
    ew_status status = read_any(path, out);
    if (status != EW_OK && strstr(ew_last_error(), path) == NULL)
        return ew__fail_in(status, "%s", path);
    return status;
}

static ew_status declare(const struct ew__imatrix *imatrix, struct ew__gguf_writer *writer) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct ew__str dataset = ew__str(imatrix->dataset != NULL ? imatrix->dataset : "");
    EW__TRY(ew__gguf_add_str(writer, "general.type", ew__str("imatrix")));
    EW__TRY(ew__gguf_add_strings(writer, "imatrix.datasets", &dataset, 1));
    EW__TRY(ew__gguf_add_u32(writer, "imatrix.chunk_count", imatrix->n_chunks));
    EW__TRY(ew__gguf_add_u32(writer, "imatrix.chunk_size", imatrix->chunk_size));
    for (size_t i = 0; i < imatrix->n_entries; i++) {
        const struct ew__imatrix_entry *entry = &imatrix->entries[i];
        const uint64_t sums[2] = {entry->n, 1}, counts[2] = {1, 1};
        struct ew__str bare = ew__str(entry->name);
        if (!tensor_name(name, bare, SUMS))
            return ew__fail(EW_LIMIT, "the name \"%s\" is too long", ew__quote(bare.bytes, bare.n));
        EW__TRY(ew__gguf_add_tensor(writer, ew__str(name), EW__F32, 2, sums));
        (void)tensor_name(name, bare, COUNTS);
        EW__TRY(ew__gguf_add_tensor(writer, ew__str(name), EW__F32, 2, counts));
    }
    return EW_OK;
}

static ew_status write_number(struct ew__gguf_writer *writer, double value) {
    uint32_t bits = ew__bits_of_float((float)value);
    const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                              (uint8_t)(bits >> 24)};
    return ew__gguf_write(writer, bytes, sizeof bytes);
}

static ew_status write_all(const struct ew__imatrix *imatrix, const char *path,
                           struct ew__gguf_writer *writer) {
    EW__TRY(declare(imatrix, writer));
    EW__TRY(ew__gguf_begin(writer, path));
    for (size_t i = 0; i < imatrix->n_entries; i++) {
        const struct ew__imatrix_entry *entry = &imatrix->entries[i];
        for (uint64_t k = 0; k < entry->n; k++)
            EW__TRY(write_number(writer, entry->sum2[k]));
        EW__TRY(write_number(writer, entry->count));
    }
    return ew__gguf_commit(writer);
}

ew_status ew__imatrix_write(const struct ew__imatrix *imatrix, const char *path) {
    struct ew__gguf_writer *writer = NULL;
    ew_status status = ew__gguf_writer_new(&writer);
    if (status == EW_OK)
        status = write_all(imatrix, path, writer);
    ew__gguf_writer_free(writer);
    return status;
}
