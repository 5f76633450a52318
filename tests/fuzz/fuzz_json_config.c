// SPDX-License-Identifier: Apache-2.0
/* Parses the input as JSON and asks for each of its members in every kind. */
#include "fuzz/fuzz.h"

#include "base/json.h"

#include <math.h>

static void read_member(const json_t *object, const char *key, const json_t *value) {
    uint64_t u64 = 7;
    uint32_t u32 = 7;
    double f64 = 7;
    bool flag = true;
    struct ew__str text = {"7", 1};
    if (ew__json_u64(object, key, 2, 1000000, &u64) == EW_OK)
        FUZZ_CHECK(u64 >= 2 && u64 <= 1000000);
    if (ew__json_u32(object, key, 5, UINT32_MAX, &u32) == EW_OK)
        FUZZ_CHECK(u32 >= 5);
    if (ew__json_f64(object, key, &f64) == EW_OK)
        FUZZ_CHECK(isfinite(f64));
    FUZZ_CHECK((ew__json_bool(object, key, &flag) == EW_OK) ==
               (json_is_boolean(value) || json_is_null(value)));
    if (ew__json_str(object, key, &text) == EW_OK)
        FUZZ_CHECK(text.bytes[text.n] == '\0' || json_is_null(value));
}

/* The parser caps the depth, so this recursion is bounded. */
static void read_value(const json_t *value) {
    if (json_is_object(value)) {
        for (void *i = json_object_iter((json_t *)(uintptr_t)value); i != NULL;
             i = json_object_iter_next((json_t *)(uintptr_t)value, i)) {
            read_member(value, json_object_iter_key(i), json_object_iter_value(i));
            read_value(json_object_iter_value(i));
        }
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        read_value(json_array_get(value, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    json_t *root;
    ew_status status = ew__json_parse((const char *)bytes, size, "input", &root);
    FUZZ_CHECK((status == EW_OK) == (root != NULL));
    if (status == EW_OK)
        read_value(root);
    json_decref(root);
    free(bytes);
    return 0;
}
