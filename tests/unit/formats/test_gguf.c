// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "formats/gguf_write.h"
#include "support/gguf_plan.h"
#include "support/temp_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void version_2_has_the_same_layout(void **state) {
    (void)state;
    struct gguf_plan plan;
    struct craft file = {0};
    struct ew__gguf *gguf;
    gguf_plan_init(&plan);
    plan.version = 2;
    gguf_plan_build(&plan, &file);
    assert_int_equal(ew__gguf_open_bytes(file.bytes, file.n, &gguf), EW_OK);
    assert_int_equal(ew__gguf_version(gguf), 2);
    assert_int_equal(ew__gguf_tensor_count(gguf), 2);
    const struct ew__tensor *b = ew__gguf_tensor(gguf, ew__str("b"));
    assert_non_null(b);
    assert_int_equal(b->type, EW__Q4_0);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 32);
    assert_int_equal(b->dims[1], 2);
    assert_int_equal(b->dims[2], 1);
    assert_int_equal(ew__tensor_elements(b), 64);
    assert_int_equal(b->data[35], 32 + 35);
    assert_null(ew__gguf_tensor(gguf, ew__str("c")));
    ew__gguf_close(gguf);
    craft_free(&file);
    gguf_plan_free(&plan);
}

static void types_of_other_engines_are_listed_with_their_size(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t row, bytes; // ggml-common.h
    } cases[] = {{9, 32, 36},   {15, 256, 292}, {19, 256, 50}, {29, 256, 56},
                 {34, 256, 54}, {35, 256, 66},  {39, 32, 17},  {40, 64, 36}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_plan plan;
        struct craft file = {0};
        struct ew__gguf *gguf;
        gguf_plan_init(&plan);
        plan.tensors[1].type = cases[i].type;
        plan.tensors[1].dims[0] = cases[i].row;
        plan.data_bytes = (size_t)(32 + 2 * cases[i].bytes);
        gguf_plan_build(&plan, &file);
        assert_int_equal(ew__gguf_open_bytes(file.bytes, file.n, &gguf), EW_OK);
        const struct ew__tensor *tensor = ew__gguf_tensor_at(gguf, 1);
        assert_int_equal(tensor->type, cases[i].type);
        assert_int_equal(tensor->bytes, 2 * cases[i].bytes);
        ew__gguf_close(gguf);
        craft_free(&file);
        gguf_plan_free(&plan);
    }
}

/* --- round trip --- */

static const uint64_t shape_a[] = {64, 3}, shape_b[] = {5}, shape_c[] = {2, 3, 4, 5};

static void fill(uint8_t *bytes, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)((i * 131 + seed) & 0xff);
}

static void declare(struct ew__gguf_writer *w, uint32_t alignment) {
    static const int32_t numbers[] = {-5, 0, 2147483647};
    static const bool flags[] = {true, false, true};
    static const double wide[] = {-1.5, 1e300};
    const struct ew__str words[] = {ew__str("left"), ew__str(""), ew__str_of("a\0b", 3)};
    if (alignment != 32)
        assert_int_equal(ew__gguf_add_u32(w, "general.alignment", alignment), EW_OK);
    assert_int_equal(ew__gguf_add_str(w, "general.architecture", ew__str("qwen35")), EW_OK);
    assert_int_equal(ew__gguf_add_u32(w, "t.u32", 7), EW_OK);
    assert_int_equal(ew__gguf_add_u64(w, "t.u64", UINT64_MAX), EW_OK);
    assert_int_equal(ew__gguf_add_f32(w, "t.f32", 0.1f), EW_OK);
    assert_int_equal(ew__gguf_add_f32(w, "t.nan", NAN), EW_OK);
    assert_int_equal(ew__gguf_add_bool(w, "t.flag", true), EW_OK);
    assert_int_equal(ew__gguf_add_array(w, "t.numbers", EW__GGUF_I32, numbers, 3), EW_OK);
    assert_int_equal(ew__gguf_add_array(w, "t.flags", EW__GGUF_BOOL, flags, 3), EW_OK);
    assert_int_equal(ew__gguf_add_array(w, "t.wide", EW__GGUF_F64, wide, 2), EW_OK);
    assert_int_equal(ew__gguf_add_array(w, "t.none", EW__GGUF_U16, NULL, 0), EW_OK);
    assert_int_equal(ew__gguf_add_strings(w, "t.words", words, 3), EW_OK);
    assert_int_equal(ew__gguf_add_tensor(w, ew__str("a"), EW__Q8_0, 2, shape_a), EW_OK);
    assert_int_equal(ew__gguf_add_tensor(w, ew__str("b"), EW__BF16, 1, shape_b), EW_OK);
    assert_int_equal(ew__gguf_add_tensor(w, ew__str("c"), EW__F32, 4, shape_c), EW_OK);
}

enum { bytes_a = 2 * 34 * 3, bytes_b = 10, bytes_c = 480 };

static void write_model(const char *path, uint32_t alignment) {
    struct ew__gguf_writer *w;
    uint8_t data[bytes_c];
    assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
    declare(w, alignment);
    assert_int_equal(ew__gguf_begin(w, path), EW_OK);
    fill(data, bytes_a, 1);
    assert_int_equal(ew__gguf_write(w, data, 100), EW_OK); // in pieces
    assert_int_equal(ew__gguf_write(w, data, 0), EW_OK);
    assert_int_equal(ew__gguf_write(w, data + 100, bytes_a - 100), EW_OK);
    fill(data, bytes_b, 2);
    assert_int_equal(ew__gguf_write(w, data, bytes_b), EW_OK);
    fill(data, bytes_c, 3);
    assert_int_equal(ew__gguf_write(w, data, bytes_c), EW_OK);
    assert_false(ew__path_exists(path));
    assert_int_equal(ew__gguf_commit(w), EW_OK);
    ew__gguf_writer_free(w);
}

static void check_values(const struct ew__gguf *gguf) {
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    double f64 = 0;
    bool flag = false;
    struct ew__str text = {0};
    assert_int_equal(ew__gguf_str(gguf, "general.architecture", &text), EW_OK);
    assert_true(ew__str_is(text, "qwen35"));
    assert_int_equal(ew__gguf_u32(gguf, "t.u32", 0, 9, &u32), EW_OK);
    assert_int_equal(u32, 7);
    assert_int_equal(ew__gguf_u64(gguf, "t.u64", 0, UINT64_MAX, &u64), EW_OK);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(ew__gguf_f64(gguf, "t.f32", &f64), EW_OK);
    assert_true(f64 == (double)0.1f);
    assert_int_equal(ew__gguf_bool(gguf, "t.flag", &flag), EW_OK);
    assert_true(flag);
}

static void check_arrays(const struct ew__gguf *gguf) {
    int64_t integer;
    double real;
    size_t at = 0;
    struct ew__str text;
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, "t.numbers");
    assert_int_equal(kv->type, EW__GGUF_ARRAY);
    assert_int_equal(kv->count, 3);
    assert_true(ew__gguf_element_i64(kv, 0, &integer) && integer == -5);
    assert_true(ew__gguf_element_i64(kv, 2, &integer) && integer == INT32_MAX);
    assert_false(ew__gguf_element_i64(kv, 3, &integer));
    assert_false(ew__gguf_element_f64(kv, 0, &real));
    kv = ew__gguf_find(gguf, "t.flags");
    assert_true(ew__gguf_element_i64(kv, 2, &integer) && integer == 1);
    assert_true(ew__gguf_element_i64(kv, 1, &integer) && integer == 0);
    kv = ew__gguf_find(gguf, "t.wide");
    assert_true(ew__gguf_element_f64(kv, 1, &real) && real == 1e300);
    assert_false(ew__gguf_element_i64(kv, 1, &integer));
    assert_false(ew__gguf_element_i64(ew__gguf_find(gguf, "t.none"), 0, &integer));
    assert_false(ew__gguf_element_i64(ew__gguf_find(gguf, "t.u64"), 0, &integer)); // over 2^63
    kv = ew__gguf_find(gguf, "t.words");
    assert_true(ew__gguf_next_string(kv, &at, &text) && ew__str_is(text, "left"));
    assert_true(ew__gguf_next_string(kv, &at, &text) && text.n == 0);
    assert_true(ew__gguf_next_string(kv, &at, &text) && ew__str_equal(text, ew__str_of("a\0b", 3)));
    assert_false(ew__gguf_next_string(kv, &at, &text));
    at = 0;
    assert_false(ew__gguf_next_string(ew__gguf_find(gguf, "t.u32"), &at, &text));
}

static void check_tensors(const struct ew__gguf *gguf, uint32_t alignment) {
    static const size_t sizes[] = {bytes_a, bytes_b, bytes_c};
    assert_int_equal(ew__gguf_tensor_count(gguf), 3);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t expected[bytes_c];
        const struct ew__tensor *tensor = ew__gguf_tensor_at(gguf, i);
        fill(expected, sizes[i], i + 1);
        assert_int_equal(tensor->bytes, sizes[i]);
        assert_memory_equal(tensor->data, expected, sizes[i]);
        assert_int_equal((uintptr_t)tensor->data % alignment, 0);
    }
    const struct ew__tensor *c = ew__gguf_tensor(gguf, ew__str("c"));
    assert_int_equal(c->n_dims, 4);
    assert_memory_equal(c->dims, shape_c, sizeof shape_c);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    static const uint32_t alignments[] = {8, 32, 512};
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < 3; i++) {
        struct ew__gguf *gguf;
        const char *path = temp_path(&folder, "model.gguf");
        remove(path);
        write_model(path, alignments[i]);
        assert_int_equal(ew__gguf_open(path, &gguf), EW_OK);
        assert_int_equal(ew__gguf_version(gguf), 3);
        assert_int_equal(ew__gguf_kv_count(gguf), alignments[i] == 32 ? 11 : 12);
        check_values(gguf);
        check_arrays(gguf);
        check_tensors(gguf, alignments[i]);
        ew__gguf_close(gguf);
    }
    temp_folder_remove(&folder);
}

static void copied_pairs_give_the_same_file(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__gguf *gguf;
    struct ew__gguf_writer *w;
    struct ew__file_map first, second;
    temp_folder_make(&folder);
    write_model(temp_path(&folder, "1.gguf"), 64);
    assert_int_equal(ew__gguf_open(temp_path(&folder, "1.gguf"), &gguf), EW_OK);
    assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
    for (size_t i = 0; i < ew__gguf_kv_count(gguf); i++)
        assert_int_equal(ew__gguf_add_kv(w, ew__gguf_kv_at(gguf, i)), EW_OK);
    for (size_t i = 0; i < ew__gguf_tensor_count(gguf); i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(gguf, i);
        assert_int_equal(ew__gguf_add_tensor(w, t->name, (ew__dtype)t->type, t->n_dims, t->dims),
                         EW_OK);
    }
    assert_int_equal(ew__gguf_begin(w, temp_path(&folder, "2.gguf")), EW_OK);
    for (size_t i = 0; i < ew__gguf_tensor_count(gguf); i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(gguf, i);
        assert_int_equal(ew__gguf_write(w, t->data, (size_t)t->bytes), EW_OK);
    }
    assert_int_equal(ew__gguf_commit(w), EW_OK);
    ew__gguf_writer_free(w);
    ew__gguf_close(gguf);
    assert_int_equal(ew__file_map_open(temp_path(&folder, "1.gguf"), &first), EW_OK);
    assert_int_equal(ew__file_map_open(temp_path(&folder, "2.gguf"), &second), EW_OK);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    ew__file_map_close(&first);
    ew__file_map_close(&second);
    temp_folder_remove(&folder);
}

/* --- typed reads --- */

static void refused(ew_status status, const char *sentence) {
    assert_int_equal(status, EW_FORMAT);
    if (strstr(ew_last_error(), sentence) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", sentence, ew_last_error());
}

static void typed_reads_check_kind_and_range(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__gguf *g;
    uint32_t u32 = 99;
    uint64_t u64 = 99;
    double f64 = 99;
    bool flag = true;
    struct ew__str text = {"x", 1};
    temp_folder_make(&folder);
    write_model(temp_path(&folder, "m.gguf"), 32);
    assert_int_equal(ew__gguf_open(temp_path(&folder, "m.gguf"), &g), EW_OK);
    assert_int_equal(ew__gguf_u32(g, "absent", 0, 5, &u32), EW_OK);
    assert_int_equal(ew__gguf_f64(g, "absent", &f64), EW_OK);
    assert_int_equal(ew__gguf_str(g, "absent", &text), EW_OK);
    assert_int_equal(ew__gguf_bool(g, "absent", &flag), EW_OK);
    refused(ew__gguf_u32(g, "t.u32", 8, 9, &u32), "key \"t.u32\" is 7, allowed are 8 to 9");
    refused(ew__gguf_u64(g, "t.u64", 0, 5, &u64), "is 18446744073709551615, allowed are 0 to 5");
    refused(ew__gguf_u64(g, "t.f32", 0, 5, &u64), "must be a whole number, it is a f32");
    refused(ew__gguf_u64(g, "t.flag", 0, 5, &u64), "must be a whole number, it is a bool");
    refused(ew__gguf_u64(g, "t.numbers", 0, 5, &u64), "it is an array of 3 i32");
    refused(ew__gguf_f64(g, "t.u32", &f64), "must be a floating-point number, it is a u32");
    refused(ew__gguf_f64(g, "t.nan", &f64), "key \"t.nan\" is not a finite number");
    refused(ew__gguf_f64(g, "t.wide", &f64), "it is an array of 2 f64");
    refused(ew__gguf_bool(g, "t.u32", &flag), "must be a bool");
    refused(ew__gguf_str(g, "t.u32", &text), "must be a string, it is a u32");
    refused(ew__gguf_str(g, "t.words", &text), "must be a string, it is an array of 3 string");
    assert_true(u32 == 99 && u64 == 99 && f64 == 99 && flag && ew__str_is(text, "x"));
    ew__gguf_close(g);
    temp_folder_remove(&folder);
}

static void every_integer_type_serves(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        unsigned bytes;
    } types[] = {{0, 1}, {1, 1}, {2, 2}, {3, 2}, {4, 4}, {5, 4}, {10, 8}, {11, 8}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct gguf_plan plan;
        struct craft file = {0};
        struct ew__gguf *gguf;
        uint32_t value = 0;
        uint64_t wide = 0;
        gguf_plan_init(&plan);
        struct craft *small = &gguf_plan_kv(&plan, "small", types[i].type)->value;
        craft_u8(small, 100);
        craft_fill(small, 0, types[i].bytes - 1);
        craft_fill(&gguf_plan_kv(&plan, "ones", types[i].type)->value, 0xff, types[i].bytes);
        gguf_plan_build(&plan, &file);
        assert_int_equal(ew__gguf_open_bytes(file.bytes, file.n, &gguf), EW_OK);
        assert_int_equal(ew__gguf_u32(gguf, "small", 0, 100, &value), EW_OK);
        assert_int_equal(value, 100);
        ew_status status = ew__gguf_u64(gguf, "ones", 0, UINT64_MAX, &wide);
        if (types[i].type % 2 == 1) // the odd ids are the signed types
            refused(status, "key \"ones\" is -1, allowed are 0");
        else
            assert_true(status == EW_OK && wide == UINT64_MAX >> (64 - 8 * types[i].bytes));
        ew__gguf_close(gguf);
        craft_free(&file);
        gguf_plan_free(&plan);
    }
}

/* --- the writer's own refusals --- */

static void writer_refuses_what_the_reader_would(void **state) {
    (void)state;
    static const uint64_t zero[] = {32, 0}, odd[] = {33}, huge[] = {(uint64_t)1 << 62, 4};
    static const struct {
        const char *name;
        uint32_t type, n_dims;
        const uint64_t *dims;
    } cases[] = {
        {"", EW__F32, 1, odd},
        {"n", EW__F32, 0, odd},
        {"n", EW__F32, 5, shape_c},
        {"n", EW__Q4_0, 1, odd},
        {"n", EW__F32, 2, zero},
        {"n", EW__F32, 2, huge},
        {"n", EW__U8, 1, odd},
        {"n", 19, 1, shape_a},
        {"\xff", EW__F32, 1, odd},
        {"0123456789012345678901234567890123456789012345678901234567890123", EW__F32, 1, odd},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ew__gguf_writer *w;
        assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
        assert_int_equal(ew__gguf_add_tensor(w, ew__str(cases[i].name), (ew__dtype)cases[i].type,
                                             cases[i].n_dims, cases[i].dims),
                         EW_ARGUMENT);
        ew__gguf_writer_free(w);
    }
}

static void first_failure_sticks(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__gguf_writer *w;
    temp_folder_make(&folder);
    const char *path = temp_path(&folder, "m.gguf");
    assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
    assert_int_equal(ew__gguf_add_u32(w, "k", 1), EW_OK);
    assert_int_equal(ew__gguf_add_u32(w, "k", 2), EW_ARGUMENT);
    assert_int_equal(ew__gguf_add_u32(w, "other", 3), EW_ARGUMENT);
    assert_non_null(strstr(ew_last_error(), "\"k\" is added twice"));
    assert_int_equal(ew__gguf_begin(w, path), EW_ARGUMENT);
    ew__gguf_writer_free(w);
    assert_false(ew__path_exists(path));
    assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
    assert_int_equal(ew__gguf_add_u32(w, "general.alignment", 33), EW_ARGUMENT);
    ew__gguf_writer_free(w);
    temp_folder_remove(&folder);
}

static void data_must_fit_and_come_whole(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__gguf_writer *w;
    static const uint64_t dims[] = {4};
    const uint8_t data[32] = {0};
    temp_folder_make(&folder);
    const char *path = temp_path(&folder, "m.gguf");
    for (unsigned step = 0; step < 3; step++) {
        assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
        assert_int_equal(ew__gguf_write(w, data, 1), EW_STATE); // before begin
        assert_int_equal(ew__gguf_add_tensor(w, ew__str("t"), EW__F32, 1, dims), EW_OK);
        assert_int_equal(ew__gguf_begin(w, path), EW_OK);
        assert_int_equal(ew__gguf_add_u32(w, "late", 1), EW_STATE);
        assert_int_equal(ew__gguf_write(w, data, step == 0 ? 15 : 16), EW_OK);
        if (step == 0) { // too little
            assert_int_equal(ew__gguf_commit(w), EW_STATE);
            assert_non_null(strstr(ew_last_error(), "the data of tensor \"t\" is not complete"));
        } else if (step == 1) { // too much
            assert_int_equal(ew__gguf_write(w, data, 1), EW_STATE);
            assert_int_equal(ew__gguf_commit(w), EW_STATE);
        } // step 2: abandoned
        ew__gguf_writer_free(w);
        assert_int_equal(temp_folder_count(&folder), 0); // no temporary file either
    }
    temp_folder_remove(&folder);
}

/* --- speed --- */

static void add_many(struct ew__gguf_writer *w, const char *key, unsigned count) {
    struct ew__str *words = malloc(count * sizeof *words);
    char *text = malloc((size_t)count * 16);
    assert_non_null(words);
    assert_non_null(text);
    for (unsigned i = 0; i < count; i++) {
        int n = snprintf(text + (size_t)i * 16, 16, "w%u %u", i % 977, i);
        words[i] = ew__str_of(text + (size_t)i * 16, (size_t)n);
    }
    assert_int_equal(ew__gguf_add_strings(w, key, words, count), EW_OK);
    free(words);
    free(text);
}

static void vocabulary_of_250000_opens_without_an_allocation_per_string(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__gguf_writer *w;
    struct ew__gguf *gguf;
    temp_folder_make(&folder);
    const char *path = temp_path(&folder, "v.gguf");
    assert_int_equal(ew__gguf_writer_new(&w), EW_OK);
    add_many(w, "tokenizer.ggml.tokens", 250000);
    add_many(w, "tokenizer.ggml.merges", 250000);
    assert_int_equal(ew__gguf_begin(w, path), EW_OK);
    assert_int_equal(ew__gguf_commit(w), EW_OK);
    ew__gguf_writer_free(w);
    uint64_t start = ew__now_ns(), allocations = ew__mem_count();
    assert_int_equal(ew__gguf_open(path, &gguf), EW_OK);
    print_message("500,000 strings open in %.2f ms\n", (double)(ew__now_ns() - start) / 1e6);
    assert_true(ew__mem_count() - allocations < 20);
    ew__gguf_close(gguf);
    temp_folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_has_the_same_layout),
        cmocka_unit_test(types_of_other_engines_are_listed_with_their_size),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(copied_pairs_give_the_same_file),
        cmocka_unit_test(typed_reads_check_kind_and_range),
        cmocka_unit_test(every_integer_type_serves),
        cmocka_unit_test(writer_refuses_what_the_reader_would),
        cmocka_unit_test(first_failure_sticks),
        cmocka_unit_test(data_must_fit_and_come_whole),
        cmocka_unit_test(vocabulary_of_250000_opens_without_an_allocation_per_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
