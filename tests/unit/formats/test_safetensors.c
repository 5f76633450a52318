// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/os.h"
#include "formats/safetensors.h"
#include "support/bad_files.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(name, dtype, shape, offsets)                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static ew_status open_copy(const void *bytes, size_t n) {
    struct ew__safetensors *set;
    void *copy = malloc(n != 0 ? n : 1);
    assert_non_null(copy);
    if (n != 0)
        memcpy(copy, bytes, n);
    ew_status status = ew__safetensors_open_bytes(copy, n, &set);
    if (status != EW_OK)
        assert_null(set);
    ew__safetensors_close(set);
    free(copy);
    return status;
}

static void every_broken_file_has_its_sentence(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < bad_safetensors_count; i++) {
        const struct bad_safetensors *bad = &bad_safetensors[i];
        struct craft file = {0};
        build_safetensors(bad->header, bad->claimed, bad->data_bytes, &file);
        ew_status status = open_copy(file.bytes, file.n);
        if (status == EW_OK || strstr(ew_last_error(), bad->sentence) == NULL) {
            print_error("%s: status %s, \"%s\"\n", bad->name, ew_status_name(status),
                        status == EW_OK ? "" : ew_last_error());
            wrong++;
        }
        craft_free(&file);
    }
    assert_int_equal(wrong, 0);
}

/* In the header in another order than in the data; an unknown and a merely measured type. */
static const char good_header[] =
    "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\"}," ENTRY("w", "BF16", "[2,3]", "[1,13]") "," ENTRY("none", "F32", "[0,7]", "[13,13]") "," ENTRY(
        "first", "U8", "[1]",
        "[0,1]") "," ENTRY("scalar", "F32", "[]",
                           "[13,17]") "," ENTRY("conv", "I8", "[1,2,1,2,1]",
                                                "[17,21]") "," ENTRY("f8", "F8_E4M3", "[2]",
                                                                     "[21,23]") "," ENTRY("odd",
                                                                                          "Q7_X",
                                                                                          "[5]",
                                                                                          "[23,24]") "," ENTRY("f4",
                                                                                                               "F4",
                                                                                                               "[4]",
                                                                                                               "[24,26]") "}   ";

static void tensors_come_in_order_of_the_data(void **state) {
    (void)state;
    static const char *const order[] = {"first", "w", "none", "scalar", "conv", "f8", "odd", "f4"};
    struct craft file = {0};
    struct ew__safetensors *set;
    struct ew__str word;
    build_safetensors(good_header, 0, 26, &file);
    assert_int_equal(ew__safetensors_open_bytes(file.bytes, file.n, &set), EW_OK);
    assert_int_equal(ew__safetensors_tensor_count(set), 8);
    assert_int_equal(ew__safetensors_part_count(set), 1);
    assert_int_equal(ew__safetensors_file_bytes(set), file.n);
    for (size_t i = 0; i < 8; i++)
        assert_true(ew__str_is(ew__safetensors_tensor_at(set, i, NULL)->name, order[i]));
    const struct ew__tensor *w = ew__safetensors_tensor(set, ew__str("w"));
    assert_int_equal(w->type, EW__BF16);
    assert_true(w->n_dims == 2 && w->dims[0] == 3 && w->dims[1] == 2 && w->dims[2] == 1);
    assert_int_equal(w->bytes, 12);
    assert_int_equal(w->data[0], 1);
    const struct ew__tensor *scalar = ew__safetensors_tensor(set, ew__str("scalar"));
    assert_true(scalar->n_dims == 0 && ew__tensor_elements(scalar) == 1 && scalar->bytes == 4);
    assert_int_equal(ew__safetensors_tensor(set, ew__str("none"))->bytes, 0);
    assert_int_equal(ew__safetensors_tensor(set, ew__str("conv"))->n_dims, 5);
    assert_true(ew__safetensors_tensor_at(set, 5, &word)->type == UINT32_MAX);
    assert_true(ew__str_is(word, "F8_E4M3"));
    assert_true(ew__safetensors_tensor_at(set, 6, &word)->type == UINT32_MAX);
    assert_true(ew__str_is(word, "Q7_X"));
    assert_null(ew__safetensors_tensor(set, ew__str("__metadata__")));
    assert_true(ew__str_is(ew__safetensors_metadata(set, "format"), "pt"));
    assert_int_equal(ew__safetensors_metadata(set, "absent").n, 0);
    ew__safetensors_close(set);
    craft_free(&file);
}

static void every_prefix_is_refused(void **state) {
    (void)state;
    struct craft file = {0};
    build_safetensors(good_header, 0, 26, &file);
    for (size_t n = 0; n < file.n; n++)
        assert_int_equal(open_copy(file.bytes, n), EW_FORMAT);
    assert_int_equal(open_copy(file.bytes, file.n), EW_OK);
    craft_free(&file);
}

static void every_byte_may_be_wrong(void **state) {
    (void)state;
    static const unsigned char values[] = {0, '"', '9', '}', 0x80, 0xff};
    struct craft file = {0};
    unsigned refused = 0;
    build_safetensors(good_header, 0, 26, &file);
    for (size_t at = 0; at < file.n - 26; at++) {
        unsigned char right = file.bytes[at];
        for (size_t v = 0; v < sizeof values; v++) {
            file.bytes[at] = values[v];
            refused += open_copy(file.bytes, file.n) != EW_OK;
        }
        file.bytes[at] = right;
    }
    assert_true(refused > 1000);
    craft_free(&file);
}

static void file_without_tensors_is_fine(void **state) {
    (void)state;
    assert_int_equal(open_copy("\2\0\0\0\0\0\0\0{}", 10), EW_OK);
}

/* --- shards --- */

static int make_folder(void **state) {
    struct temp_folder *folder = calloc(1, sizeof *folder);
    if (folder == NULL)
        return -1;
    temp_folder_make(folder);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    temp_folder_remove(*state);
    free(*state);
    return 0;
}

static void write_file(const struct temp_folder *folder, const char *name, const char *header,
                       size_t data_bytes) {
    struct craft file = {0};
    build_safetensors(header, 0, data_bytes, &file);
    temp_write(folder, name, file.bytes, file.n);
    craft_free(&file);
}

static void write_shards(const struct temp_folder *folder) {
    write_file(folder, "b.safetensors", "{" ENTRY("x", "U8", "[2]", "[0,2]") "}", 2);
    write_file(folder, "a.safetensors",
               "{" ENTRY("z", "U8", "[1]", "[0,1]") "," ENTRY("y", "U8", "[2]", "[1,3]") "}", 3);
}

static void write_index(const struct temp_folder *folder, const char *text) {
    temp_write_text(folder, "model.safetensors.index.json", text);
}

static void shards_are_read_as_one(void **state) {
    struct temp_folder *folder = *state;
    struct ew__safetensors *set;
    write_shards(folder);
    write_index(folder, "{\"metadata\":{\"total_size\":5},\"weight_map\":{\"x\":\"b.safetensors\","
                        "\"y\":\"a.safetensors\",\"z\":\"a.safetensors\"}}");
    assert_int_equal(ew__safetensors_open_dir(folder->path, &set), EW_OK);
    assert_int_equal(ew__safetensors_part_count(set), 2);
    assert_int_equal(ew__safetensors_tensor_count(set), 3);
    assert_int_equal(ew__safetensors_tensor(set, ew__str("y"))->data[1], 2);
    assert_int_equal(ew__safetensors_tensor(set, ew__str("x"))->data[1], 1);
    ew__safetensors_close(set);
}

static void single_file_needs_no_index(void **state) {
    struct temp_folder *folder = *state;
    struct ew__safetensors *set;
    assert_int_equal(ew__safetensors_open_dir(folder->path, &set), EW_NOT_FOUND);
    assert_non_null(strstr(ew_last_error(), "there is no .safetensors file"));
    write_file(folder, "any.safetensors", "{" ENTRY("x", "U8", "[2]", "[0,2]") "}", 2);
    write_file(folder, ".hidden.safetensors", "{}", 0);
    assert_int_equal(ew__safetensors_open_dir(folder->path, &set), EW_OK);
    assert_int_equal(ew__safetensors_tensor_count(set), 1);
    ew__safetensors_close(set);
    write_file(folder, "other.safetensors", "{}", 0);
    assert_int_equal(ew__safetensors_open_dir(folder->path, &set), EW_FORMAT);
    assert_non_null(
        strstr(ew_last_error(), "several .safetensors files, but no model.safetensors"));
    write_file(folder, "model.safetensors", "{}", 0); // the usual name wins over the others
    assert_int_equal(ew__safetensors_open_dir(folder->path, &set), EW_OK);
    assert_int_equal(ew__safetensors_tensor_count(set), 0);
    ew__safetensors_close(set);
    assert_int_equal(ew__safetensors_open_dir(temp_path(folder, "absent"), &set), EW_IO);
    assert_int_equal(ew__safetensors_open(folder->path, &set), EW_IO);
}

static void every_broken_index_has_its_sentence(void **state) {
    struct temp_folder *folder = *state;
    static const struct {
        const char *index, *sentence;
    } cases[] = {
        {"", "not valid JSON"},
        {"[]", "there is no object \"weight_map\""},
        {"{}", "there is no object \"weight_map\""},
        {"{\"weight_map\":[]}", "there is no object \"weight_map\""},
        {"{\"weight_map\":{}}", "the \"weight_map\" is empty"},
        {"{\"weight_map\":{\"x\":1}}", "the entry of tensor \"x\" must be a string"},
        {"{\"weight_map\":{\"x\":\"\"}}", "\"\" is no plain file name"},
        {"{\"weight_map\":{\"x\":\".safetensors\"}}", "\".safetensors\" is no plain file name"},
        {"{\"weight_map\":{\"x\":\"../b.safetensors\"}}", "\"../b.safetensors\" is no plain"},
        {"{\"weight_map\":{\"x\":\"/etc/b.safetensors\"}}", "\"/etc/b.safetensors\" is no plain"},
        {"{\"weight_map\":{\"x\":\"s/b.safetensors\"}}", "\"s/b.safetensors\" is no plain"},
        {"{\"weight_map\":{\"x\":\"s\\\\b.safetensors\"}}", "is no plain file name"},
        {"{\"weight_map\":{\"x\":\"b.safetensors\\u0000\"}}", "\"b.safetensors\\x00\" is no plain"},
        {"{\"weight_map\":{\"x\":\"\\u001b.safetensors\"}}", "\"\\x1b.safetensors\" is no plain"},
        {"{\"weight_map\":{\"x\":\"b.bin\"}}", "\"b.bin\" is no plain file name"},
        {"{\"weight_map\":{\"x\":\"absent.safetensors\"}}", "cannot open \""},
        {"{\"weight_map\":{\"x\":\"b.safetensors\",\"x\":\"b.safetensors\"}}",
         "duplicate object key"},
        {"{\"weight_map\":{\"x\":\"b.safetensors\",\"w\":\"b.safetensors\"}}",
         "the tensor \"w\" is not in \"b.safetensors\" as the index says"},
        {"{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"a.safetensors\",\"z\":\"b.safetensors\"}"
         "}",
         "as the index says"},
        {"{\"weight_map\":{\"y\":\"a.safetensors\"}}",
         "the tensor \"z\" of a shard is not in the index"},
        {"{\"weight_map\":{\"x\":\"b.safetensors\",\"v\":\"twin.safetensors\"}}",
         "the tensor \"x\" stands in two files"},
        {"{\"weight_map\":{\"x\":\"broken.safetensors\"}}",
         "broken.safetensors: 1 bytes of data after the last tensor"},
    };
    write_shards(folder);
    write_file(folder, "twin.safetensors", "{" ENTRY("x", "U8", "[2]", "[0,2]") "}", 2);
    write_file(folder, "broken.safetensors", "{" ENTRY("x", "U8", "[2]", "[0,2]") "}", 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ew__safetensors *set;
        write_index(folder, cases[i].index);
        assert_int_not_equal(ew__safetensors_open_dir(folder->path, &set), EW_OK);
        assert_null(set);
        if (strstr(ew_last_error(), cases[i].sentence) == NULL)
            fail_msg("%s: \"%s\"", cases[i].index, ew_last_error());
    }
}

/* --- writer --- */

static void what_is_written_is_read(void **state) {
    struct temp_folder *folder = *state;
    static const uint64_t matrix[] = {3, 2}, five[] = {1, 2, 1, 2, 1}, none[] = {0, 4};
    static const char odd_name[] = "q\"\\\n\xc3\xa9";
    struct ew__safetensors_writer *w;
    struct ew__safetensors *set;
    uint8_t data[32];
    const char *path = temp_path(folder, "model.safetensors");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(200 - i);
    assert_int_equal(ew__safetensors_writer_new(&w), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("m"), EW__BF16, 2, matrix), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str(odd_name), EW__F32, 0, NULL), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("e"), EW__I64, 2, none), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("f"), EW__BOOL, 5, five), EW_OK);
    assert_int_equal(ew__safetensors_begin(w, path), EW_OK);
    assert_int_equal(ew__safetensors_write(w, data, 13), EW_OK);
    assert_int_equal(ew__safetensors_write(w, data + 13, 7), EW_OK);
    assert_false(ew__path_exists(path));
    assert_int_equal(ew__safetensors_commit(w), EW_OK);
    ew__safetensors_writer_free(w);
    assert_int_equal(ew__safetensors_open(path, &set), EW_OK);
    assert_int_equal(ew__safetensors_tensor_count(set), 4);
    const struct ew__tensor *m = ew__safetensors_tensor(set, ew__str("m"));
    assert_true(m->dims[0] == 3 && m->dims[1] == 2 && m->type == EW__BF16);
    assert_memory_equal(m->data, data, 12);
    assert_int_equal((uintptr_t)m->data % 8, 0);
    assert_memory_equal(ew__safetensors_tensor(set, ew__str(odd_name))->data, data + 12, 4);
    const struct ew__tensor *f = ew__safetensors_tensor(set, ew__str("f"));
    assert_true(f->n_dims == 5 && f->dims[1] == 2 && f->dims[3] == 2 && f->dims[4] == 1);
    assert_memory_equal(f->data, data + 16, 4);
    assert_int_equal(ew__safetensors_tensor(set, ew__str("e"))->bytes, 0);
    assert_true(ew__str_is(ew__safetensors_metadata(set, "format"), "pt"));
    ew__safetensors_close(set);
}

static void writer_refuses_what_the_reader_would(void **state) {
    struct temp_folder *folder = *state;
    static const uint64_t huge[] = {(uint64_t)1 << 62, 8}, dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const struct {
        const char *name;
        ew__dtype type;
        uint32_t n_dims;
        const uint64_t *dims;
    } cases[] = {{"", EW__F32, 1, dims},     {"__metadata__", EW__F32, 1, dims},
                 {"\xff", EW__F32, 1, dims}, {"n", EW__Q4_K, 1, dims},
                 {"n", EW__F32, 9, dims},    {"n", EW__F32, 2, huge}};
    struct ew__safetensors_writer *w;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ew__safetensors_writer_new(&w), EW_OK);
        assert_int_equal(ew__safetensors_add_tensor(w, ew__str(cases[i].name), cases[i].type,
                                                    cases[i].n_dims, cases[i].dims),
                         EW_ARGUMENT);
        assert_int_equal(ew__safetensors_begin(w, temp_path(folder, "x")), EW_ARGUMENT); // sticks
        ew__safetensors_writer_free(w);
    }
    assert_int_equal(ew__safetensors_writer_new(&w), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("t"), EW__U8, 1, dims), EW_OK);
    assert_int_equal(ew__safetensors_write(w, dims, 1), EW_STATE);
    assert_int_equal(ew__safetensors_begin(w, temp_path(folder, "x")), EW_OK);
    assert_int_equal(ew__safetensors_write(w, dims, 2), EW_STATE); // too much
    ew__safetensors_writer_free(w);
    assert_int_equal(ew__safetensors_writer_new(&w), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("t"), EW__U8, 1, dims), EW_OK);
    assert_int_equal(ew__safetensors_begin(w, temp_path(folder, "x")), EW_OK);
    assert_int_equal(ew__safetensors_commit(w), EW_STATE); // too little
    ew__safetensors_writer_free(w);
    assert_int_equal(ew__safetensors_writer_new(&w), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("t"), EW__U8, 1, dims), EW_OK);
    assert_int_equal(ew__safetensors_add_tensor(w, ew__str("t"), EW__U8, 1, dims), EW_ARGUMENT);
    ew__safetensors_writer_free(w);
    assert_int_equal(temp_folder_count(folder), 0);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_file_has_its_sentence),
        cmocka_unit_test(tensors_come_in_order_of_the_data),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(every_byte_may_be_wrong),
        cmocka_unit_test(file_without_tensors_is_fine),
        FOLDER_TEST(shards_are_read_as_one),
        FOLDER_TEST(single_file_needs_no_index),
        FOLDER_TEST(every_broken_index_has_its_sentence),
        FOLDER_TEST(what_is_written_is_read),
        FOLDER_TEST(writer_refuses_what_the_reader_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
