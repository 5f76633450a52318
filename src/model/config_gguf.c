// SPDX-License-Identifier: Apache-2.0
/* Metadata of GGUF architecture "qwen35"; both spellings found in the wild are read. */
#include "model/config.h"

#include <stdio.h>

#define PREFIX "qwen35."

static ew_status required(const struct ew__gguf *gguf, const char *key, uint32_t *out) {
    if (ew__gguf_find(gguf, key) == NULL)
        return ew__fail(EW_FORMAT, "the metadata lacks \"%s\"", key);
    return ew__gguf_u32(gguf, key, 0, UINT32_MAX, out);
}

/* head_count and head_count_kv: one number, or one per layer with 0 for the DeltaNet layers. */
static ew_status read_heads(const struct ew__gguf *gguf, const char *key, uint32_t *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    if (kv == NULL || kv->type != EW__GGUF_ARRAY)
        return required(gguf, key, out);
    *out = 0;
    for (uint64_t i = 0; i < kv->count; i++) {
        int64_t n;
        if (!ew__gguf_element_i64(kv, i, &n) || n < 0 || n > EW__HEADS_MAX)
            return ew__fail(EW_FORMAT, "\"%s\" has an element out of range", key);
        if (n != 0 && *out != 0 && n != *out)
            return ew__fail(EW_UNSUPPORTED, "\"%s\" differs between layers", key);
        if (n != 0)
            *out = (uint32_t)n;
    }
    return EW_OK;
}

static ew_status read_layer_kinds(const struct ew__gguf *gguf, struct ew__config *c) {
    uint32_t interval = 4;
    EW__TRY(ew__gguf_u32(gguf, PREFIX "full_attention_interval", 1, EW__LAYERS_MAX, &interval));
    const struct ew__gguf_kv *recurrent = ew__gguf_find(gguf, PREFIX "attention.recurrent_layers");
    if (recurrent != NULL && (recurrent->type != EW__GGUF_ARRAY || recurrent->count < c->n_layer))
        return ew__fail(EW_FORMAT, "\"" PREFIX "attention.recurrent_layers\" must list %u layers",
                        c->n_layer);
    for (uint32_t i = 0; i < c->n_layer; i++) {
        int64_t is_recurrent = (i + 1) % interval != 0;
        if (recurrent != NULL && !ew__gguf_element_i64(recurrent, i, &is_recurrent))
            return ew__fail(EW_FORMAT,
                            "\"" PREFIX "attention.recurrent_layers\" must hold booleans");
        c->is_full[i] = is_recurrent == 0;
    }
    return EW_OK;
}

static ew_status read_layers(const struct ew__gguf *gguf, struct ew__config *c) {
    uint32_t blocks = 0;
    EW__TRY(required(gguf, PREFIX "block_count", &blocks));
    EW__TRY(ew__gguf_u32(gguf, PREFIX "nextn_predict_layers", 0, 8, &c->n_mtp));
    if (blocks <= c->n_mtp || blocks - c->n_mtp > EW__LAYERS_MAX)
        return ew__fail(EW_FORMAT, "%u blocks with %u MTP blocks among them is out of range",
                        blocks, c->n_mtp);
    c->n_layer = blocks - c->n_mtp;
    return read_layer_kinds(gguf, c);
}

static ew_status read_attention(const struct ew__gguf *gguf, struct ew__config *c) {
    uint32_t value_length = 0;
    EW__TRY(read_heads(gguf, PREFIX "attention.head_count", &c->n_head));
    EW__TRY(read_heads(gguf, PREFIX "attention.head_count_kv", &c->n_head_kv));
    EW__TRY(required(gguf, PREFIX "attention.key_length", &c->head_dim));
    value_length = c->head_dim;
    EW__TRY(ew__gguf_u32(gguf, PREFIX "attention.value_length", 0, UINT32_MAX, &value_length));
    if (value_length != c->head_dim)
        return ew__fail(EW_UNSUPPORTED, "key length %u and value length %u differ", c->head_dim,
                        value_length);
    return EW_OK;
}

static ew_status read_delta(const struct ew__gguf *gguf, struct ew__config *c) {
    uint32_t conv = 0, inner = 0;
    EW__TRY(required(gguf, PREFIX "ssm.conv_kernel", &conv));
    EW__TRY(required(gguf, PREFIX "ssm.state_size", &c->k_head_dim));
    EW__TRY(required(gguf, PREFIX "ssm.group_count", &c->n_k_head));
    EW__TRY(required(gguf, PREFIX "ssm.time_step_rank", &c->n_v_head));
    EW__TRY(required(gguf, PREFIX "ssm.inner_size", &inner));
    if (conv != 4)
        return ew__fail(EW_UNSUPPORTED, "convolution width %u is not supported, only 4", conv);
    if (c->n_v_head == 0 || inner % c->n_v_head != 0)
        return ew__fail(EW_FORMAT, "\"" PREFIX "ssm.inner_size\" %u is no multiple of %u heads",
                        inner, c->n_v_head);
    c->v_head_dim = inner / c->n_v_head;
    return EW_OK;
}

/* Sections: 4 numbers (T, H, W and an unused one), 3 in some third-party files. Without them every
 * frequency is driven by T, which is the same for text. */
static ew_status read_sections(const struct ew__gguf *gguf, struct ew__config *c) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, PREFIX "rope.dimension_sections");
    c->rope_sections[0] = c->n_rot / 2;
    if (kv == NULL)
        return EW_OK;
    if (kv->type != EW__GGUF_ARRAY || kv->count < 3 || kv->count > 4)
        return ew__fail(EW_FORMAT,
                        "\"" PREFIX "rope.dimension_sections\" must have 3 or 4 numbers");
    for (uint64_t i = 0; i < kv->count; i++) {
        int64_t n;
        if (!ew__gguf_element_i64(kv, i, &n) || n < 0 || n > EW__HEAD_DIM_MAX || (i == 3 && n != 0))
            return ew__fail(EW_FORMAT, "\"" PREFIX "rope.dimension_sections\" is out of range");
        if (i < 3)
            c->rope_sections[i] = (uint32_t)n;
    }
    return EW_OK;
}

static ew_status read_rope(const struct ew__gguf *gguf, struct ew__config *c) {
    struct ew__str scaling = ew__str("none");
    c->rope_theta = 1e7;
    c->n_rot = c->head_dim / 4;
    c->yarn = (struct ew__yarn){
        .factor = 1, .n_ctx_original = c->n_ctx_train, .beta_fast = 32, .beta_slow = 1};
    EW__TRY(ew__gguf_f64(gguf, PREFIX "rope.freq_base", &c->rope_theta));
    EW__TRY(ew__gguf_u32(gguf, PREFIX "rope.dimension_count", 2, EW__HEAD_DIM_MAX, &c->n_rot));
    EW__TRY(ew__gguf_str(gguf, PREFIX "rope.scaling.type", &scaling));
    if (ew__str_is(scaling, "yarn")) {
        EW__TRY(ew__gguf_f64(gguf, PREFIX "rope.scaling.factor", &c->yarn.factor));
        EW__TRY(ew__gguf_u32(gguf, PREFIX "rope.scaling.original_context_length", 1,
                             EW__CONTEXT_MAX, &c->yarn.n_ctx_original));
        EW__TRY(ew__gguf_f64(gguf, PREFIX "rope.scaling.attn_factor", &c->yarn.attention_factor));
        EW__TRY(ew__gguf_f64(gguf, PREFIX "rope.scaling.yarn_beta_fast", &c->yarn.beta_fast));
        EW__TRY(ew__gguf_f64(gguf, PREFIX "rope.scaling.yarn_beta_slow", &c->yarn.beta_slow));
    } else if (!ew__str_is(scaling, "none")) {
        return ew__fail(EW_UNSUPPORTED, "rope scaling \"%s\" is not supported, only none and yarn",
                        ew__quote(scaling.bytes, scaling.n));
    }
    return read_sections(gguf, c);
}

ew_status ew__config_from_gguf(const struct ew__gguf *gguf, struct ew__config *out) {
    struct ew__str arch = ew__str("");
    double eps = 1e-6;
    uint32_t eos = UINT32_MAX;
    *out = (struct ew__config){.eos = -1};
    EW__TRY(ew__gguf_str(gguf, "general.architecture", &arch));
    if (!ew__str_is(arch, "qwen35"))
        return ew__fail(EW_UNSUPPORTED, "architecture \"%s\" is not Qwen3.5 (qwen35)",
                        ew__quote(arch.bytes, arch.n));
    EW__TRY(read_layers(gguf, out));
    EW__TRY(required(gguf, PREFIX "context_length", &out->n_ctx_train));
    EW__TRY(required(gguf, PREFIX "embedding_length", &out->n_embd));
    EW__TRY(required(gguf, PREFIX "feed_forward_length", &out->n_ff));
    EW__TRY(ew__gguf_u32(gguf, PREFIX "vocab_size", 0, UINT32_MAX, &out->n_vocab));
    EW__TRY(ew__gguf_f64(gguf, PREFIX "attention.layer_norm_rms_epsilon", &eps));
    out->rms_eps = (float)eps;
    EW__TRY(read_attention(gguf, out));
    EW__TRY(read_delta(gguf, out));
    EW__TRY(read_rope(gguf, out));
    EW__TRY(ew__gguf_u32(gguf, "tokenizer.ggml.eos_token_id", 0, EW__VOCAB_MAX, &eos));
    out->eos = eos == UINT32_MAX ? -1 : (int32_t)eos;
    return ew__config_check(out);
}
