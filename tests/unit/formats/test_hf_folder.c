// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "formats/hf_folder.h"
#include "support/bad_files.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT "{\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"

static int make_folder(void **state) {
    struct temp_folder *folder = calloc(1, sizeof *folder);
    struct craft file = {0};
    if (folder == NULL)
        return -1;
    temp_folder_make(folder);
    build_safetensors(WEIGHT, 0, 2, &file);
    temp_write(folder, "model.safetensors", file.bytes, file.n);
    craft_free(&file);
    temp_write_text(folder, "config.json", "{\"model_type\":\"qwen3_5\"}");
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    temp_folder_remove(*state);
    free(*state);
    return 0;
}

static void only_config_and_weights_are_needed(void **state) {
    const struct temp_folder *dir = *state;
    struct ew__hf_folder folder;
    struct ew__str type = {0};
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_string_equal(folder.path, dir->path);
    assert_int_equal(ew__json_str(folder.config, "model_type", &type), EW_OK);
    assert_true(ew__str_is(type, "qwen3_5"));
    assert_int_equal(ew__safetensors_tensor_count(folder.tensors), 1);
    assert_null(folder.generation_config);
    assert_null(folder.preprocessor_config);
    assert_null(folder.tokenizer_config);
    assert_null(folder.chat_template);
    ew__hf_folder_close(&folder);
    assert_null(folder.config);
    ew__hf_folder_close(&folder); // a closed folder may be closed again
}

static void optional_documents_are_read(void **state) {
    const struct temp_folder *dir = *state;
    struct ew__hf_folder folder;
    temp_write_text(dir, "generation_config.json", "{\"top_k\":20}");
    temp_write_text(dir, "preprocessor_config.json", "{\"patch_size\":16}");
    temp_write_text(dir, "tokenizer_config.json", "{\"chat_template\":\"{{ a }}\"}");
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_non_null(folder.generation_config);
    assert_non_null(folder.preprocessor_config);
    assert_string_equal(folder.chat_template, "{{ a }}");
    ew__hf_folder_close(&folder);
    temp_write_text(dir, "chat_template.jinja", "{{ b }}\n"); // comes before the config's
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_string_equal(folder.chat_template, "{{ b }}\n");
    ew__hf_folder_close(&folder);
}

static void template_of_a_list_is_the_default_one(void **state) {
    const struct temp_folder *dir = *state;
    struct ew__hf_folder folder;
    temp_write_text(dir, "tokenizer_config.json",
                    "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"r\"},"
                    "{\"name\":\"default\",\"template\":\"d\"}]}");
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_string_equal(folder.chat_template, "d");
    ew__hf_folder_close(&folder);
    temp_write_text(dir, "tokenizer_config.json",
                    "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"r\"}]}");
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_null(folder.chat_template);
    ew__hf_folder_close(&folder);
    temp_write_text(dir, "tokenizer_config.json", "{\"chat_template\":null}");
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_OK);
    assert_null(folder.chat_template);
    ew__hf_folder_close(&folder);
}

static void every_broken_document_has_its_sentence(void **state) {
    const struct temp_folder *dir = *state;
    static const struct {
        const char *file, *text, *sentence;
    } cases[] = {
        {"config.json", "", "config.json: not valid JSON"},
        {"config.json", "[1]", "config.json: must be a JSON object"},
        {"config.json", "{\"a\":1,\"a\":2}", "duplicate object key"},
        {"config.json", "{\"a\":NaN}", "config.json: not valid JSON"},
        {"generation_config.json", "7", "generation_config.json: "},
        {"preprocessor_config.json", "{", "preprocessor_config.json: not valid JSON"},
        {"tokenizer_config.json", "[]", "tokenizer_config.json: must be a JSON object"},
        {"tokenizer_config.json", "{\"chat_template\":7}",
         "tokenizer_config.json: \"chat_template\" must be a string or a list"},
        {"tokenizer_config.json", "{\"chat_template\":[7]}", "of the list must be an object"},
        {"tokenizer_config.json", "{\"chat_template\":[{\"name\":\"default\"}]}",
         "of the list has no \"template\""},
        {"tokenizer_config.json", "{\"chat_template\":[{\"name\":1,\"template\":\"\"}]}",
         "\"name\" must be a string"},
        {"tokenizer_config.json", "{\"chat_template\":\"a\\u0000b\"}", "UTF-8 without NUL"},
        {"chat_template.jinja", "\xff", "chat_template.jinja: the chat template must be UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ew__hf_folder folder;
        temp_write_text(dir, cases[i].file, cases[i].text);
        assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_FORMAT);
        assert_null(folder.path);
        if (strstr(ew_last_error(), cases[i].sentence) == NULL)
            fail_msg("%s \"%s\": \"%s\"", cases[i].file, cases[i].text, ew_last_error());
        temp_write_text(dir, cases[i].file, "{}");
        if (strcmp(cases[i].file, "config.json") != 0)
            assert_int_equal(remove(temp_path(dir, cases[i].file)), 0);
    }
}

static void what_is_no_checkpoint_is_refused(void **state) {
    const struct temp_folder *dir = *state;
    struct ew__hf_folder folder;
    assert_int_equal(ew__hf_folder_open(temp_path(dir, "config.json"), &folder), EW_IO);
    assert_non_null(strstr(ew_last_error(), "is no folder"));
    assert_int_equal(ew__hf_folder_open(temp_path(dir, "absent"), &folder), EW_IO);
    assert_int_equal(remove(temp_path(dir, "model.safetensors")), 0);
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_NOT_FOUND);
    assert_int_equal(remove(temp_path(dir, "config.json")), 0);
    assert_int_equal(ew__hf_folder_open(dir->path, &folder), EW_NOT_FOUND);
    assert_non_null(strstr(ew_last_error(), "there is no config.json"));
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(only_config_and_weights_are_needed),
        FOLDER_TEST(optional_documents_are_read),
        FOLDER_TEST(template_of_a_list_is_the_default_one),
        FOLDER_TEST(every_broken_document_has_its_sentence),
        FOLDER_TEST(what_is_no_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
