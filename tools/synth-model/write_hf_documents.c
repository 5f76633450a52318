// SPDX-License-Identifier: Apache-2.0
/* config.json, generation_config.json and preprocessor_config.json in the published nesting. */
#include "write.h"

#include "base/buf.h"

static const char *type_word(const struct recipe *recipe) {
    return recipe->base == EW__F32 ? "float32" : recipe->base == EW__F16 ? "float16" : "bfloat16";
}

static void add_layer_types(struct ew__buf *text, const struct ew__config *c) {
    (void)ew__buf_add_text(text, "    \"layer_types\": [");
    for (uint32_t i = 0; i < c->n_layer; i++)
        (void)ew__buf_add_format(text, "%s\n      \"%s\"", i != 0 ? "," : "",
                                 c->is_full[i] ? "full_attention" : "linear_attention");
    (void)ew__buf_add_text(text, "\n    ],\n");
}

static void add_text_config(struct ew__buf *text, const struct synth_job *job, uint32_t eos) {
    const struct ew__config *c = &job->shape.config;
    (void)ew__buf_add_format(
        text,
        "  \"text_config\": {\n    \"attention_bias\": false,\n    \"attention_dropout\": 0.0,\n"
        "    \"attn_output_gate\": true,\n    \"dtype\": \"%s\",\n    \"eos_token_id\": %u,\n"
        "    \"full_attention_interval\": 4,\n    \"head_dim\": %u,\n    \"hidden_act\": "
        "\"silu\",\n"
        "    \"hidden_size\": %u,\n    \"initializer_range\": 0.02,\n    \"intermediate_size\": "
        "%u,\n",
        type_word(job->recipe), eos, c->head_dim, c->n_embd, c->n_ff);
    add_layer_types(text, c);
    (void)ew__buf_add_format(
        text,
        "    \"linear_conv_kernel_dim\": 4,\n    \"linear_key_head_dim\": %u,\n"
        "    \"linear_num_key_heads\": %u,\n    \"linear_num_value_heads\": %u,\n"
        "    \"linear_value_head_dim\": %u,\n    \"mamba_ssm_dtype\": \"float32\",\n"
        "    \"max_position_embeddings\": %u,\n    \"model_type\": \"qwen3_5_text\",\n"
        "    \"mtp_num_hidden_layers\": %u,\n    \"mtp_use_dedicated_embeddings\": false,\n"
        "    \"num_attention_heads\": %u,\n    \"num_hidden_layers\": %u,\n"
        "    \"num_key_value_heads\": %u,\n    \"rms_norm_eps\": 1e-06,\n"
        "    \"tie_word_embeddings\": %s,\n    \"vocab_size\": %u,\n",
        c->k_head_dim, c->n_k_head, c->n_v_head, c->v_head_dim, c->n_ctx_train, c->n_mtp, c->n_head,
        c->n_layer, c->n_head_kv, c->tied ? "true" : "false", c->n_vocab);
    (void)ew__buf_add_format(
        text,
        "    \"rope_parameters\": {\n      \"mrope_interleaved\": true,\n"
        "      \"mrope_section\": [%u, %u, %u],\n      \"partial_rotary_factor\": 0.25,\n"
        "      \"rope_theta\": 10000000,\n      \"rope_type\": \"default\"\n    }\n  },\n",
        c->rope_sections[0], c->rope_sections[1], c->rope_sections[2]);
}

static void add_vision_config(struct ew__buf *text, const struct synth_job *job) {
    const struct vision_shape *v = &job->shape.vision;
    (void)ew__buf_add_format(
        text,
        "  \"image_token_id\": %u,\n  \"video_token_id\": %u,\n  \"vision_start_token_id\": %u,\n"
        "  \"vision_end_token_id\": %u,\n",
        vocab_added_id(&job->vocab, "<|image_pad|>"), vocab_added_id(&job->vocab, "<|video_pad|>"),
        vocab_added_id(&job->vocab, "<|vision_start|>"),
        vocab_added_id(&job->vocab, "<|vision_end|>"));
    (void)ew__buf_add_format(
        text,
        "  \"vision_config\": {\n    \"deepstack_visual_indexes\": [],\n    \"depth\": %u,\n"
        "    \"hidden_act\": \"gelu_pytorch_tanh\",\n    \"hidden_size\": %u,\n"
        "    \"in_channels\": 3,\n    \"initializer_range\": 0.02,\n    \"intermediate_size\": "
        "%u,\n"
        "    \"model_type\": \"qwen3_5\",\n    \"num_heads\": %u,\n"
        "    \"num_position_embeddings\": %u,\n    \"out_hidden_size\": %u,\n"
        "    \"patch_size\": 16,\n    \"spatial_merge_size\": 2,\n    \"temporal_patch_size\": 2\n"
        "  },\n",
        v->depth, v->hidden_size, v->intermediate_size, v->num_heads, v->num_position_embeddings,
        job->shape.config.n_embd);
}

static void add_config(struct ew__buf *text, const struct synth_job *job) {
    bool has_vocab = job->vocab.n_total != 0;
    (void)ew__buf_add_text(text, "{\n  \"architectures\": [\"Qwen3_5ForConditionalGeneration\"],\n"
                                 "  \"model_type\": \"qwen3_5\",\n");
    add_text_config(text, job,
                    has_vocab ? vocab_added_id(&job->vocab, "<|endoftext|>")
                              : job->shape.config.n_vocab - 1);
    if (job->shape.has_vision)
        add_vision_config(text, job);
    (void)ew__buf_add_format(text,
                             "  \"tie_word_embeddings\": %s,\n"
                             "  \"transformers_version\": \"5.16.0.dev0\"\n}\n",
                             job->shape.config.tied ? "true" : "false");
}

static void add_generation(struct ew__buf *text, const struct synth_job *job) {
    uint32_t end = vocab_added_id(&job->vocab, "<|im_end|>");
    uint32_t pad = vocab_added_id(&job->vocab, "<|endoftext|>");
    (void)ew__buf_add_format(text,
                             "{\n  \"do_sample\": true,\n  \"eos_token_id\": [%u, %u],\n"
                             "  \"pad_token_id\": %u,\n  \"temperature\": 1.0,\n  \"top_k\": 20,\n"
                             "  \"top_p\": 0.95\n}\n",
                             end, pad, pad);
}

static void add_preprocessor(struct ew__buf *text, const struct synth_job *job) {
    (void)job;
    (void)ew__buf_add_text(text,
                           "{\n  \"image_mean\": [0.5, 0.5, 0.5],\n"
                           "  \"image_processor_type\": \"Qwen2VLImageProcessorFast\",\n"
                           "  \"image_std\": [0.5, 0.5, 0.5],\n  \"merge_size\": 2,\n"
                           "  \"patch_size\": 16,\n  \"processor_class\": \"Qwen3VLProcessor\",\n"
                           "  \"size\": {\"longest_edge\": 16777216, \"shortest_edge\": 65536},\n"
                           "  \"temporal_patch_size\": 2\n}\n");
}

typedef void document(struct ew__buf *text, const struct synth_job *job);

static ew_status write_document(const struct synth_job *job, const char *name, document *fill) {
    struct ew__buf text;
    ew__buf_init(&text, 1 << 20);
    fill(&text, job);
    ew_status status = ew__buf_status(&text);
    if (status == EW_OK)
        status = write_hf_file(job, name, ew__buf_str(&text));
    ew__buf_release(&text);
    return status;
}

ew_status write_hf_documents(const struct synth_job *job) {
    EW__TRY(write_document(job, "config.json", add_config));
    if (job->vocab.n_total != 0)
        EW__TRY(write_document(job, "generation_config.json", add_generation));
    if (job->shape.has_vision)
        EW__TRY(write_document(job, "preprocessor_config.json", add_preprocessor));
    return EW_OK;
}
