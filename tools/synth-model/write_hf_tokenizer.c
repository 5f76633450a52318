// SPDX-License-Identifier: Apache-2.0
#include "write.h"

#include "convert/spelling.h"

/* A JSON string of text in the byte alphabet or of an added token: only quotes and backslashes need
 * an escape. */
static void add_json(struct ew__buf *out, struct ew__str text) {
    (void)ew__buf_add(out, "\"", 1);
    for (size_t i = 0; i < text.n; i++) {
        if (text.bytes[i] == '"' || text.bytes[i] == '\\')
            (void)ew__buf_add(out, "\\", 1);
        (void)ew__buf_add(out, &text.bytes[i], 1);
    }
    (void)ew__buf_add(out, "\"", 1);
}

static void add_flags(struct ew__buf *out, uint32_t i) {
    add_json(out, ew__str(vocab_added[i].text));
    (void)ew__buf_add_format(out,
                             ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                             "\"normalized\": false, \"special\": %s}",
                             vocab_added[i].special ? "true" : "false");
}

/* The first 26 stand in tokenizer.json, all in tokenizer_config.json, as published. */
static void add_added(struct ew__buf *out, const struct vocab *vocab) {
    for (uint32_t i = 0; i < VOCAB_ADDED_LISTED; i++) {
        (void)ew__buf_add_format(out, "%s\n    {\"id\": %u, \"content\": ", i != 0 ? "," : "",
                                 vocab->n_base + i);
        add_flags(out, i);
    }
}

static const char split_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static void add_pipeline(struct ew__buf *out) {
    (void)ew__buf_add_text(out,
                           "\n  ],\n  \"normalizer\": {\"type\": \"NFC\"},\n"
                           "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                           "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    add_json(out, ew__str(split_pattern));
    (void)ew__buf_add_text(
        out,
        "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
        "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
        "\"use_regex\": false}\n  ]},\n"
        "  \"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": false, \"use_regex\": false},\n"
        "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": false, \"use_regex\": false},\n"
        "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
        "\"continuing_subword_prefix\": \"\", \"end_of_word_suffix\": \"\", \"fuse_unk\": false, "
        "\"byte_fallback\": false, \"ignore_merges\": false,\n    \"vocab\": {");
}

static void add_model(struct ew__buf *out, const struct vocab *vocab) {
    struct ew__spelling spelling;
    struct ew__buf text;
    ew__spelling_init(&spelling);
    ew__buf_init(&text, 4096);
    for (uint32_t id = 0; id < vocab->n_base; id++) {
        ew__buf_clear(&text);
        (void)ew__spell(&spelling, vocab->tokens[id], &text);
        (void)ew__buf_add_text(out, id != 0 ? ",\n      " : "\n      ");
        add_json(out, ew__buf_str(&text));
        (void)ew__buf_add_format(out, ": %u", id);
    }
    (void)ew__buf_add_text(out, "\n    },\n    \"merges\": [");
    for (uint32_t i = 0; i < vocab->n_merges; i++) {
        ew__buf_clear(&text);
        (void)ew__spell(&spelling, vocab->tokens[vocab->merges[i].left], &text);
        (void)ew__buf_add(&text, " ", 1);
        (void)ew__spell(&spelling, vocab->tokens[vocab->merges[i].right], &text);
        (void)ew__buf_add_text(out, i != 0 ? ",\n      " : "\n      ");
        add_json(out, ew__buf_str(&text));
    }
    (void)ew__buf_add_text(out, "\n    ]\n  }\n}\n");
    ew__buf_release(&text);
}

static void add_tokenizer_config(struct ew__buf *out, const struct vocab *vocab) {
    (void)ew__buf_add_text(out, "{\n  \"add_bos_token\": false,\n  \"add_prefix_space\": false,\n"
                                "  \"added_tokens_decoder\": {");
    for (uint32_t i = 0; i < VOCAB_ADDED_COUNT; i++) {
        (void)ew__buf_add_format(out, "%s\n    \"%u\": {\"content\": ", i != 0 ? "," : "",
                                 vocab->n_base + i);
        add_flags(out, i);
    }
    (void)ew__buf_add_text(out, "\n  },\n  \"bos_token\": null,\n"
                                "  \"clean_up_tokenization_spaces\": false,\n"
                                "  \"eos_token\": \"<|im_end|>\",\n"
                                "  \"model_max_length\": 262144,\n"
                                "  \"pad_token\": \"<|endoftext|>\",\n"
                                "  \"tokenizer_class\": \"Qwen2Tokenizer\",\n"
                                "  \"unk_token\": null\n}\n");
}

ew_status write_hf_tokenizer(const struct synth_job *job) {
    struct ew__buf text;
    ew__buf_init(&text, (size_t)1 << 28);
    (void)ew__buf_add_text(&text, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                                  "  \"padding\": null,\n  \"added_tokens\": [");
    add_added(&text, &job->vocab);
    add_pipeline(&text);
    add_model(&text, &job->vocab);
    ew_status status = ew__buf_status(&text);
    if (status == EW_OK)
        status = write_hf_file(job, "tokenizer.json", ew__buf_str(&text));
    ew__buf_clear(&text);
    add_tokenizer_config(&text, &job->vocab);
    if (status == EW_OK)
        status = write_hf_file(job, "tokenizer_config.json", ew__buf_str(&text));
    if (status == EW_OK)
        status = write_hf_file(job, "chat_template.jinja", ew__str(vocab_chat_template));
    ew__buf_release(&text);
    return status;
}
