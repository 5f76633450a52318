// SPDX-License-Identifier: Apache-2.0
/* Opens the input as a GGUF file and reads everything that it lists. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "formats/gguf_read.h"

static unsigned sink; // keeps the reads from being optimised away

static void read_pair(const struct ew__gguf *gguf, const struct ew__gguf_kv *kv) {
    int64_t integer;
    double real;
    size_t at = 0;
    uint64_t strings = 0;
    struct ew__str text;
    FUZZ_CHECK(kv->key.n != 0 && ew__utf8_valid(kv->key));
    for (uint64_t i = 0; i < kv->count && i < 100; i++)
        sink += ew__gguf_element_i64(kv, i, &integer) || ew__gguf_element_f64(kv, i, &real);
    FUZZ_CHECK(!ew__gguf_element_i64(kv, kv->count, &integer));
    while (ew__gguf_next_string(kv, &at, &text)) {
        strings++;
        sink += text.n != 0 ? (unsigned char)text.bytes[text.n - 1] : 0;
    }
    FUZZ_CHECK(strings == (kv->element == EW__GGUF_STRING ? kv->count : 0));
    if (kv->raw.n != 0)
        sink += (unsigned char)kv->raw.bytes[kv->raw.n - 1];
    char key[64]; // the typed reads take C strings: try them on short keys
    if (kv->key.n < sizeof key && memchr(kv->key.bytes, 0, kv->key.n) == NULL) {
        uint64_t u64 = 5;
        bool flag;
        memcpy(key, kv->key.bytes, kv->key.n);
        key[kv->key.n] = '\0';
        FUZZ_CHECK(ew__gguf_find(gguf, key) == kv);
        if (ew__gguf_u64(gguf, key, 3, 1000, &u64) == EW_OK)
            FUZZ_CHECK(u64 >= 3 && u64 <= 1000);
        FUZZ_CHECK((ew__gguf_str(gguf, key, &text) == EW_OK) == (kv->type == EW__GGUF_STRING));
        FUZZ_CHECK((ew__gguf_bool(gguf, key, &flag) == EW_OK) == (kv->type == EW__GGUF_BOOL));
        (void)ew__gguf_f64(gguf, key, &real);
    }
}

static void read_tensor(const struct ew__gguf *gguf, const struct ew__tensor *tensor) {
    FUZZ_CHECK(ew__gguf_tensor(gguf, tensor->name) == tensor);
    FUZZ_CHECK(tensor->n_dims >= 1 && tensor->n_dims <= 4 && tensor->bytes != 0);
    FUZZ_CHECK(ew__tensor_elements(tensor) != 0);
    for (uint64_t i = 0; i < tensor->bytes; i++)
        sink += tensor->data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    struct ew__gguf *gguf;
    ew_status status = ew__gguf_open_bytes(bytes, size, &gguf);
    FUZZ_CHECK((status == EW_OK) == (gguf != NULL));
    if (status == EW_OK) {
        for (size_t i = 0; i < ew__gguf_kv_count(gguf); i++)
            read_pair(gguf, ew__gguf_kv_at(gguf, i));
        for (size_t i = 0; i < ew__gguf_tensor_count(gguf); i++)
            read_tensor(gguf, ew__gguf_tensor_at(gguf, i));
    } else {
        FUZZ_CHECK(ew_last_error()[0] != '\0');
    }
    ew__gguf_close(gguf);
    free(bytes);
    return 0;
}
