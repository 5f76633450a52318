// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/os.h"
#include "formats/gguf_read.h"
#include "support/bad_files.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opens a copy of exactly n bytes, so that a read beyond the end is seen by the sanitizer. */
static ew_status open_copy(const void *bytes, size_t n) {
    struct ew__gguf *gguf;
    void *copy = malloc(n != 0 ? n : 1);
    assert_non_null(copy);
    if (n != 0)
        memcpy(copy, bytes, n);
    ew_status status = ew__gguf_open_bytes(copy, n, &gguf);
    if (status != EW_OK)
        assert_null(gguf);
    ew__gguf_close(gguf);
    free(copy);
    return status;
}

static void every_broken_file_has_its_sentence(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < bad_gguf_count; i++) {
        struct gguf_plan plan;
        struct craft file = {0};
        gguf_plan_init(&plan);
        bad_ggufs[i].damage(&plan);
        gguf_plan_build(&plan, &file);
        ew_status status = open_copy(file.bytes, file.n);
        if (status == EW_OK || strstr(ew_last_error(), bad_ggufs[i].sentence) == NULL) {
            print_error("%s: status %s, \"%s\"\n", bad_ggufs[i].name, ew_status_name(status),
                        status == EW_OK ? "" : ew_last_error());
            wrong++;
        }
        craft_free(&file);
        gguf_plan_free(&plan);
    }
    assert_int_equal(wrong, 0);
}

static void every_prefix_is_refused(void **state) {
    (void)state;
    struct gguf_plan plan;
    struct craft file = {0};
    gguf_plan_init(&plan);
    gguf_plan_build(&plan, &file);
    for (size_t n = 0; n < file.n; n++)
        assert_int_equal(open_copy(file.bytes, n), EW_FORMAT);
    assert_int_equal(open_copy(file.bytes, file.n), EW_OK);
    craft_free(&file);
    gguf_plan_free(&plan);
}

/* Any change of one byte gives a file that is read or refused; the sanitizer sees the rest. */
static void every_byte_may_be_wrong(void **state) {
    (void)state;
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct gguf_plan plan;
    struct craft file = {0};
    unsigned refused = 0;
    gguf_plan_init(&plan);
    gguf_plan_build(&plan, &file);
    for (size_t at = 0; at < file.n; at++) {
        unsigned char right = file.bytes[at];
        for (size_t v = 0; v < sizeof values; v++) {
            file.bytes[at] = values[v];
            refused += open_copy(file.bytes, file.n) != EW_OK;
        }
        file.bytes[at] = right;
    }
    assert_true(refused > 500);
    craft_free(&file);
    gguf_plan_free(&plan);
}

/* --- split models --- */

enum { parts = 3 };

struct split {
    struct temp_folder folder;
    struct gguf_plan plans[parts];
};

static const char *part_name(uint32_t index) {
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"};
    return names[index];
}

/* Three parts; the first has the valid file's pairs, each has the tensors p<i>.a and p<i>.b. */
static int make_split(void **state) {
    static const char *const names[] = {"p0.a", "p0.b", "p1.a", "p1.b", "p2.a", "p2.b"};
    struct split *split = calloc(1, sizeof *split);
    if (split == NULL)
        return -1;
    temp_folder_make(&split->folder);
    for (unsigned i = 0; i < parts; i++) {
        struct gguf_plan *plan = &split->plans[i];
        gguf_plan_init(plan);
        gguf_plan_u16(plan, "split.no", i);
        gguf_plan_u16(plan, "split.count", parts);
        craft_u32(&gguf_plan_kv(plan, "split.tensors.count", 5)->value, 6);
        for (unsigned t = 0; t < 2; t++) {
            plan->tensors[t].name = names[2 * i + t];
            plan->tensors[t].name_length = 4;
        }
    }
    *state = split;
    return 0;
}

static int remove_split(void **state) {
    struct split *split = *state;
    for (unsigned i = 0; i < parts; i++)
        gguf_plan_free(&split->plans[i]);
    temp_folder_remove(&split->folder);
    free(split);
    return 0;
}

static void write_split(const struct split *split) {
    for (uint32_t i = 0; i < parts; i++) {
        struct craft file = {0};
        gguf_plan_build(&split->plans[i], &file);
        temp_write(&split->folder, part_name(i), file.bytes, file.n);
        craft_free(&file);
    }
}

static struct craft *value_of(struct gguf_plan *plan, const char *key, uint32_t type) {
    for (uint32_t i = 0; i < plan->n_kvs; i++)
        if (strcmp(plan->kvs[i].key, key) == 0)
            return gguf_plan_revalue(&plan->kvs[i], type);
    fail();
    return NULL;
}

/* Writes the parts and expects the first to be refused with the sentence. */
static void expect_refusal(const struct split *split, const char *sentence) {
    struct ew__gguf *gguf;
    write_split(split);
    assert_int_not_equal(ew__gguf_open(temp_path(&split->folder, part_name(0)), &gguf), EW_OK);
    assert_null(gguf);
    if (strstr(ew_last_error(), sentence) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", sentence, ew_last_error());
}

static void parts_are_read_as_one(void **state) {
    struct split *split = *state;
    struct ew__gguf *gguf;
    struct ew__str arch = {0};
    write_split(split);
    assert_int_equal(ew__gguf_open(temp_path(&split->folder, part_name(0)), &gguf), EW_OK);
    assert_int_equal(ew__gguf_part_count(gguf), 3);
    assert_int_equal(ew__gguf_tensor_count(gguf), 6);
    assert_int_equal(ew__gguf_kv_count(gguf), 7);
    assert_int_equal(ew__gguf_str(gguf, "general.architecture", &arch), EW_OK);
    assert_true(ew__str_is(arch, "qwen35"));
    const struct ew__tensor *last = ew__gguf_tensor_at(gguf, 5);
    assert_true(ew__str_is(last->name, "p2.b"));
    assert_ptr_equal(last, ew__gguf_tensor(gguf, ew__str("p2.b")));
    assert_int_equal(last->bytes, 36);
    assert_int_equal(last->data[0], 32);
    assert_true(ew__gguf_file_bytes(gguf) > 3 * 68);
    ew__gguf_close(gguf);
}

static void later_part_alone_is_refused(void **state) {
    struct split *split = *state;
    struct ew__gguf *gguf;
    write_split(split);
    assert_int_equal(ew__gguf_open(temp_path(&split->folder, part_name(1)), &gguf), EW_ARGUMENT);
    assert_non_null(strstr(ew_last_error(), "part 2 of a split model; open the first part"));
    static const char *const impossible[] = {"x-00000-of-00003.gguf", "x-00004-of-00003.gguf",
                                             "x-00001-of-00000.gguf", "x-00001-of-99999.gguf"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ew__gguf_open(temp_path(&split->folder, impossible[i]), &gguf), EW_FORMAT);
        assert_non_null(strstr(ew_last_error(), "no possible name of a part"));
    }
}

static void missing_part_is_named(void **state) {
    struct split *split = *state;
    struct ew__gguf *gguf;
    write_split(split);
    assert_int_equal(remove(temp_path(&split->folder, part_name(2))), 0);
    assert_int_equal(ew__gguf_open(temp_path(&split->folder, part_name(0)), &gguf), EW_IO);
    assert_non_null(strstr(ew_last_error(), "part 3 of 3: cannot open"));
    assert_non_null(strstr(ew_last_error(), "m-00003-of-00003.gguf"));
}

static void renamed_part_is_noticed(void **state) {
    struct split *split = *state;
    craft_u16(value_of(&split->plans[1], "split.no", 2), 2);
    expect_refusal(split, "its name says part 2, its key \"split.no\" 2");
}

static void parts_must_agree_on_their_count(void **state) {
    struct split *split = *state;
    craft_u16(value_of(&split->plans[2], "split.count", 2), 4);
    expect_refusal(split, "its name says 3 parts, its key \"split.count\" 4");
}

static void part_needs_its_number(void **state) {
    struct split *split = *state;
    split->plans[1].kvs[4].key = "split.nr";
    split->plans[1].kvs[4].key_length = 8;
    expect_refusal(split, "m-00002-of-00003.gguf: the key \"split.no\" is missing");
}

static void parts_must_agree_on_the_tensor_count(void **state) {
    struct split *split = *state;
    craft_u32(value_of(&split->plans[1], "split.tensors.count", 5), 5);
    expect_refusal(split, "its key \"split.tensors.count\" is 5, the first part's 6");
}

static void tensor_count_must_be_true(void **state) {
    struct split *split = *state;
    for (unsigned i = 0; i < parts; i++)
        craft_u32(value_of(&split->plans[i], "split.tensors.count", 5), 7);
    expect_refusal(split, "the parts hold 6 tensors, the key \"split.tensors.count\" is 7");
}

static void tensor_in_two_parts_is_refused(void **state) {
    struct split *split = *state;
    split->plans[2].tensors[1].name = "p0.a";
    expect_refusal(split, "the tensor \"p0.a\" stands twice");
}

static void parts_of_two_models_are_refused(void **state) {
    struct split *split = *state;
    craft_string(value_of(&split->plans[1], "general.architecture", 8), "llama");
    expect_refusal(split, "its general.architecture differs");
}

static void broken_later_part_is_named(void **state) {
    struct split *split = *state;
    split->plans[2].cut = 1;
    expect_refusal(split, "m-00003-of-00003.gguf: truncated file");
}

static void what_is_no_file_is_refused(void **state) {
    (void)state;
    struct ew__gguf *gguf;
    struct temp_folder folder;
    temp_folder_make(&folder);
    assert_int_equal(ew__gguf_open(temp_path(&folder, "absent.gguf"), &gguf), EW_IO);
    assert_int_equal(ew__gguf_open(folder.path, &gguf), EW_IO);
    temp_write(&folder, "empty.gguf", "", 0);
    assert_int_equal(ew__gguf_open(temp_path(&folder, "empty.gguf"), &gguf), EW_FORMAT);
    assert_non_null(strstr(ew_last_error(), "empty.gguf: truncated file"));
    temp_folder_remove(&folder);
}

#define SPLIT_TEST(name) cmocka_unit_test_setup_teardown(name, make_split, remove_split)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_file_has_its_sentence),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(every_byte_may_be_wrong),
        cmocka_unit_test(what_is_no_file_is_refused),
        SPLIT_TEST(parts_are_read_as_one),
        SPLIT_TEST(later_part_alone_is_refused),
        SPLIT_TEST(missing_part_is_named),
        SPLIT_TEST(renamed_part_is_noticed),
        SPLIT_TEST(parts_must_agree_on_their_count),
        SPLIT_TEST(part_needs_its_number),
        SPLIT_TEST(parts_must_agree_on_the_tensor_count),
        SPLIT_TEST(tensor_count_must_be_true),
        SPLIT_TEST(tensor_in_two_parts_is_refused),
        SPLIT_TEST(parts_of_two_models_are_refused),
        SPLIT_TEST(broken_later_part_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
