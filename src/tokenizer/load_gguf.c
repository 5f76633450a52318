// SPDX-License-Identifier: Apache-2.0
/* The tokenizer.ggml.* keys of a GGUF file (docs/formats.md). */
#include "base/limits.h"
#include "base/log.h"
#include "tokenizer/vocab.h"

#include <inttypes.h>

/* tokenizer.ggml.token_type, ggml's llama_token_type */
enum {
    type_normal = 1,
    type_unknown = 2,
    type_control = 3,
    type_user_defined = 4,
    type_unused = 5,
    type_byte = 6
};

struct arrays {
    const struct ew__gguf_kv *tokens, *types, *merges;
};

static ew_status need_array(const struct ew__gguf *gguf, const char *key, bool strings,
                            const struct ew__gguf_kv **out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    if (kv == NULL)
        return ew__fail(EW_FORMAT, "the file has a tokenizer without \"%s\"", key);
    if (kv->type != EW__GGUF_ARRAY || (kv->element == EW__GGUF_STRING) != strings)
        return ew__fail(EW_FORMAT, "\"%s\" must be an array of %s", key,
                        strings ? "strings" : "integers");
    *out = kv;
    return EW_OK;
}

static ew_status find_arrays(const struct ew__gguf *gguf, struct arrays *arrays) {
    EW__TRY(need_array(gguf, "tokenizer.ggml.tokens", true, &arrays->tokens));
    EW__TRY(need_array(gguf, "tokenizer.ggml.token_type", false, &arrays->types));
    EW__TRY(need_array(gguf, "tokenizer.ggml.merges", true, &arrays->merges));
    if (arrays->types->count != arrays->tokens->count)
        return ew__fail(EW_FORMAT, "the file has %" PRIu64 " tokens, but token types for %" PRIu64,
                        arrays->tokens->count, arrays->types->count);
    if (arrays->tokens->count > EW__VOCAB_MAX || arrays->merges->count > EW__VOCAB_MAX)
        return ew__fail(EW_LIMIT,
                        "%" PRIu64 " tokens with %" PRIu64 " merges are too many, allowed are %u",
                        arrays->tokens->count, arrays->merges->count, EW__VOCAB_MAX);
    return EW_OK;
}

/* Files of the qwen35 architectures that name another rule were converted before the rule had a
 * name; theirs is qwen35 all the same, since the older one splits marks from their letters. */
static ew_status choose_rule(const struct ew__gguf *gguf, ew__split_rule *rule) {
    struct ew__str arch = ew__str(""), pre = ew__str("");
    EW__TRY(ew__gguf_str(gguf, "general.architecture", &arch));
    EW__TRY(ew__gguf_str(gguf, "tokenizer.ggml.pre", &pre));
    *rule = EW__SPLIT_QWEN35;
    if (ew__str_starts(arch, "qwen35") || ew__str_starts(arch, "qwen3_5")) {
        if (!ew__str_is(pre, "qwen35"))
            ew__log(EW__LOG_WARNING, "the file names the split rule \"%s\", qwen35 is used",
                    ew__quote(pre.bytes, pre.n));
        return EW_OK;
    }
    if (ew__str_is(pre, "qwen2"))
        *rule = EW__SPLIT_QWEN2;
    else if (!ew__str_is(pre, "qwen35"))
        return ew__fail(EW_UNSUPPORTED, "the split rule \"%s\" is not one of the Qwen family's",
                        ew__quote(pre.bytes, pre.n));
    return EW_OK;
}

static ew_status add_token(struct ew__draft *draft, uint64_t id, struct ew__str text,
                           int64_t type) {
    switch (type) {
    case type_normal:
        return ew__draft_entry(draft, id, text);
    case type_unknown:
    case type_control:
        return ew__draft_added(draft, id, text, EW__TOKEN_CONTROL);
    case type_user_defined:
        return ew__draft_added(draft, id, text, EW__TOKEN_USER);
    case type_unused:
        return ew__draft_unused(draft, id);
    default:
        return ew__fail(EW_UNSUPPORTED,
                        "token %" PRIu64 " has type %" PRId64 ", which a byte-level BPE has not",
                        id, type);
    }
}

static ew_status fill(struct ew__draft *draft, const struct arrays *arrays) {
    struct ew__str text;
    uint64_t id = 0;
    for (size_t at = 0; ew__gguf_next_string(arrays->tokens, &at, &text); id++) {
        int64_t type;
        if (!ew__gguf_element_i64(arrays->types, id, &type))
            return ew__fail(EW_FORMAT, "\"tokenizer.ggml.token_type\" must hold integers");
        EW__TRY(add_token(draft, id, text, type));
    }
    for (size_t at = 0; ew__gguf_next_string(arrays->merges, &at, &text);)
        EW__TRY(ew__draft_merge_line(draft, text));
    return ew__draft_end_merges(draft);
}

static ew_status read_id(const struct ew__gguf *gguf, const char *key, uint32_t n_tokens,
                         int32_t *id) {
    uint32_t value = UINT32_MAX;
    EW__TRY(ew__gguf_u32(gguf, key, 0, n_tokens == 0 ? 0 : n_tokens - 1, &value));
    *id = value == UINT32_MAX ? -1 : (int32_t)value;
    return EW_OK;
}

static ew_status read_ids(const struct ew__gguf *gguf, struct ew__tokenizer *t) {
    EW__TRY(read_id(gguf, "tokenizer.ggml.eos_token_id", t->n_tokens, &t->eos));
    EW__TRY(read_id(gguf, "tokenizer.ggml.padding_token_id", t->n_tokens, &t->pad));
    return read_id(gguf, "tokenizer.ggml.bos_token_id", t->n_tokens, &t->bos);
}

static ew_status build(const struct ew__gguf *gguf, struct ew__draft *draft,
                       const struct arrays *arrays, struct ew__tokenizer **out) {
    EW__TRY(ew__draft_begin(draft, arrays->tokens->raw.n, (size_t)arrays->tokens->count,
                            (size_t)arrays->merges->count));
    EW__TRY(choose_rule(gguf, &draft->tokenizer->rule));
    EW__TRY(fill(draft, arrays));
    EW__TRY(read_ids(gguf, draft->tokenizer));
    return ew__draft_finish(draft, out);
}

ew_status ew__tokenizer_from_gguf(const struct ew__gguf *gguf, struct ew__tokenizer **out) {
    struct ew__str model = ew__str("");
    struct ew__draft draft = {0};
    struct arrays arrays;
    *out = NULL;
    EW__TRY(ew__gguf_str(gguf, "tokenizer.ggml.model", &model));
    if (model.n == 0 && ew__gguf_find(gguf, "tokenizer.ggml.tokens") == NULL)
        return ew__fail(EW_NOT_FOUND, "the file has no tokenizer");
    if (!ew__str_is(model, "gpt2"))
        return ew__fail(EW_UNSUPPORTED, "the tokenizer model \"%s\" is not byte-level BPE (gpt2)",
                        ew__quote(model.bytes, model.n));
    EW__TRY(find_arrays(gguf, &arrays));
    ew_status status = build(gguf, &draft, &arrays, out);
    if (status != EW_OK)
        ew__draft_abandon(&draft);
    return ew__fail_in(status, "tokenizer");
}
