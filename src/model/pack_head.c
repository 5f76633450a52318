// SPDX-License-Identifier: Apache-2.0
#include "model/pack_head.h"
#include "base/cursor.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

#include <inttypes.h>
#include <string.h>

static const char magic[8] = {'E', 'W', 'P', 'A', 'C', 'K', 'E', 'D'};
enum { head_version = 1, digest_at = 56, table_at = 64, row_bytes = 48, page = 4096, unit = 64 };

ew_status ew__pack_head_lay_out(struct ew__pack_head *head) {
    uint64_t at;
    if (head->n_matrices > EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "%" PRIu32 " packed matrices are too many", head->n_matrices);
    at = table_at + (uint64_t)head->n_matrices * row_bytes + head->name.n;
    head->first = at = (at + page - 1) / page * page;
    for (uint32_t i = 0; i < head->n_matrices; i++) {
        struct ew__pack_matrix *matrix = &head->matrices[i];
        matrix->offset = at;
        if (!ew__add_u64(at, matrix->bytes, &at) || at > INT64_MAX - unit)
            return ew__fail(EW_LIMIT, "the packed weights are too large");
        at = (at + unit - 1) / unit * unit;
    }
    head->file_bytes = at;
    return EW_OK;
}

static void put(uint8_t *at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t digest_of(const uint8_t *bytes, size_t table_and_name) {
    struct ew__digest digest;
    uint64_t out[2];
    ew__digest_init(&digest);
    ew__digest_add(&digest, bytes, digest_at);
    ew__digest_add(&digest, bytes + table_at, table_and_name);
    ew__digest_end(&digest, out);
    return out[0];
}

void ew__pack_head_write(const struct ew__pack_head *head, uint8_t *out) {
    size_t table = (size_t)head->n_matrices * row_bytes;
    memset(out, 0, (size_t)head->first);
    memcpy(out, magic, sizeof magic);
    put(out + 8, head_version, 4);
    put(out + 12, EW__PACK_LAYOUT, 4);
    put(out + 16, head->identity[0], 8);
    put(out + 24, head->identity[1], 8);
    put(out + 32, head->file_bytes, 8);
    put(out + 40, head->first, 8);
    put(out + 48, head->n_matrices, 4);
    put(out + 52, head->name.n, 4);
    for (uint32_t i = 0; i < head->n_matrices; i++) {
        const struct ew__pack_matrix *matrix = &head->matrices[i];
        uint8_t *row = out + table_at + (size_t)i * row_bytes;
        put(row, matrix->type, 4);
        put(row + 8, matrix->rows, 8);
        put(row + 16, matrix->n, 8);
        put(row + 24, matrix->offset, 8);
        put(row + 32, matrix->bytes, 8);
        put(row + 40, matrix->digest, 8);
    }
    if (head->name.n != 0)
        memcpy(out + table_at + table, head->name.bytes, head->name.n);
    put(out + digest_at, digest_of(out, table + head->name.n), 8);
}

/* The fixed part; *tail: bytes of table and name, which are there. */
static ew_status read_fixed(struct ew__cursor *cursor, struct ew__pack_head *head, size_t *tail) {
    struct ew__str start = ew__cursor_bytes(cursor, sizeof magic, "the magic number");
    uint32_t version = ew__cursor_u32(cursor, "the version");
    uint32_t layout = ew__cursor_u32(cursor, "the version of the layout");
    head->identity[0] = ew__cursor_u64(cursor, "the identity");
    head->identity[1] = ew__cursor_u64(cursor, "the identity");
    head->file_bytes = ew__cursor_u64(cursor, "the size");
    head->first = ew__cursor_u64(cursor, "the first offset");
    head->n_matrices = ew__cursor_u32(cursor, "the number of matrices");
    head->name.n = ew__cursor_u32(cursor, "the length of the name");
    uint64_t digest = ew__cursor_u64(cursor, "the digest");
    EW__TRY(cursor->status);
    if (memcmp(start.bytes, magic, sizeof magic) != 0)
        return ew__fail(EW_FORMAT, "not a file of packed weights");
    if (version != head_version || layout != EW__PACK_LAYOUT)
        return ew__fail(EW_UNSUPPORTED, "version %" PRIu32 " with layout %" PRIu32, version,
                        layout);
    if (head->n_matrices > EW__TENSOR_COUNT_MAX || head->name.n > EW__PACK_NAME_MAX)
        return ew__fail(EW_FORMAT, "%" PRIu32 " matrices and a name of %zu bytes are too many",
                        head->n_matrices, head->name.n);
    *tail = (size_t)head->n_matrices * row_bytes + head->name.n;
    if (!ew__cursor_need(cursor, *tail, "the table"))
        return cursor->status;
    if (digest_of(cursor->base, *tail) != digest)
        return ew__fail(EW_FORMAT, "the head is damaged");
    return EW_OK;
}

static ew_status read_rows(struct ew__cursor *cursor, struct ew__pack_head *head) {
    uint64_t at = head->first;
    for (uint32_t i = 0; i < head->n_matrices; i++) {
        struct ew__pack_matrix *matrix = &head->matrices[i];
        matrix->type = ew__cursor_u32(cursor, "a type");
        (void)ew__cursor_u32(cursor, "a type");
        matrix->rows = ew__cursor_u64(cursor, "rows");
        matrix->n = ew__cursor_u64(cursor, "columns");
        matrix->offset = ew__cursor_u64(cursor, "an offset");
        matrix->bytes = ew__cursor_u64(cursor, "a size");
        matrix->digest = ew__cursor_u64(cursor, "a digest");
        if (matrix->offset < at || matrix->offset % unit != 0 ||
            !ew__add_u64(matrix->offset, matrix->bytes, &at) || at > head->file_bytes)
            return ew__fail(EW_FORMAT, "matrix %" PRIu32 " lies outside of its place", i);
    }
    head->name = ew__cursor_bytes(cursor, head->name.n, "the name");
    return cursor->status;
}

ew_status ew__pack_head_read(const void *bytes, size_t n, struct ew__pack_head *head) {
    struct ew__cursor cursor;
    size_t tail = 0;
    *head = (struct ew__pack_head){0};
    ew__cursor_init(&cursor, bytes, n);
    EW__TRY(read_fixed(&cursor, head, &tail));
    if (head->file_bytes != n || head->first % page != 0 || head->first > n ||
        head->first < table_at + tail)
        return ew__fail(EW_FORMAT, "it has %zu bytes, its head says %" PRIu64, n, head->file_bytes);
    head->matrices = ew__calloc(head->n_matrices, sizeof *head->matrices);
    if (head->matrices == NULL)
        return EW_NO_MEMORY;
    ew_status status = read_rows(&cursor, head);
    if (status != EW_OK) {
        ew__free(head->matrices);
        head->matrices = NULL;
    }
    return status;
}
