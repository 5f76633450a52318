// SPDX-License-Identifier: Apache-2.0
/* config.json of the Hugging Face checkpoints: nested (text_config) or flat. */
#include "model/config.h"

#include <math.h>

static ew_status read_shape(const json_t *text, struct ew__config *c) {
    const struct {
        const char *key;
        uint32_t *out;
    } fields[] = {
        {"num_hidden_layers", &c->n_layer},
        {"mtp_num_hidden_layers", &c->n_mtp},
        {"hidden_size", &c->n_embd},
        {"intermediate_size", &c->n_ff},
        {"vocab_size", &c->n_vocab},
        {"max_position_embeddings", &c->n_ctx_train},
        {"num_attention_heads", &c->n_head},
        {"num_key_value_heads", &c->n_head_kv},
        {"head_dim", &c->head_dim},
        {"linear_num_key_heads", &c->n_k_head},
        {"linear_num_value_heads", &c->n_v_head},
        {"linear_key_head_dim", &c->k_head_dim},
        {"linear_value_head_dim", &c->v_head_dim},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (json_object_get(text, fields[i].key) == NULL && fields[i].out != &c->n_mtp)
            return ew__fail(EW_FORMAT, "\"%s\" is missing", fields[i].key);
        EW__TRY(ew__json_u32(text, fields[i].key, 0, UINT32_MAX, fields[i].out));
    }
    double eps = 1e-6;
    EW__TRY(ew__json_f64(text, "rms_norm_eps", &eps));
    c->rms_eps = (float)eps;
    return EW_OK;
}

static ew_status read_layer_kinds(const json_t *text, struct ew__config *c) {
    uint32_t interval = 4;
    EW__TRY(ew__json_u32(text, "full_attention_interval", 1, EW__LAYERS_MAX, &interval));
    if (c->n_layer > EW__LAYERS_MAX)
        return ew__config_check(c);
    const json_t *kinds = json_object_get(text, "layer_types");
    if (kinds != NULL && (!json_is_array(kinds) || json_array_size(kinds) != c->n_layer))
        return ew__fail(EW_FORMAT, "\"layer_types\" must list %u layers", c->n_layer);
    for (uint32_t i = 0; i < c->n_layer; i++) {
        c->is_full[i] = (i + 1) % interval == 0;
        if (kinds == NULL)
            continue;
        const char *kind = json_string_value(json_array_get(kinds, i));
        struct ew__str name = ew__str(kind != NULL ? kind : "");
        if (!ew__str_is(name, "full_attention") && !ew__str_is(name, "linear_attention"))
            return ew__fail(EW_UNSUPPORTED, "layer %u is of the unknown type \"%s\"", i,
                            ew__quote(name.bytes, name.n));
        c->is_full[i] = ew__str_is(name, "full_attention");
    }
    return EW_OK;
}

static ew_status read_yarn(const json_t *rope, struct ew__config *c) {
    struct ew__str type = ew__str("default");
    EW__TRY(ew__json_str(rope, "type", &type)); // older spelling
    EW__TRY(ew__json_str(rope, "rope_type", &type));
    if (ew__str_is(type, "default") || ew__str_is(type, "mrope"))
        return EW_OK;
    if (!ew__str_is(type, "yarn"))
        return ew__fail(EW_UNSUPPORTED, "rope type \"%s\" is not supported, only default and yarn",
                        ew__quote(type.bytes, type.n));
    EW__TRY(ew__json_f64(rope, "factor", &c->yarn.factor));
    EW__TRY(ew__json_u32(rope, "original_max_position_embeddings", 1, EW__CONTEXT_MAX,
                         &c->yarn.n_ctx_original));
    EW__TRY(ew__json_f64(rope, "attention_factor", &c->yarn.attention_factor));
    EW__TRY(ew__json_f64(rope, "beta_fast", &c->yarn.beta_fast));
    return ew__json_f64(rope, "beta_slow", &c->yarn.beta_slow);
}

/* The published split of 32 frequencies is 11, 11, 10; a file without one is scaled from it. */
static ew_status read_sections(const json_t *rope, struct ew__config *c) {
    const json_t *sections = json_object_get(rope, "mrope_section");
    if (sections == NULL) {
        c->rope_sections[1] = (c->n_rot / 2 + 1) / 3;
        c->rope_sections[2] = c->n_rot / 2 / 3;
        c->rope_sections[0] = c->n_rot / 2 - c->rope_sections[1] - c->rope_sections[2];
        return EW_OK;
    }
    if (json_array_size(sections) != 3)
        return ew__fail(EW_FORMAT, "\"mrope_section\" must have 3 numbers");
    for (size_t i = 0; i < 3; i++) {
        json_int_t n = json_integer_value(json_array_get(sections, i));
        if (n < 0 || n > EW__HEAD_DIM_MAX)
            return ew__fail(EW_FORMAT, "\"mrope_section\" has %lld in it", (long long)n);
        c->rope_sections[i] = (uint32_t)n;
    }
    return EW_OK;
}

static ew_status read_rope(const json_t *text, struct ew__config *c) {
    const json_t *rope = json_object_get(text, "rope_parameters");
    double partial = 0.25;
    c->rope_theta = 1e7;
    c->yarn = (struct ew__yarn){
        .factor = 1, .n_ctx_original = c->n_ctx_train, .beta_fast = 32, .beta_slow = 1};
    EW__TRY(ew__json_f64(text, "rope_theta", &c->rope_theta));
    EW__TRY(ew__json_f64(text, "partial_rotary_factor", &partial));
    if (rope == NULL)
        rope = json_object_get(text, "rope_scaling");
    if (rope != NULL && !json_is_object(rope) && !json_is_null(rope))
        return ew__fail(EW_FORMAT, "\"rope_parameters\" must be an object");
    EW__TRY(ew__json_f64(rope, "rope_theta", &c->rope_theta));
    EW__TRY(ew__json_f64(rope, "partial_rotary_factor", &partial));
    if (!(partial > 0 && partial <= 1))
        return ew__fail(EW_FORMAT, "\"partial_rotary_factor\" is %g, it must be in (0, 1]",
                        partial);
    if (c->head_dim > EW__HEAD_DIM_MAX)
        return ew__config_check(c);
    c->n_rot = (uint32_t)lround(c->head_dim * partial);
    EW__TRY(read_yarn(rope, c));
    return read_sections(rope, c);
}

static ew_status check_kind(const json_t *config, const json_t *text) {
    struct ew__str kind = ew__str("");
    uint32_t conv = 4;
    bool gate = true;
    EW__TRY(ew__json_str(config, "model_type", &kind));
    if (!ew__str_is(kind, "qwen3_5") && !ew__str_is(kind, "qwen3_5_text"))
        return ew__fail(EW_UNSUPPORTED, "model type \"%s\" is not Qwen3.5 (qwen3_5)",
                        ew__quote(kind.bytes, kind.n));
    EW__TRY(ew__json_u32(text, "linear_conv_kernel_dim", 0, UINT32_MAX, &conv));
    if (conv != 4)
        return ew__fail(EW_UNSUPPORTED, "convolution width %u is not supported, only 4", conv);
    EW__TRY(ew__json_bool(text, "attn_output_gate", &gate));
    if (!gate)
        return ew__fail(EW_UNSUPPORTED, "a checkpoint without the attention output gate");
    return EW_OK;
}

ew_status ew__config_from_hf(const json_t *config, struct ew__config *out) {
    *out = (struct ew__config){.v_heads_grouped = true, .eos = -1};
    const json_t *text = json_object_get(config, "text_config");
    if (text == NULL)
        text = config;
    if (!json_is_object(text))
        return ew__fail(EW_FORMAT, "\"text_config\" must be an object");
    EW__TRY(check_kind(config, text));
    EW__TRY(read_shape(text, out));
    EW__TRY(read_layer_kinds(text, out));
    EW__TRY(read_rope(text, out));
    EW__TRY(ew__json_bool(text, "tie_word_embeddings", &out->tied));
    EW__TRY(ew__json_bool(config, "tie_word_embeddings", &out->tied));
    uint32_t eos = UINT32_MAX;
    if (json_is_integer(json_object_get(text, "eos_token_id")))
        EW__TRY(ew__json_u32(text, "eos_token_id", 0, EW__VOCAB_MAX, &eos));
    out->eos = eos == UINT32_MAX ? -1 : (int32_t)eos;
    return ew__config_check(out);
}
