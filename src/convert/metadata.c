// SPDX-License-Identifier: Apache-2.0
#include "convert/metadata.h"

#define PREFIX "qwen35."

/* i such that layer n is full attention exactly when (n + 1) mod i = 0; 0 when there is none. */
static uint32_t attention_interval(const struct ew__config *config) {
    uint32_t first = 0;
    while (first < config->n_layer && config->is_full[first] == 0)
        first++;
    uint32_t interval = first + 1;
    for (uint32_t n = 0; n < config->n_layer; n++)
        if ((config->is_full[n] != 0) != ((n + 1) % interval == 0))
            return 0;
    return interval;
}

/* The regular pattern is one number; any other is spelled out, MTP blocks included. */
static ew_status add_layer_kinds(struct ew__gguf_writer *writer, const struct ew__config *config) {
    uint32_t interval = attention_interval(config);
    bool recurrent[EW__LAYERS_MAX + 1] = {false};
    if (interval != 0)
        return ew__gguf_add_u32(writer, PREFIX "full_attention_interval", interval);
    for (uint32_t n = 0; n < config->n_layer; n++)
        recurrent[n] = config->is_full[n] == 0;
    return ew__gguf_add_array(writer, PREFIX "attention.recurrent_layers", EW__GGUF_BOOL, recurrent,
                              config->n_layer + config->n_mtp);
}

static ew_status add_yarn(struct ew__gguf_writer *writer, const struct ew__yarn *yarn) {
    if (yarn->factor == 1)
        return EW_OK;
    EW__TRY(ew__gguf_add_str(writer, PREFIX "rope.scaling.type", ew__str("yarn")));
    EW__TRY(ew__gguf_add_f32(writer, PREFIX "rope.scaling.factor", (float)yarn->factor));
    EW__TRY(ew__gguf_add_u32(writer, PREFIX "rope.scaling.original_context_length",
                             yarn->n_ctx_original));
    if (yarn->attention_factor != 0)
        EW__TRY(ew__gguf_add_f32(writer, PREFIX "rope.scaling.attn_factor",
                                 (float)yarn->attention_factor));
    EW__TRY(ew__gguf_add_f32(writer, PREFIX "rope.scaling.yarn_beta_fast", (float)yarn->beta_fast));
    return ew__gguf_add_f32(writer, PREFIX "rope.scaling.yarn_beta_slow", (float)yarn->beta_slow);
}

static ew_status add_rope(struct ew__gguf_writer *writer, const struct ew__config *config) {
    /* llama.cpp demands four numbers: T, H, W and one for models with four axes. */
    const int32_t sections[4] = {(int32_t)config->rope_sections[0],
                                 (int32_t)config->rope_sections[1],
                                 (int32_t)config->rope_sections[2], 0};
    EW__TRY(ew__gguf_add_u32(writer, PREFIX "rope.dimension_count", config->n_rot));
    EW__TRY(
        ew__gguf_add_array(writer, PREFIX "rope.dimension_sections", EW__GGUF_I32, sections, 4));
    EW__TRY(ew__gguf_add_f32(writer, PREFIX "rope.freq_base", (float)config->rope_theta));
    return add_yarn(writer, &config->yarn);
}

static ew_status add_numbers(struct ew__gguf_writer *writer, const struct ew__config *c) {
    const struct {
        const char *key;
        uint32_t value;
    } fields[] = {
        {PREFIX "block_count", c->n_layer + c->n_mtp},
        {PREFIX "context_length", c->n_ctx_train},
        {PREFIX "embedding_length", c->n_embd},
        {PREFIX "feed_forward_length", c->n_ff},
        {PREFIX "attention.head_count", c->n_head},
        {PREFIX "attention.head_count_kv", c->n_head_kv},
        {PREFIX "attention.key_length", c->head_dim},
        {PREFIX "attention.value_length", c->head_dim},
        {PREFIX "ssm.conv_kernel", 4},
        {PREFIX "ssm.state_size", c->k_head_dim},
        {PREFIX "ssm.group_count", c->n_k_head},
        {PREFIX "ssm.time_step_rank", c->n_v_head},
        {PREFIX "ssm.inner_size", ew__value_width(c)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        EW__TRY(ew__gguf_add_u32(writer, fields[i].key, fields[i].value));
    if (c->n_mtp != 0)
        EW__TRY(ew__gguf_add_u32(writer, PREFIX "nextn_predict_layers", c->n_mtp));
    return ew__gguf_add_f32(writer, PREFIX "attention.layer_norm_rms_epsilon", c->rms_eps);
}

static bool is_quantised(ew__file_type type) {
    return type != EW__FILE_F32 && type != EW__FILE_F16 && type != EW__FILE_BF16;
}

ew_status ew__add_model_keys(struct ew__gguf_writer *writer, const struct ew__config *config,
                             struct ew__str name, ew__file_type file_type) {
    EW__TRY(ew__gguf_add_str(writer, "general.architecture", ew__str("qwen35")));
    EW__TRY(ew__gguf_add_str(writer, "general.type", ew__str("model")));
    EW__TRY(ew__gguf_add_str(writer, "general.name", name));
    EW__TRY(ew__gguf_add_u32(writer, "general.file_type", file_type));
    if (is_quantised(file_type))
        EW__TRY(ew__gguf_add_u32(writer, "general.quantization_version", 2));
    EW__TRY(add_numbers(writer, config));
    EW__TRY(add_layer_kinds(writer, config));
    return add_rope(writer, config);
}

static ew_status add_id(struct ew__gguf_writer *writer, const char *key, int32_t id) {
    return id < 0 ? EW_OK : ew__gguf_add_u32(writer, key, (uint32_t)id);
}

ew_status ew__add_vocab_keys(struct ew__gguf_writer *writer, const struct ew__vocab_keys *keys) {
    EW__TRY(ew__gguf_add_str(writer, "tokenizer.ggml.model", ew__str("gpt2")));
    EW__TRY(ew__gguf_add_str(writer, "tokenizer.ggml.pre", ew__str("qwen35")));
    EW__TRY(ew__gguf_add_strings(writer, "tokenizer.ggml.tokens", keys->tokens, keys->n_tokens));
    EW__TRY(ew__gguf_add_array(writer, "tokenizer.ggml.token_type", EW__GGUF_I32, keys->types,
                               keys->n_tokens));
    EW__TRY(ew__gguf_add_strings(writer, "tokenizer.ggml.merges", keys->merges, keys->n_merges));
    EW__TRY(add_id(writer, "tokenizer.ggml.eos_token_id", keys->eos));
    EW__TRY(add_id(writer, "tokenizer.ggml.padding_token_id", keys->pad));
    EW__TRY(add_id(writer, "tokenizer.ggml.bos_token_id", keys->bos));
    EW__TRY(ew__gguf_add_bool(writer, "tokenizer.ggml.add_bos_token", false));
    if (keys->chat_template.bytes == NULL)
        return EW_OK;
    return ew__gguf_add_str(writer, "tokenizer.chat_template", keys->chat_template);
}
