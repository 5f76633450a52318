// SPDX-License-Identifier: Apache-2.0
/* tokenizer.json of the Hugging Face tokenizers library. The family's documents use one pipeline;
 * anything else in them is refused with a sentence rather than approximated. */
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/os.h"
#include "tokenizer/json_scan.h"
#include "tokenizer/vocab.h"

#include <stdlib.h>

static const char file_name[] = "tokenizer.json";

/* The two large members of the document, as text. */
struct sections {
    struct ew__str vocab, merges;
};

typedef ew_status visit_member(void *context, struct ew__json_scan *scan, struct ew__str key);

/* Visits the members of the object that comes next; visit takes the value. */
static ew_status walk_object(struct ew__json_scan *scan, visit_member *visit, void *context) {
    EW__TRY(ew__json_scan_need(scan, '{'));
    if (ew__json_scan_take(scan, '}'))
        return EW_OK;
    do {
        struct ew__str key;
        EW__TRY(ew__json_scan_string(scan, &key));
        EW__TRY(ew__json_scan_need(scan, ':'));
        EW__TRY(visit(context, scan, key));
    } while (ew__json_scan_take(scan, ','));
    return ew__json_scan_need(scan, '}');
}

static ew_status find_in_model(void *context, struct ew__json_scan *scan, struct ew__str key) {
    struct sections *sections = context;
    struct ew__str *section = ew__str_is(key, "vocab")    ? &sections->vocab
                              : ew__str_is(key, "merges") ? &sections->merges
                                                          : NULL;
    ew__json_scan_peek(scan);
    const char *start = scan->at;
    EW__TRY(ew__json_scan_skip(scan));
    if (section != NULL)
        *section = ew__str_of(start, (size_t)(scan->at - start));
    return EW_OK;
}

static ew_status find_model(void *context, struct ew__json_scan *scan, struct ew__str key) {
    if (ew__str_is(key, "model") && ew__json_scan_peek(scan) == '{')
        return walk_object(scan, find_in_model, context);
    return ew__json_scan_skip(scan);
}

/* The document with `null` in place of the sections goes to the JSON library, which also finds the
 * errors of the rest, such as a member given twice. */
static ew_status parse_rest(struct ew__str text, const struct sections *sections, json_t **root) {
    struct ew__str cut[2] = {sections->vocab, sections->merges};
    struct ew__buf rest;
    if (cut[0].bytes > cut[1].bytes)
        cut[0] = sections->merges, cut[1] = sections->vocab;
    ew__buf_init(&rest, text.n + 8);
    const char *at = text.bytes, *end = text.bytes + text.n;
    for (int i = 0; i < 2; i++) {
        if (cut[i].n == 0)
            continue;
        ew__buf_add(&rest, at, (size_t)(cut[i].bytes - at));
        ew__buf_add_text(&rest, "null");
        at = cut[i].bytes + cut[i].n;
    }
    ew__buf_add(&rest, at, (size_t)(end - at));
    ew_status status = ew__buf_status(&rest);
    if (status == EW_OK)
        status = ew__json_parse(ew__buf_str(&rest).bytes, rest.n, file_name, root);
    ew__buf_release(&rest);
    return status;
}

static ew_status parse(struct ew__str text, struct sections *sections, json_t **root) {
    struct ew__json_scan scan;
    *sections = (struct sections){0};
    *root = NULL;
    ew__json_scan_init(&scan, text, file_name);
    bool found = walk_object(&scan, find_model, sections) == EW_OK;
    if (!found)
        *sections = (struct sections){0}; // whatever is wrong, the library says it better
    EW__TRY(parse_rest(text, sections, root));
    if (!found || !json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return ew__fail(EW_FORMAT, "%s is not one object", file_name);
    }
    return EW_OK;
}

/* The text of object[key] when it is a string, "" otherwise. */
static struct ew__str string_member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? ew__str_of(json_string_value(value), json_string_length(value))
                                 : ew__str_of("", 0);
}

static ew_status unsupported(const char *part, struct ew__str shown) {
    return ew__fail(EW_UNSUPPORTED, "the %s \"%s\" is not one of the Qwen family's", part,
                    ew__quote(shown.bytes, shown.n));
}

/* Fails unless object[key] is absent, null or false. */
static ew_status must_be_off(const json_t *object, const char *key, const char *part) {
    bool on = false;
    EW__TRY(ew__json_bool(object, key, &on));
    if (on)
        return ew__fail(EW_UNSUPPORTED, "%s with \"%s\" is not supported", part, key);
    return EW_OK;
}

static ew_status read_normalizer(const json_t *root, bool *compose) {
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (normalizer == NULL || json_is_null(normalizer)) {
        *compose = false;
        return EW_OK;
    }
    *compose = true;
    struct ew__str type = string_member(normalizer, "type");
    return ew__str_is(type, "NFC") ? EW_OK : unsupported("normalizer", type);
}

static ew_status read_split(const json_t *split, ew__split_rule *rule) {
    struct ew__str type = string_member(split, "type");
    if (!ew__str_is(type, "Split"))
        return unsupported("pre-tokenizer", type);
    struct ew__str regex = string_member(json_object_get(split, "pattern"), "Regex");
    struct ew__str behavior = string_member(split, "behavior");
    if (!ew__str_is(behavior, "Isolated"))
        return unsupported("split behavior", behavior);
    EW__TRY(must_be_off(split, "invert", "a split"));
    if (!ew__split_rule_by_regex(regex, rule))
        return ew__fail(EW_UNSUPPORTED, "the split rule %.*s is not one of the Qwen family's",
                        regex.n > 500 ? 500 : (int)regex.n, regex.bytes);
    return EW_OK;
}

static ew_status check_byte_level(const json_t *byte_level, const char *part) {
    struct ew__str type = string_member(byte_level, "type");
    return ew__str_is(type, "ByteLevel") ? EW_OK : unsupported(part, type);
}

static ew_status read_pre_tokenizer(const json_t *root, ew__split_rule *rule) {
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    const json_t *steps = json_object_get(pre, "pretokenizers");
    struct ew__str type = string_member(pre, "type");
    if (!ew__str_is(type, "Sequence") || json_array_size(steps) != 2)
        return unsupported("pre-tokenizer", type);
    EW__TRY(read_split(json_array_get(steps, 0), rule));
    const json_t *byte_level = json_array_get(steps, 1);
    EW__TRY(check_byte_level(byte_level, "pre-tokenizer"));
    EW__TRY(must_be_off(byte_level, "add_prefix_space", "a ByteLevel pre-tokenizer"));
    return must_be_off(byte_level, "use_regex", "a ByteLevel pre-tokenizer after a split");
}

static ew_status check_model(const json_t *root) {
    const json_t *model = json_object_get(root, "model");
    static const char *const off[] = {"byte_fallback", "ignore_merges"};
    static const char *const absent[] = {"dropout", "unk_token", "continuing_subword_prefix",
                                         "end_of_word_suffix"};
    if (!json_is_object(model))
        return ew__fail(EW_FORMAT, "there is no \"model\"");
    struct ew__str type = string_member(model, "type");
    if (!ew__str_is(type, "BPE"))
        return unsupported("model type", type);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        EW__TRY(must_be_off(model, off[i], "a BPE model"));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const json_t *value = json_object_get(model, absent[i]);
        bool empty = value == NULL || json_is_null(value) ||
                     (json_is_string(value) && json_string_length(value) == 0);
        if (!empty)
            return ew__fail(EW_UNSUPPORTED, "a BPE model with \"%s\" is not supported", absent[i]);
    }
    return EW_OK;
}

static ew_status check_outputs(const json_t *root) {
    const json_t *post = json_object_get(root, "post_processor");
    EW__TRY(check_byte_level(json_object_get(root, "decoder"), "decoder"));
    if (post == NULL || json_is_null(post))
        return EW_OK;
    return check_byte_level(post, "post-processor");
}

static ew_status visit_entry(void *context, struct ew__json_scan *scan, struct ew__str key) {
    char text[EW__TOKEN_BYTES_MAX * 2];
    uint64_t id;
    if (key.bytes == scan->text) { // the number leaves scan->text alone, but do not rely on it
        memcpy(text, key.bytes, key.n);
        key.bytes = text;
    }
    EW__TRY(ew__json_scan_u64(scan, &id));
    return ew__draft_entry(context, id, key);
}

static ew_status read_vocab(struct ew__draft *draft, struct ew__str text) {
    struct ew__json_scan scan;
    if (text.n == 0)
        return ew__fail(EW_FORMAT, "the model has no \"vocab\"");
    ew__json_scan_init(&scan, text, "model.vocab");
    return walk_object(&scan, visit_entry, draft);
}

/* ["left", "right"] */
static ew_status read_merge_pair(struct ew__draft *draft, struct ew__json_scan *scan) {
    char kept[sizeof scan->text];
    struct ew__str left, right;
    EW__TRY(ew__json_scan_need(scan, '['));
    EW__TRY(ew__json_scan_string(scan, &left));
    if (left.bytes == scan->text) { // the right side may overwrite it
        memcpy(kept, left.bytes, left.n);
        left.bytes = kept;
    }
    EW__TRY(ew__json_scan_need(scan, ','));
    EW__TRY(ew__json_scan_string(scan, &right));
    EW__TRY(ew__json_scan_need(scan, ']'));
    return ew__draft_merge(draft, left, right);
}

static ew_status read_merge(struct ew__draft *draft, struct ew__json_scan *scan) {
    struct ew__str line;
    if (ew__json_scan_peek(scan) == '[')
        return read_merge_pair(draft, scan);
    EW__TRY(ew__json_scan_string(scan, &line));
    return ew__draft_merge_line(draft, line);
}

static ew_status read_merges(struct ew__draft *draft, struct ew__str text) {
    struct ew__json_scan scan;
    if (text.n == 0)
        return ew__fail(EW_FORMAT, "the model has no \"merges\"");
    ew__json_scan_init(&scan, text, "model.merges");
    EW__TRY(ew__json_scan_need(&scan, '['));
    if (ew__json_scan_take(&scan, ']'))
        return ew__draft_end_merges(draft);
    do
        EW__TRY(read_merge(draft, &scan));
    while (ew__json_scan_take(&scan, ','));
    EW__TRY(ew__json_scan_need(&scan, ']'));
    return ew__draft_end_merges(draft);
}

static ew_status read_added_token(struct ew__draft *draft, uint64_t id, const json_t *token) {
    static const char *const flags[] = {"lstrip", "rstrip", "single_word", "normalized"};
    const json_t *content = json_object_get(token, "content");
    bool special = false;
    if (!json_is_string(content))
        return ew__fail(EW_FORMAT, "an added token has no \"content\"");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        EW__TRY(must_be_off(token, flags[i], "an added token"));
    EW__TRY(ew__json_bool(token, "special", &special));
    return ew__draft_added(draft, id, string_member(token, "content"),
                           special ? EW__TOKEN_CONTROL : EW__TOKEN_USER);
}

static ew_status read_added_tokens(struct ew__draft *draft, const json_t *root) {
    const json_t *list = json_object_get(root, "added_tokens");
    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return ew__fail(EW_FORMAT, "\"added_tokens\" must be an array");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i);
        uint64_t id = UINT64_MAX;
        EW__TRY(ew__json_u64(token, "id", 0, EW__VOCAB_MAX - 1, &id));
        if (id == UINT64_MAX)
            return ew__fail(EW_FORMAT, "an added token has no \"id\"");
        EW__TRY(read_added_token(draft, id, token));
    }
    return EW_OK;
}

/* tokenizer_config.json names each added token again and, for this family, some more. */
static ew_status read_decoder_entry(struct ew__draft *draft, const char *key, json_t *token) {
    char *end;
    unsigned long long id = strtoull(key, &end, 10);
    if (*key < '0' || *key > '9' || *end != '\0' || id >= EW__VOCAB_MAX)
        return ew__fail(EW_FORMAT, "added_tokens_decoder has the key \"%s\", which is no token id",
                        ew__quote(key, strlen(key)));
    ew__token_kind kind;
    struct ew__str known = ew__tokenizer_token(draft->tokenizer, (int32_t)id, &kind);
    if ((kind == EW__TOKEN_CONTROL || kind == EW__TOKEN_USER) &&
        ew__str_equal(known, string_member(token, "content")))
        return EW_OK;
    return read_added_token(draft, id, token);
}

static ew_status read_added_tokens_decoder(struct ew__draft *draft, json_t *config) {
    json_t *decoder = json_object_get(config, "added_tokens_decoder"), *token;
    const char *key;
    if (decoder != NULL && !json_is_null(decoder) && !json_is_object(decoder))
        return ew__fail(EW_FORMAT, "\"added_tokens_decoder\" must be an object");
    json_object_foreach(decoder, key, token) EW__TRY(read_decoder_entry(draft, key, token));
    return EW_OK;
}

/* Upper bound of the bytes that the added tokens of tokenizer_config.json bring. */
static size_t decoder_text_bytes(json_t *config) {
    json_t *token;
    const char *key;
    size_t n = 0;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, token) n +=
        string_member(token, "content").n;
    return n;
}

/* eos_token and the like: a string, or an object with "content". */
static int32_t named_token(const struct ew__tokenizer *tokenizer, const json_t *config,
                           const char *key) {
    const json_t *value = json_object_get(config, key);
    struct ew__str text =
        json_is_object(value) ? string_member(value, "content") : string_member(config, key);
    int32_t id = text.n != 0 ? ew__tokenizer_added(tokenizer, text) : -1;
    if (text.n != 0 && id < 0)
        ew__log(EW__LOG_WARNING, "tokenizer_config.json: %s \"%s\" is not an added token", key,
                ew__quote(text.bytes, text.n));
    return id;
}

static ew_status fill(struct ew__draft *draft, const json_t *root, const struct sections *sections,
                      json_t *config) {
    bool compose;
    ew__split_rule rule;
    EW__TRY(check_model(root));
    EW__TRY(read_normalizer(root, &compose));
    EW__TRY(read_pre_tokenizer(root, &rule));
    EW__TRY(check_outputs(root));
    draft->tokenizer->compose = compose;
    draft->tokenizer->rule = rule;
    EW__TRY(read_vocab(draft, sections->vocab));
    EW__TRY(read_merges(draft, sections->merges));
    EW__TRY(read_added_tokens(draft, root));
    return ew__fail_in(read_added_tokens_decoder(draft, config), "tokenizer_config.json");
}

static ew_status build(struct ew__str text, json_t *config, struct ew__tokenizer **out) {
    struct sections sections;
    json_t *root;
    struct ew__draft draft;
    *out = NULL;
    EW__TRY(parse(text, &sections, &root));
    ew_status status =
        ew__draft_begin(&draft, text.n + decoder_text_bytes(config),
                        sections.vocab.n != 0 ? ew__json_scan_count(sections.vocab) : 0,
                        sections.merges.n != 0 ? ew__json_scan_count(sections.merges) : 0);
    if (status == EW_OK)
        status = fill(&draft, root, &sections, config);
    if (status == EW_OK)
        status = ew__draft_finish(&draft, out);
    if (status != EW_OK)
        ew__draft_abandon(&draft);
    json_decref(root);
    return ew__fail_in(status, "%s", file_name);
}

ew_status ew__tokenizer_from_json(const char *bytes, size_t n, struct ew__tokenizer **out) {
    return build(ew__str_of(bytes, n), NULL, out);
}

ew_status ew__tokenizer_from_hf(const struct ew__hf_folder *folder, struct ew__tokenizer **out) {
    struct ew__buf path, text;
    *out = NULL;
    ew__buf_init(&path, 65536);
    ew_status status = ew__buf_add_format(&path, "%s/%s", folder->path, file_name);
    if (status == EW_OK && !ew__path_exists(path.bytes))
        status = ew__fail(EW_NOT_FOUND, "%s has no %s", folder->path, file_name);
    if (status == EW_OK)
        status = ew__file_read(path.bytes, EW__JSON_BYTES_MAX, &text);
    ew__buf_release(&path);
    EW__TRY(status);
    status = build(ew__buf_str(&text), folder->tokenizer_config, out);
    ew__buf_release(&text);
    if (status == EW_OK && *out != NULL) {
        (*out)->eos = named_token(*out, folder->tokenizer_config, "eos_token");
        (*out)->pad = named_token(*out, folder->tokenizer_config, "pad_token");
        (*out)->bos = named_token(*out, folder->tokenizer_config, "bos_token");
    }
    return status;
}
