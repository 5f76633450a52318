// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/checkpoint.h"
#include "edgewise/edgewise.h"
#include "formats/gguf_write.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <string.h>

#define GOLDENS "tests/data/goldens/"

static ew_inspection *inspect(const char *path, bool check_values) {
    ew_inspection *inspection;
    if (ew_inspect(path, check_values, &inspection) != EW_OK)
        fail_msg("%s", ew_last_error());
    return inspection;
}

static bool has_problem(const ew_inspection *inspection, const char *words) {
    for (size_t i = 0; i < ew_inspection_problem_count(inspection); i++)
        if (strstr(ew_inspection_problem(inspection, i), words) != NULL)
            return true;
    return false;
}

static const char *value_of(const ew_inspection *inspection, const char *key) {
    for (size_t i = 0; i < ew_inspection_metadata_count(inspection); i++)
        if (strcmp(ew_inspection_metadata(inspection, i).key, key) == 0)
            return ew_inspection_metadata(inspection, i).value;
    fail_msg("no key %s", key);
    return "";
}

static void a_good_file_has_no_problems(void **state) {
    (void)state;
    ew_inspection *it = inspect("tests/data/models/random.gguf", true);
    if (ew_inspection_problem_count(it) != 0)
        fail_msg("%s", ew_inspection_problem(it, 0));
    assert_string_equal(ew_inspection_container(it), "GGUF v3");
    assert_string_equal(value_of(it, "general.architecture"), "qwen35");
    assert_string_equal(value_of(it, "qwen35.rope.dimension_sections"), "[3, 3, 2, 0]");
    assert_string_equal(value_of(it, "qwen35.attention.layer_norm_rms_epsilon"), "1e-06");
    assert_string_equal(value_of(it, "tokenizer.ggml.tokens"), "[!, \", #, $, %, &, ... (608)]");
    assert_non_null(strstr(value_of(it, "tokenizer.chat_template"), "... (219 bytes)"));
    assert_int_equal(ew_inspection_tensor_count(it), 2 + 3 * 14 + 11);
    ew_tensor_info embd = ew_inspection_tensor(it, 0);
    assert_string_equal(embd.name, "token_embd.weight");
    assert_string_equal(embd.type, "Q8_0");
    assert_int_equal(embd.dims[0], 128);
    assert_int_equal(embd.dims[1], 608);
    assert_int_equal(embd.bytes, 608 * 128 / 32 * 34);
    ew_inspection_free(it);
}

static void a_folder_shows_its_configuration(void **state) {
    (void)state;
    ew_inspection *it = inspect(GOLDENS "tiny-mtp", true);
    assert_string_equal(ew_inspection_container(it), "Hugging Face folder in 2 files");
    assert_string_equal(value_of(it, "text_config.hidden_size"), "64");
    assert_string_equal(value_of(it, "text_config.rope_parameters.mrope_section"), "[2, 1, 1]");
    assert_string_equal(value_of(it, "tie_word_embeddings"), "false");
    assert_int_equal(ew_inspection_problem_count(it), 1);
    assert_true(has_problem(it, "there is no tokenizer"));
    ew_inspection_free(it);
}

static void a_safetensors_file_is_listed(void **state) {
    (void)state;
    ew_inspection *it = inspect(GOLDENS "tiny-text/model.safetensors", false);
    assert_string_equal(ew_inspection_container(it), "safetensors");
    assert_int_equal(ew_inspection_file_bytes(it), 1615800);
    assert_true(ew_inspection_tensor_count(it) > 100);
    assert_true(has_problem(it, "says nothing of its model"));
    ew_inspection_free(it);
}

static void files_of_another_engine_are_understood(void **state) {
    (void)state;
    static const char *const names[] = {"Q2_K",    "Q3_K_M", "Q4_0",   "Q4_K_M",
                                        "IQ3_XXS", "IQ3_S",  "IQ4_XS", "Q6_K"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "tests/data/interop/%s.gguf", names[i]);
        ew_inspection *it = inspect(path, true);
        for (size_t p = 0; p < ew_inspection_problem_count(it); p++)
            if (strstr(ew_inspection_problem(it, p), "tokenizer") == NULL)
                fail_msg("%s: %s", path, ew_inspection_problem(it, p));
        ew_inspection_free(it);
    }
}

static void a_vision_tower_is_named(void **state) {
    (void)state;
    struct temp_folder temp;
    temp_folder_make(&temp);
    assert_int_equal(ew_convert(GOLDENS "tiny-vl", temp_path(&temp, "m.gguf"), NULL), EW_OK);
    ew_inspection *it = inspect(temp_path(&temp, "mmproj-m.gguf"), true);
    assert_int_equal(ew_inspection_problem_count(it), 1);
    assert_true(has_problem(it, "holds a vision tower"));
    ew_inspection_free(it);
    temp_folder_remove(&temp);
}

/* ---- crafted files ---- */

/* tests/data/models/random.gguf with one pair replaced or left out, and its first tensors only. */
struct edit {
    const char *key;
    const char *text; /* NULL leaves the pair out */
    size_t n_tensors;
    const char *renamed; /* the last tensor's new name, or NULL */
    uint32_t spoiled; /* byte of the first tensor that becomes 0x7e with its neighbour: infinity */
};

static void write_edited(const char *path, const struct edit *edit) {
    struct ew__gguf *gguf;
    struct ew__gguf_writer *writer;
    static const uint8_t infinity[2] = {0x00, 0x7c};
    assert_int_equal(ew__gguf_open("tests/data/models/random.gguf", &gguf), EW_OK);
    assert_int_equal(ew__gguf_writer_new(&writer), EW_OK);
    for (size_t i = 0; i < ew__gguf_kv_count(gguf); i++) {
        const struct ew__gguf_kv *kv = ew__gguf_kv_at(gguf, i);
        if (edit->key == NULL || !ew__str_is(kv->key, edit->key))
            assert_int_equal(ew__gguf_add_kv(writer, kv), EW_OK);
        else if (edit->text != NULL)
            assert_int_equal(ew__gguf_add_str(writer, edit->key, ew__str(edit->text)), EW_OK);
    }
    for (size_t i = 0; i < edit->n_tensors; i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(gguf, i);
        bool renames = edit->renamed != NULL && i + 1 == edit->n_tensors;
        assert_int_equal(ew__gguf_add_tensor(writer, renames ? ew__str(edit->renamed) : t->name,
                                             (ew__dtype)t->type, t->n_dims, t->dims),
                         EW_OK);
    }
    assert_int_equal(ew__gguf_begin(writer, path), EW_OK);
    for (size_t i = 0; i < edit->n_tensors; i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(gguf, i);
        size_t skip = i == 0 && edit->spoiled ? sizeof infinity : 0;
        if (skip != 0)
            assert_int_equal(ew__gguf_write(writer, infinity, skip), EW_OK);
        assert_int_equal(ew__gguf_write(writer, t->data + skip, (size_t)t->bytes - skip), EW_OK);
    }
    assert_int_equal(ew__gguf_commit(writer), EW_OK);
    ew__gguf_writer_free(writer);
    ew__gguf_close(gguf);
}

static void each_fault_is_told(void **state) {
    (void)state;
    enum { ALL = 55 };
    static const struct {
        struct edit edit;
        size_t problems;
        const char *words;
    } cases[] = {
        {{NULL, NULL, ALL, NULL, false}, 0, NULL},
        {{"tokenizer.ggml.pre", "qwen2", ALL, NULL, false}, 1, "pre-tokenizer \"qwen2\""},
        {{"tokenizer.ggml.model", NULL, ALL, NULL, false}, 1, "not byte-level BPE"},
        {{"general.architecture", "llama", ALL, NULL, false}, 1, "architecture \"llama\""},
        {{"qwen35.ssm.state_size", NULL, ALL, NULL, false}, 1, "qwen35.ssm.state_size"},
        {{NULL, NULL, ALL - 1, NULL, false}, 1, "is missing"},
        {{NULL, NULL, ALL, "blk.3.elsewhere", false}, 1, "is missing"},
        {{NULL, NULL, ALL, NULL, true}, 1, "\"token_embd.weight\" (Q8_0) holds a NaN or infinity"},
        {{NULL, NULL, 0, NULL, false}, ALL, "\"blk.0.ssm_a\" is missing"},
    };
    struct temp_folder temp;
    temp_folder_make(&temp);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_edited(temp_path(&temp, "m.gguf"), &cases[i].edit);
        ew_inspection *it = inspect(temp_path(&temp, "m.gguf"), true);
        if (ew_inspection_problem_count(it) != cases[i].problems ||
            (cases[i].words != NULL && !has_problem(it, cases[i].words)))
            fail_msg("case %u: %u problems, the first: %s", (unsigned)i,
                     (unsigned)ew_inspection_problem_count(it), ew_inspection_problem(it, 0));
        ew_inspection_free(it);
    }
    temp_folder_remove(&temp);
}

/* A vision tower whose constants are CLIP's, as some converters write them. */
static void wrong_picture_constants_are_told(void **state) {
    (void)state;
    struct temp_folder temp;
    struct ew__gguf_writer *writer;
    static const float clip_mean[3] = {0.48145466f, 0.4578275f, 0.40821073f},
                       half[3] = {.5, .5, .5};
    const uint64_t one = 1;
    const float value = 1;
    temp_folder_make(&temp);
    assert_int_equal(ew__gguf_writer_new(&writer), EW_OK);
    (void)ew__gguf_add_str(writer, "general.architecture", ew__str("clip"));
    (void)ew__gguf_add_str(writer, "clip.vision.projector_type", ew__str("qwen3vl_merger"));
    (void)ew__gguf_add_array(writer, "clip.vision.image_mean", EW__GGUF_F32, clip_mean, 3);
    (void)ew__gguf_add_array(writer, "clip.vision.image_std", EW__GGUF_F32, half, 3);
    (void)ew__gguf_add_tensor(writer, ew__str("v.post_ln.bias"), EW__F32, 1, &one);
    assert_int_equal(ew__gguf_begin(writer, temp_path(&temp, "v.gguf")), EW_OK);
    assert_int_equal(ew__gguf_write(writer, &value, sizeof value), EW_OK);
    assert_int_equal(ew__gguf_commit(writer), EW_OK);
    ew__gguf_writer_free(writer);
    ew_inspection *it = inspect(temp_path(&temp, "v.gguf"), false);
    assert_int_equal(ew_inspection_problem_count(it), 2);
    assert_true(has_problem(it, "\"clip.vision.image_mean\" is not 0.5"));
    ew_inspection_free(it);
    temp_folder_remove(&temp);
}

static void what_cannot_be_read_is_one_sentence(void **state) {
    (void)state;
    ew_inspection *it;
    assert_int_equal(ew_inspect("models/absent.gguf", false, &it), EW_IO);
    assert_null(it);
    assert_non_null(strstr(ew_last_error(), "models/absent.gguf"));
    assert_int_equal(ew_inspect("models/README.md", false, &it), EW_FORMAT);
    assert_non_null(strstr(ew_last_error(), "models/README.md"));
    assert_int_equal(ew_inspect(NULL, false, &it), EW_ARGUMENT);
    ew_inspection_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_has_no_problems),
        cmocka_unit_test(a_folder_shows_its_configuration),
        cmocka_unit_test(a_safetensors_file_is_listed),
        cmocka_unit_test(files_of_another_engine_are_understood),
        cmocka_unit_test(a_vision_tower_is_named),
        cmocka_unit_test(each_fault_is_told),
        cmocka_unit_test(wrong_picture_constants_are_told),
        cmocka_unit_test(what_cannot_be_read_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
