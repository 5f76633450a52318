// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "formats/gguf_write.h"
#include "formats/hf_folder.h"
#include "support/bad_files.h"
#include "support/temp_folder.h"

#include <stdlib.h>
#include <string.h>

/* Runs `attempt` with its first, second, third... allocation failing, until one succeeds: each
 * failure must be EW_NO_MEMORY; that nothing leaks is the sanitizer's to see. */
static void fail_each_allocation(ew_status (*attempt)(const struct temp_folder *folder),
                                 const struct temp_folder *folder, unsigned at_least) {
    for (unsigned n = 1; n < 10000; n++) {
        ew__mem_fail_at(n);
        ew_status status = attempt(folder);
        ew__mem_fail_at(0);
        if (status == EW_OK) {
            assert_true(n > at_least);
            return;
        }
        if (status != EW_NO_MEMORY)
            fail_msg("allocation %u: %s, \"%s\"", n, ew_status_name(status), ew_last_error());
    }
    fail_msg("it never succeeds");
}

static int make_files(void **state) {
    static const char *const names[] = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
    static const char *const tensors[] = {"a", "b", "c", "d"};
    struct temp_folder *folder = calloc(1, sizeof *folder);
    struct craft file = {0};
    if (folder == NULL)
        return -1;
    temp_folder_make(folder);
    for (unsigned i = 0; i < 2; i++) {
        struct gguf_plan plan;
        struct craft part = {0};
        gguf_plan_init(&plan);
        gguf_plan_u16(&plan, "split.no", i);
        gguf_plan_u16(&plan, "split.count", 2);
        plan.tensors[0].name = tensors[2 * i];
        plan.tensors[1].name = tensors[2 * i + 1];
        gguf_plan_build(&plan, &part);
        temp_write(folder, names[i], part.bytes, part.n);
        craft_free(&part);
        gguf_plan_free(&plan);
    }
    build_safetensors("{\"__metadata__\":{\"format\":\"pt\"},"
                      "\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
                      0, 2, &file);
    temp_write(folder, "model.safetensors", file.bytes, file.n);
    craft_free(&file);
    temp_write_text(folder, "model.safetensors.index.json",
                    "{\"weight_map\":{\"w\":\"model.safetensors\"}}");
    temp_write_text(folder, "config.json", "{\"layers\":[1,2,3.5,\"full\",null,true]}");
    temp_write_text(folder, "tokenizer_config.json", "{\"chat_template\":\"{{ a }}\"}");
    *state = folder;
    return 0;
}

static int remove_files(void **state) {
    temp_folder_remove(*state);
    free(*state);
    return 0;
}

static ew_status open_split_gguf(const struct temp_folder *folder) {
    struct ew__gguf *gguf;
    ew_status status = ew__gguf_open(temp_path(folder, "m-00001-of-00002.gguf"), &gguf);
    if (status == EW_OK)
        assert_int_equal(ew__gguf_tensor_count(gguf), 4);
    else
        assert_null(gguf);
    ew__gguf_close(gguf);
    return status;
}

static ew_status open_safetensors(const struct temp_folder *folder) {
    struct ew__safetensors *set;
    ew_status status = ew__safetensors_open_dir(folder->path, &set);
    if (status == EW_OK)
        assert_non_null(ew__safetensors_tensor(set, ew__str("w")));
    else
        assert_null(set);
    ew__safetensors_close(set);
    return status;
}

static ew_status open_hf_folder(const struct temp_folder *dir) {
    struct ew__hf_folder folder;
    ew_status status = ew__hf_folder_open(dir->path, &folder);
    if (status == EW_OK)
        assert_string_equal(folder.chat_template, "{{ a }}");
    ew__hf_folder_close(&folder);
    return status;
}

/* Stops at the first failure, as a caller would. */
static ew_status fill_gguf(struct ew__gguf_writer *w, const char *path) {
    static const uint64_t dims[] = {4};
    static const float data[4];
    const struct ew__str words[] = {ew__str("left"), ew__str("right")};
    EW__TRY(ew__gguf_add_str(w, "general.architecture", ew__str("qwen35")));
    EW__TRY(ew__gguf_add_strings(w, "words", words, 2));
    EW__TRY(ew__gguf_add_tensor(w, ew__str("t"), EW__F32, 1, dims));
    EW__TRY(ew__gguf_begin(w, path));
    EW__TRY(ew__gguf_write(w, data, sizeof data));
    return ew__gguf_commit(w);
}

static ew_status write_gguf(const struct temp_folder *folder) {
    struct ew__gguf_writer *w = NULL;
    size_t files = temp_folder_count(folder);
    EW__TRY(ew__gguf_writer_new(&w));
    ew_status status = fill_gguf(w, temp_path(folder, "out.gguf"));
    ew__gguf_writer_free(w);
    assert_int_equal(temp_folder_count(folder), files + (status == EW_OK ? 1 : 0));
    return status;
}

static ew_status fill_safetensors(struct ew__safetensors_writer *w, const char *path) {
    static const uint64_t dims[] = {4};
    static const float data[4];
    EW__TRY(ew__safetensors_add_tensor(w, ew__str("t"), EW__F32, 1, dims));
    EW__TRY(ew__safetensors_begin(w, path));
    EW__TRY(ew__safetensors_write(w, data, sizeof data));
    return ew__safetensors_commit(w);
}

static ew_status write_safetensors(const struct temp_folder *folder) {
    struct ew__safetensors_writer *w = NULL;
    size_t files = temp_folder_count(folder);
    EW__TRY(ew__safetensors_writer_new(&w));
    ew_status status = fill_safetensors(w, temp_path(folder, "out.safetensors"));
    ew__safetensors_writer_free(w);
    assert_int_equal(temp_folder_count(folder), files + (status == EW_OK ? 1 : 0));
    return status;
}

static void split_gguf_survives(void **state) {
    fail_each_allocation(open_split_gguf, *state, 9);
}

static ew_status parse_json(const struct temp_folder *folder) {
    static const char text[] = "{\"a\":[1,\"text\",{\"b\":null}]}";
    json_t *root;
    (void)folder;
    ew_status status = ew__json_parse(text, sizeof text - 1, "text", &root);
    json_decref(root);
    return status;
}

/* Whether the JSON layer below reports every failed allocation; what is built on it can only then.
 */
static bool json_reports_memory(void) {
    for (unsigned n = 1; n < 10; n++) {
        ew__mem_fail_at(n);
        ew_status status = parse_json(NULL);
        ew__mem_fail_at(0);
        if (status != EW_NO_MEMORY)
            return false;
    }
    return true;
}

static void safetensors_folder_survives(void **state) {
    if (!json_reports_memory())
        skip();
    fail_each_allocation(open_safetensors, *state, 20);
}

static void hf_folder_survives(void **state) {
    if (!json_reports_memory())
        skip();
    fail_each_allocation(open_hf_folder, *state, 40);
}

static void gguf_writer_survives(void **state) {
    fail_each_allocation(write_gguf, *state, 9);
}

static void safetensors_writer_survives(void **state) {
    fail_each_allocation(write_safetensors, *state, 5);
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, make_files, remove_files)

int main(void) {
    const struct CMUnitTest tests[] = {
        FILES_TEST(split_gguf_survives),         FILES_TEST(gguf_writer_survives),
        FILES_TEST(safetensors_writer_survives), FILES_TEST(safetensors_folder_survives),
        FILES_TEST(hf_folder_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
