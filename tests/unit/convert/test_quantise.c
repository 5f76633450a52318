// SPDX-License-Identifier: Apache-2.0
/* GGUF -> smaller GGUF on the tiny model: what is kept, what is encoded, and that nothing is left
 * behind when it fails. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "edgewise/checkpoint.h"
#include "edgewise/edgewise.h"
#include "formats/gguf_read.h"
#include "quant/mix.h"
#include "quant/quant.h"
#include "support/temp_folder.h"

#include <stdlib.h>
#include <string.h>

#define MODEL "models/tiny.gguf"

static ew_status quantise(const char *out, const char *type, uint32_t threads,
                          ew_progress_fn *progress, void *context) {
    ew_quantize_options options = EW_INIT(ew_quantize_options);
    options.type = type;
    options.n_threads = threads;
    options.progress = progress;
    options.progress_context = context;
    return ew_quantize(MODEL, out, &options);
}

/* The rows of a tensor, encoded one by one here, are its bytes in the file. */
static void expect_encoded(const struct ew__tensor *from, const struct ew__tensor *to) {
    uint64_t columns = from->dims[0], from_bytes, to_bytes;
    assert_true(ew__dtype_row_bytes((ew__dtype)from->type, columns, &from_bytes));
    assert_true(ew__dtype_row_bytes((ew__dtype)to->type, columns, &to_bytes));
    float *values = malloc((size_t)columns * sizeof *values);
    uint8_t *bytes = malloc((size_t)to_bytes);
    assert_true(values != NULL && bytes != NULL);
    for (uint64_t row = 0; row < from->bytes / from_bytes; row++) {
        assert_true(ew__dequantize_row((ew__dtype)from->type, from->data + row * from_bytes, values,
                                       columns));
        assert_true(ew__encode_row((ew__dtype)to->type, EW__SEARCH, values, NULL, bytes, columns));
        assert_memory_equal(bytes, to->data + row * to_bytes, to_bytes);
    }
    free(values);
    free(bytes);
}

static void tensors_are_encoded_or_copied(void **state) {
    (void)state;
    struct temp_folder temp;
    struct ew__gguf *from, *to;
    temp_folder_make(&temp);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), "Q4_K_M", 2, NULL, NULL), EW_OK);
    assert_int_equal(ew__gguf_open(MODEL, &from), EW_OK);
    assert_int_equal(ew__gguf_open(temp_path(&temp, "q.gguf"), &to), EW_OK);
    size_t encoded = 0, n = ew__gguf_tensor_count(from);
    assert_int_equal(ew__gguf_tensor_count(to), n);
    for (size_t i = 0; i < n; i++) {
        const struct ew__tensor *a = ew__gguf_tensor_at(from, i), *b = ew__gguf_tensor_at(to, i);
        assert_true(a->name.n == b->name.n && memcmp(a->name.bytes, b->name.bytes, a->name.n) == 0);
        assert_memory_equal(a->dims, b->dims, sizeof a->dims);
        if (a->type == b->type)
            assert_memory_equal(a->data, b->data, a->bytes);
        else
            expect_encoded(a, b);
        encoded += a->type != b->type;
    }
    assert_true(encoded > 50);
    ew__gguf_close(from);
    ew__gguf_close(to);
    temp_folder_remove(&temp);
}

static void metadata_is_kept(void **state) {
    (void)state;
    struct temp_folder temp;
    struct ew__gguf *from, *to;
    uint32_t file_type = 0, version = 0;
    temp_folder_make(&temp);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), "iq4_xs", 1, NULL, NULL), EW_OK);
    assert_int_equal(ew__gguf_open(MODEL, &from), EW_OK);
    assert_int_equal(ew__gguf_open(temp_path(&temp, "q.gguf"), &to), EW_OK);
    for (size_t i = 0; i < ew__gguf_kv_count(from); i++) {
        const struct ew__gguf_kv *a = ew__gguf_kv_at(from, i);
        char key[256] = {0};
        memcpy(key, a->key.bytes, a->key.n);
        const struct ew__gguf_kv *b = ew__gguf_find(to, key);
        assert_non_null(b);
        bool own = strcmp(key, "general.file_type") == 0 ||
                   strcmp(key, "general.quantization_version") == 0;
        if (!own) {
            assert_int_equal(a->type, b->type);
            assert_int_equal(a->raw.n, b->raw.n);
            assert_memory_equal(a->raw.bytes, b->raw.bytes, a->raw.n);
        }
    }
    assert_int_equal(ew__gguf_u32(to, "general.file_type", 0, 100, &file_type), EW_OK);
    assert_int_equal(ew__gguf_u32(to, "general.quantization_version", 0, 9, &version), EW_OK);
    assert_int_equal(file_type, 30);
    assert_int_equal(version, 2);
    ew__gguf_close(from);
    ew__gguf_close(to);
    temp_folder_remove(&temp);
}

/* Counts calls; stops at the one that context names. */
struct watch {
    uint64_t calls, stop_at, done, total;
};
static bool watch(void *context, uint64_t done, uint64_t total) {
    struct watch *w = context;
    assert_true(done >= w->done && done <= total);
    w->done = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

static void progress_reaches_the_end_or_stops_it(void **state) {
    (void)state;
    struct temp_folder temp;
    struct watch all = {0}, stopped = {.stop_at = 1};
    temp_folder_make(&temp);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), "Q5_0", 1, watch, &stopped),
                     EW_CANCELLED);
    assert_int_equal(temp_folder_count(&temp), 0);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), "Q5_0", 1, watch, &all), EW_OK);
    assert_true(all.calls > 0 && all.done == all.total && all.total > 1000000);
    temp_folder_remove(&temp);
}

static void every_failing_allocation_leaves_no_file(void **state) {
    (void)state;
    struct temp_folder temp;
    ew_status status = EW_NO_MEMORY;
    uint64_t n = 1;
    temp_folder_make(&temp);
    for (; status != EW_OK && n < 10000; n++) {
        ew__mem_fail_at(n);
        status = quantise(temp_path(&temp, "q.gguf"), "Q4_0", 1, NULL, NULL);
        ew__mem_fail_at(0);
        if (status != EW_OK && status != EW_NO_MEMORY)
            fail_msg("allocation %u: %s", (unsigned)n, ew_last_error());
        assert_int_equal(temp_folder_count(&temp), status == EW_OK ? 1 : 0);
    }
    assert_int_equal(status, EW_OK);
    assert_true(n > 20);
    temp_folder_remove(&temp);
}

static void misuse_is_refused(void **state) {
    (void)state;
    struct temp_folder temp;
    temp_folder_make(&temp);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), NULL, 1, NULL, NULL), EW_ARGUMENT);
    assert_int_equal(quantise(temp_path(&temp, "q.gguf"), "Q4", 1, NULL, NULL), EW_ARGUMENT);
    assert_int_equal(quantise(MODEL, "Q4_0", 1, NULL, NULL), EW_ARGUMENT);
    assert_int_equal(quantise("", "Q4_0", 1, NULL, NULL), EW_ARGUMENT);
    assert_int_equal(ew_quantize(NULL, temp_path(&temp, "q.gguf"), NULL), EW_ARGUMENT);
    ew_quantize_options options = EW_INIT(ew_quantize_options);
    options.type = "Q8_0";
    assert_int_equal(ew_quantize("models/mmproj-tiny.gguf", temp_path(&temp, "q.gguf"), &options),
                     EW_UNSUPPORTED);
    assert_non_null(strstr(ew_last_error(), "clip"));
    assert_int_equal(temp_folder_count(&temp), 0);
    temp_folder_remove(&temp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_encoded_or_copied),
        cmocka_unit_test(metadata_is_kept),
        cmocka_unit_test(progress_reaches_the_end_or_stops_it),
        cmocka_unit_test(every_failing_allocation_leaves_no_file),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
