// SPDX-License-Identifier: Apache-2.0
/* Reads the input as the head of a cache file of packed weights, as it is and once more with the
 * digest that its bytes ask for, since no mutation finds that by itself. */
#include "fuzz/fuzz.h"

#include "base/digest.h"
#include "base/mem.h"
#include "model/pack_head.h"

enum { digest_at = 56, table_at = 64, row_bytes = 48 }; // model/pack_head.h

static void read_head(const uint8_t *bytes, size_t size) {
    struct ew__pack_head head;
    ew_status status = ew__pack_head_read(bytes, size, &head);
    if (status != EW_OK) {
        FUZZ_CHECK(head.matrices == NULL && ew_last_error()[0] != '\0');
        return;
    }
    uint64_t at = head.first;
    FUZZ_CHECK(head.file_bytes == size && at % 4096 == 0);
    for (uint32_t i = 0; i < head.n_matrices; i++) {
        const struct ew__pack_matrix *matrix = &head.matrices[i];
        FUZZ_CHECK(matrix->offset >= at && matrix->offset % 64 == 0);
        FUZZ_CHECK(matrix->bytes <= size && matrix->offset <= size - matrix->bytes);
        at = matrix->offset + matrix->bytes;
    }
    FUZZ_CHECK(head.name.n <= EW__PACK_NAME_MAX);
    FUZZ_CHECK((const uint8_t *)head.name.bytes + head.name.n <= bytes + head.first);
    ew__free(head.matrices);
}

static uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void mend_digest(uint8_t *bytes, size_t size) {
    struct ew__digest digest;
    uint64_t out[2], tail = (uint64_t)load_u32(bytes + 48) * row_bytes + load_u32(bytes + 52);
    if (tail > size - table_at)
        return;
    ew__digest_init(&digest);
    ew__digest_add(&digest, bytes, digest_at);
    ew__digest_add(&digest, bytes + table_at, (size_t)tail);
    ew__digest_end(&digest, out);
    for (unsigned i = 0; i < 8; i++)
        bytes[digest_at + i] = (uint8_t)(out[0] >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t *bytes = fuzz_copy(data, size);
    read_head(bytes, size);
    if (size >= table_at) {
        mend_digest(bytes, size);
        read_head(bytes, size);
        for (unsigned i = 0; i < 8; i++) // and with the size that it has
            bytes[32 + i] = (uint8_t)((uint64_t)size >> (8 * i));
        mend_digest(bytes, size);
        read_head(bytes, size);
    }
    free(bytes);
    return 0;
}
