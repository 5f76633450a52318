// SPDX-License-Identifier: Apache-2.0
/* Checkpoints whose container is sound and whose content is not: each meets its own sentence. A
 * case is the model of the repository with one key or tensor changed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "formats/gguf_write.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum change {
    DROP_KEY,
    SET_U32,
    SET_F32,
    SET_STR,
    SET_I32S,
    DROP_TENSOR,
    RESHAPE,
    RETYPE,
    POISON
} change;

struct bad {
    change change;
    const char *name; /* key or tensor */
    double number;
    const char *text;
    const char *sentence; /* part of what must be said */
};

#define KEY(k) "qwen35." k

static const struct bad table[] = {
    {SET_STR, "general.architecture", 0, "llama", "architecture \"llama\" is not Qwen3.5"},
    {DROP_KEY, "general.architecture", 0, NULL, "architecture \"\" is not Qwen3.5"},
    {SET_U32, "general.architecture", 7, NULL, "general.architecture"},
    {DROP_KEY, KEY("block_count"), 0, NULL, "lacks \"qwen35.block_count\""},
    {SET_STR, KEY("block_count"), 0, "four", "qwen35.block_count"},
    {SET_U32, KEY("block_count"), 0, NULL, "out of range"},
    {SET_U32, KEY("block_count"), 4e9, NULL, "out of range"},
    {SET_U32, KEY("block_count"), 5, NULL, "\"blk.4.attn_norm.weight\" is missing"},
    {SET_U32, KEY("nextn_predict_layers"), 4, NULL, "out of range"},
    {DROP_KEY, KEY("embedding_length"), 0, NULL, "lacks \"qwen35.embedding_length\""},
    {SET_U32, KEY("embedding_length"), 0, NULL, "hidden size is 0"},
    {SET_U32, KEY("embedding_length"), 64, NULL, "the metadata asks for"},
    {SET_U32, KEY("feed_forward_length"), 4e9, NULL, "feed-forward size"},
    {SET_U32, KEY("context_length"), 0, NULL, "context length is 0"},
    {SET_U32, KEY("attention.head_count"), 0, NULL, "number of attention heads is 0"},
    {SET_U32, KEY("attention.head_count"), 3, NULL, "the metadata asks for"},
    {SET_U32, KEY("attention.head_count_kv"), 3, NULL, "cannot share 3 key-value heads"},
    {SET_U32, KEY("attention.head_count_kv"), 0, NULL, "number of key-value heads is 0"},
    {SET_U32, KEY("attention.key_length"), 100000, NULL,
     "key length 100000 and value length 64 differ"},
    {SET_U32, KEY("attention.value_length"), 8, NULL, "value length 8 differ"},
    {SET_F32, KEY("attention.layer_norm_rms_epsilon"), NAN, NULL, "epsilon"},
    {SET_F32, KEY("attention.layer_norm_rms_epsilon"), 0, NULL, "epsilon"},
    {SET_F32, KEY("rope.freq_base"), -1, NULL, "rope base"},
    {SET_U32, KEY("rope.dimension_count"), 4096, NULL, "rope.dimension_count"},
    {SET_U32, KEY("rope.dimension_count"), 7, NULL, "odd"},
    {SET_I32S, KEY("rope.dimension_sections"), 2, NULL, "3 or 4 numbers"},
    {SET_I32S, KEY("rope.dimension_sections"), 3, NULL, "sections sum to"},
    {SET_STR, KEY("rope.scaling.type"), 0, "longrope", "\"longrope\" is not supported"},
    {SET_U32, KEY("ssm.conv_kernel"), 5, NULL, "convolution width 5"},
    {SET_U32, KEY("ssm.group_count"), 3, NULL, "cannot share 3 key heads"},
    {SET_U32, KEY("ssm.time_step_rank"), 0, NULL, "no multiple of 0 heads"},
    {SET_U32, KEY("ssm.inner_size"), 1, NULL, "no multiple"},
    {SET_U32, KEY("ssm.state_size"), 0, NULL, "linear key head dimension is 0"},
    {SET_U32, KEY("full_attention_interval"), 0, NULL, "full_attention_interval"},
    {DROP_TENSOR, "token_embd.weight", 0, NULL, "\"token_embd.weight\" is missing"},
    {DROP_TENSOR, "output_norm.weight", 0, NULL, "\"output_norm.weight\" is missing"},
    {DROP_TENSOR, "blk.0.ssm_a", 0, NULL, "\"blk.0.ssm_a\" is missing"},
    {DROP_TENSOR, "blk.3.attn_q_norm.weight", 0, NULL, "\"blk.3.attn_q_norm.weight\" is missing"},
    {RESHAPE, "blk.0.attn_norm.weight", 0, NULL, "\"blk.0.attn_norm.weight\" has shape"},
    {RESHAPE, "blk.1.ssm_conv1d.weight", 0, NULL, "\"blk.1.ssm_conv1d.weight\" has shape"},
    {RETYPE, "blk.0.attn_norm.weight", 0, NULL, "type I32, which this build cannot decode"},
    {POISON, "blk.2.ssm_norm.weight", 0, NULL, "\"blk.2.ssm_norm.weight\" (F32) holds a NaN"},
};

static struct ew__gguf *sound;

static int open_sound(void **state) {
    (void)state;
    return ew__gguf_open("tests/data/models/random.gguf", &sound) == EW_OK ? 0 : -1;
}

static int close_sound(void **state) {
    (void)state;
    ew__gguf_close(sound);
    return 0;
}

static ew_status add_changed_key(struct ew__gguf_writer *writer, const struct bad *bad) {
    const int32_t sections[4] = {1, 1, 1, 0};
    switch (bad->change) {
    case SET_U32:
        return ew__gguf_add_u32(writer, bad->name, (uint32_t)bad->number);
    case SET_F32:
        return ew__gguf_add_f32(writer, bad->name, (float)bad->number);
    case SET_STR:
        return ew__gguf_add_str(writer, bad->name, ew__str(bad->text));
    case SET_I32S:
        return ew__gguf_add_array(writer, bad->name, EW__GGUF_I32, sections, (uint64_t)bad->number);
    default:
        return EW_OK;
    }
}

static ew_status add_keys(struct ew__gguf_writer *writer, const struct bad *bad) {
    for (size_t i = 0; i < ew__gguf_kv_count(sound); i++) {
        const struct ew__gguf_kv *kv = ew__gguf_kv_at(sound, i);
        if (bad->change > SET_I32S || !ew__str_is(kv->key, bad->name))
            EW__TRY(ew__gguf_add_kv(writer, kv));
    }
    return add_changed_key(writer, bad);
}

static bool is_hit(const struct bad *bad, const struct ew__tensor *tensor) {
    return bad->change >= DROP_TENSOR && ew__str_is(tensor->name, bad->name);
}

static ew_status add_tensors(struct ew__gguf_writer *writer, const struct bad *bad) {
    for (size_t i = 0; i < ew__gguf_tensor_count(sound); i++) {
        const struct ew__tensor *tensor = ew__gguf_tensor_at(sound, i);
        uint64_t halved[2] = {tensor->dims[0] / 2, tensor->dims[1] * 2};
        if (is_hit(bad, tensor) && bad->change == DROP_TENSOR)
            continue;
        bool reshape = is_hit(bad, tensor) && bad->change == RESHAPE;
        bool retype = is_hit(bad, tensor) && bad->change == RETYPE;
        EW__TRY(ew__gguf_add_tensor(writer, tensor->name,
                                    retype ? EW__I32 : (ew__dtype)tensor->type,
                                    reshape ? 2 : tensor->n_dims, reshape ? halved : tensor->dims));
    }
    return EW_OK;
}

static ew_status write_data(struct ew__gguf_writer *writer, const struct bad *bad) {
    const float nan = NAN;
    for (size_t i = 0; i < ew__gguf_tensor_count(sound); i++) {
        const struct ew__tensor *tensor = ew__gguf_tensor_at(sound, i);
        size_t skip = 0;
        if (is_hit(bad, tensor) && bad->change == DROP_TENSOR)
            continue;
        if (is_hit(bad, tensor) && bad->change == POISON) {
            EW__TRY(ew__gguf_write(writer, &nan, sizeof nan));
            skip = sizeof nan;
        }
        EW__TRY(ew__gguf_write(writer, tensor->data + skip, (size_t)tensor->bytes - skip));
    }
    return EW_OK;
}

static void write_bad(const struct bad *bad, const char *path) {
    struct ew__gguf_writer *writer;
    assert_int_equal(ew__gguf_writer_new(&writer), EW_OK);
    ew_status status = add_keys(writer, bad);
    if (status == EW_OK)
        status = add_tensors(writer, bad);
    if (status == EW_OK)
        status = ew__gguf_begin(writer, path);
    if (status == EW_OK)
        status = write_data(writer, bad);
    if (status == EW_OK)
        status = ew__gguf_commit(writer);
    if (status != EW_OK)
        fail_msg("%s: %s", bad->name, ew_last_error());
    ew__gguf_writer_free(writer);
}

static void every_broken_model_has_its_sentence(void **state) {
    (void)state;
    char path[64];
    size_t failures = 0;
    snprintf(path, sizeof path, "/tmp/ew-bad-model-%d.gguf", (int)getpid());
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ew__model model;
        const struct ew__model_options options = {.check_finite = true};
        write_bad(&table[i], path);
        ew_status status = ew__model_open(path, &options, &model);
        if (status == EW_OK) {
            ew__model_close(&model);
            print_error("%s: loaded\n", table[i].name);
            failures++;
        } else if (strstr(ew_last_error(), table[i].sentence) == NULL ||
                   strstr(ew_last_error(), path) == NULL) {
            print_error("%s: \"%s\" lacks \"%s\"\n", table[i].name, ew_last_error(),
                        table[i].sentence);
            failures++;
        }
    }
    unlink(path);
    assert_int_equal(failures, 0);
}

/* The wild has one number, or one per layer with 0 for the DeltaNet layers; sections of 3 or 4. */
static void both_spellings_of_metadata_load(void **state) {
    (void)state;
    struct ew__gguf_writer *writer;
    struct ew__model model;
    const struct ew__model_options options = {0};
    const struct bad drop = {.change = DROP_KEY, .name = KEY("attention.head_count_kv")};
    const uint32_t per_layer[4] = {0, 0, 0, 1};
    char path[64];
    snprintf(path, sizeof path, "/tmp/ew-spelling-%d.gguf", (int)getpid());
    assert_int_equal(ew__gguf_writer_new(&writer), EW_OK);
    assert_int_equal(add_keys(writer, &drop), EW_OK);
    assert_int_equal(
        ew__gguf_add_array(writer, KEY("attention.head_count_kv"), EW__GGUF_U32, per_layer, 4),
        EW_OK);
    assert_int_equal(add_tensors(writer, &drop), EW_OK);
    assert_int_equal(ew__gguf_begin(writer, path), EW_OK);
    assert_int_equal(write_data(writer, &drop), EW_OK);
    assert_int_equal(ew__gguf_commit(writer), EW_OK);
    ew__gguf_writer_free(writer);
    assert_int_equal(ew__model_open(path, &options, &model), EW_OK);
    assert_int_equal(model.checkpoint.config.n_head_kv, 1);
    ew__model_close(&model);
    unlink(path);
}

/* An announced but incomplete MTP block is dropped and named, not refused. */
static void an_incomplete_mtp_block_is_dropped(void **state) {
    (void)state;
    char path[64];
    struct ew__model model;
    const struct ew__model_options options = {0};
    struct ew__gguf_writer *writer;
    const struct bad drop = {.change = DROP_KEY, .name = KEY("block_count")};
    snprintf(path, sizeof path, "/tmp/ew-mtp-%d.gguf", (int)getpid());
    assert_int_equal(ew__gguf_writer_new(&writer), EW_OK);
    assert_int_equal(add_keys(writer, &drop), EW_OK);
    assert_int_equal(ew__gguf_add_u32(writer, KEY("block_count"), 5), EW_OK);
    assert_int_equal(ew__gguf_add_u32(writer, KEY("nextn_predict_layers"), 1), EW_OK);
    assert_int_equal(add_tensors(writer, &drop), EW_OK);
    assert_int_equal(ew__gguf_begin(writer, path), EW_OK);
    assert_int_equal(write_data(writer, &drop), EW_OK);
    assert_int_equal(ew__gguf_commit(writer), EW_OK);
    ew__gguf_writer_free(writer);
    assert_int_equal(ew__model_open(path, &options, &model), EW_OK);
    assert_int_equal(model.checkpoint.config.n_layer, 4);
    assert_null(model.mtp);
    assert_non_null(model.mtp_missing);
    ew__model_close(&model);
    unlink(path);
}

/* ---- config.json ---- */

static const char sound_config[] =
    "{\"model_type\":\"qwen3_5_text\",\"num_hidden_layers\":4,\"hidden_size\":64,\"intermediate_"
    "size\":128,"
    "\"vocab_size\":512,\"max_position_embeddings\":4096,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"head_dim\":32,\"linear_num_key_heads\":2,\"linear_num_value_"
    "heads\":4,"
    "\"linear_key_head_dim\":16,\"linear_value_head_dim\":16,\"rope_parameters\":{\"rope_theta\":"
    "1e7,"
    "\"mrope_section\":[2,1,1],\"partial_rotary_factor\":0.25}}";

static const struct {
    const char *key, *value; /* JSON; NULL removes the key */
    const char *sentence;
} bad_configs[] = {
    {"model_type", "\"qwen2\"", "\"qwen2\" is not Qwen3.5"},
    {"hidden_size", NULL, "\"hidden_size\" is missing"},
    {"hidden_size", "\"64\"", "\"hidden_size\" must be a whole number"},
    {"hidden_size", "-64", "\"hidden_size\" is -64"},
    {"hidden_size", "64.5", "\"hidden_size\" must be a whole number"},
    {"num_hidden_layers", "100000", "number of layers is 100000"},
    {"layer_types", "[\"full_attention\"]", "must list 4 layers"},
    {"layer_types", "[\"full_attention\",\"a\",\"b\",\"c\"]", "unknown type \"a\""},
    {"layer_types", "7", "must list 4 layers"},
    {"rope_parameters", "3", "must be an object"},
    {"rope_parameters", "{\"rope_type\":\"llama3\"}", "\"llama3\" is not supported"},
    {"rope_parameters", "{\"partial_rotary_factor\":2}", "must be in (0, 1]"},
    {"rope_parameters", "{\"mrope_section\":[1,2]}", "must have 3 numbers"},
    {"rope_parameters", "{\"mrope_section\":[9,9,9]}", "sections sum to 27"},
    {"rope_parameters", "{\"rope_type\":\"yarn\",\"factor\":0.1}", "YaRN"},
    {"linear_conv_kernel_dim", "3", "convolution width 3"},
    {"attn_output_gate", "false", "without the attention output gate"},
    {"linear_num_value_heads", "3", "cannot share 2 key heads"},
    {"mtp_num_hidden_layers", "2", "number of MTP blocks is 2"},
    {"text_config", "[]", "\"text_config\" must be an object"},
};

static void every_broken_config_has_its_sentence(void **state) {
    (void)state;
    struct ew__config config;
    for (size_t i = 0; i < sizeof bad_configs / sizeof bad_configs[0]; i++) {
        json_t *root = json_loads(sound_config, 0, NULL);
        assert_int_equal(ew__config_from_hf(root, &config), EW_OK);
        if (bad_configs[i].value == NULL)
            json_object_del(root, bad_configs[i].key);
        else
            json_object_set_new(root, bad_configs[i].key,
                                json_loads(bad_configs[i].value, JSON_DECODE_ANY, NULL));
        if (ew__config_from_hf(root, &config) == EW_OK)
            fail_msg("%s = %s was accepted", bad_configs[i].key, bad_configs[i].value);
        if (strstr(ew_last_error(), bad_configs[i].sentence) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", ew_last_error(), bad_configs[i].sentence);
        json_decref(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_model_has_its_sentence),
        cmocka_unit_test(both_spellings_of_metadata_load),
        cmocka_unit_test(an_incomplete_mtp_block_is_dropped),
        cmocka_unit_test(every_broken_config_has_its_sentence),
    };
    return cmocka_run_group_tests(tests, open_sound, close_sound);
}
