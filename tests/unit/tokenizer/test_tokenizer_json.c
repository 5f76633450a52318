// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "support/small_tokenizer.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>

/* tokenizer.json: what is refused and how it says so, and the checkpoint folder around it. */

static void expect_failure(const char *json, size_t n, const char *sentence) {
    struct ew__tokenizer *tokenizer = (struct ew__tokenizer *)&tokenizer;
    ew_status status = ew__tokenizer_from_json(json, n, &tokenizer);
    assert_int_not_equal(status, EW_OK);
    assert_null(tokenizer);
    if (strstr(ew_last_error(), sentence) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", ew_last_error(), sentence);
}

struct defect {
    const char *from, *to, *sentence;
};

static const struct defect defects[] = {
    // the model
    {"\"model\":{", "\"moodel\":{", "tokenizer.json: there is no \"model\""},
    {"\"model\":{", "\"model\":3,\"x\":{", "tokenizer.json: there is no \"model\""},
    {"\"BPE\"", "\"Unigram\"", "the model type \"Unigram\" is not one of the Qwen family's"},
    {"\"unk_token\":null", "\"unk_token\":\"<unk>\"", "a BPE model with \"unk_token\""},
    {"\"dropout\":null", "\"dropout\":0.1", "a BPE model with \"dropout\""},
    {"\"dropout\":null", "\"byte_fallback\":true", "a BPE model with \"byte_fallback\""},
    {"\"dropout\":null", "\"ignore_merges\":true", "a BPE model with \"ignore_merges\""},
    {"\"dropout\":null", "\"ignore_merges\":7", "\"ignore_merges\" must be true or false"},
    {"\"dropout\":null", "\"continuing_subword_prefix\":\"##\"",
     "a BPE model with \"continuing_subword_prefix\""},
    {"\"vocab\":{", "\"vocab\":{},\"words\":{", "its left side is not in the vocabulary"},
    {"\"vocab\":{", "\"words\":{", "the model has no \"vocab\""},
    {"\"merges\":[", "\"pairs\":[", "the model has no \"merges\""},
    {"\"merges\":[", "\"merges\":{},\"x\":[", "expected '[' (in model.merges"},
    {"\"vocab\":{", "\"vocab\":[],\"x\":{", "expected '{' (in model.vocab"},
    {"\"vocab\":{", "\"vocab\":{},\"vocab\":{", "not valid JSON: duplicate object key"},
    // the vocabulary
    {"\"he\":256", "\"he\":\"x\"", "expected a whole number (in model.vocab"},
    {"\"he\":256", "\"he\":-256", "expected a whole number (in model.vocab"},
    {"\"he\":256", "\"he\":256.5", "expected a whole number (in model.vocab"},
    {"\"he\":256", "\"he\":99999999999", "a number is too large (in model.vocab"},
    {"\"he\":256", "\"he\":4194304", "token id 4194304 is too large, the last allowed is 4194303"},
    {"\"he\":256", "\"he\":255", "token id 255 is given twice"},
    {"\"he\":256", "\"ll\":256", "the token \"ll\" appears twice in the vocabulary"},
    {"\"he\":256", "\"\":256", "token 256 is empty"},
    {"\"he\":256", "\"h e\":256", "token 256 \"h e\" has a character outside the byte alphabet"},
    {"\"he\":256", "\"漢\":256", "has a character outside the byte alphabet"},
    {"\"he\":256", "\"\\ud800\":256", "bad escape or control character"},
    {"\"he\":256", "\"\\ud83d\\ude42\":256", "has a character outside the byte alphabet"},
    {"\"he\":256", "\"\\q\":256", "bad escape or control character"},
    {"\"he\":256", "\"h\ne\":256", "bad escape or control character"},
    {"\"he\":256", "256:\"he\"", "expected a string (in model.vocab"},
    {"\"he\":256", "\"he\" 256", "expected ':' (in model.vocab"},
    {"\"b\":98,", "", "the vocabulary has no token for the byte 0x62"},
    // the merges
    {"\"l l\"", "\"l x\"", "merge 1 \"l\" + \"x\": its result is not in the vocabulary"},
    {"\"l l\"", "\"lx l\"", "merge 1 \"lx\" + \"l\": its left side is not in the vocabulary"},
    {"\"l l\"", "\"l lx\"", "merge 1 \"l\" + \"lx\": its right side is not in the vocabulary"},
    {"\"l l\"", "\"ll\"", "merge 1 \"ll\" is not two tokens with a space between"},
    {"\"l l\"", "\" ll\"", "merge 1 \" ll\" is not two tokens with a space between"},
    {"\"l l\"", "\"ll \"", "merge 1 \"ll \" is not two tokens with a space between"},
    {"\"l l\"", "\"l l l\"", "merge 1 \"l\" + \"l l\" is not in the byte alphabet"},
    {"\"l l\"", "\"h e\"", "merge 1 \"h\" + \"e\" appears twice"},
    {"\"l l\"", "7", "expected a string (in model.merges"},
    {"\"l l\"", "[\"l\"]", "expected ',' (in model.merges"},
    {"\"l l\"", "[\"l\",\"l\",\"l\"]", "expected ']' (in model.merges"},
    {"\"l l\"", "[\"l\",7]", "expected a string (in model.merges"},
    // the pipeline
    {"\"NFC\"", "\"NFKC\"", "the normalizer \"NFKC\" is not one of the Qwen family's"},
    {"\"Isolated\"", "\"Removed\"", "the split behavior \"Removed\""},
    {"\"invert\":false", "\"invert\":true", "a split with \"invert\""},
    {"\\\\p{N}|", "\\\\p{N}{1,3}|", "the split rule (?i:'s|"},
    {"\\\\p{N}|", "\\\\p{N}{1,3}|", "\\p{N}{1,3}| ?"},
    {"\"type\":\"Split\"", "\"type\":\"Whitespace\"", "the pre-tokenizer \"Whitespace\""},
    {"\"type\":\"Sequence\"", "\"type\":\"Metaspace\"", "the pre-tokenizer \"Metaspace\""},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "with \"add_prefix_space\""},
    {"\"use_regex\":false", "\"use_regex\":true", "with \"use_regex\""},
    {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"WordPiece\"}",
     "the decoder \"WordPiece\""},
    {"\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":null", "the decoder \"\""},
    {"\"post_processor\":{\"type\":\"ByteLevel\"}",
     "\"post_processor\":{\"type\":\"TemplateProcessing\"}",
     "the post-processor \"TemplateProcessing\""},
    // added tokens
    {"\"lstrip\":false", "\"lstrip\":true", "an added token with \"lstrip\""},
    {"\"rstrip\":false", "\"rstrip\":true", "an added token with \"rstrip\""},
    {"\"single_word\":false", "\"single_word\":true", "an added token with \"single_word\""},
    {"\"normalized\":false", "\"normalized\":true", "an added token with \"normalized\""},
    {"\"special\":true", "\"special\":\"yes\"", "\"special\" must be true or false"},
    {"\"id\":270", "\"id\":-1", "\"id\" is -1, allowed are 0 to 4194303"},
    {"\"id\":270", "\"id\":4194304", "\"id\" is 4194304, allowed are 0 to 4194303"},
    {"\"id\":270,", "", "an added token has no \"id\""},
    {"\"id\":270", "\"id\":271", "token id 271 is given twice"},
    {"\"id\":270", "\"id\":97", "token id 97 is given twice, to \"a\" and to \"<|im_start|>\""},
    {"<|im_start|>", "<|im_end|>", "the added token \"<|im_end|>\" has two ids, 270 and 271"},
    {"<|im_start|>", "", "token 270 is empty"},
    {"\"content\":\"<|im_start|>\"", "\"content\":5", "an added token has no \"content\""},
    {"\"added_tokens\":[", "\"added_tokens\":5,\"x\":[", "\"added_tokens\" must be an array"},
    // the JSON itself
    {"\"version\"", "version", "not valid JSON"},
    {"}}", "}", "not valid JSON"},
    {"\"version\":\"1.0\"", "\"version\":\"\\q\"", "not valid JSON"},
};

static void each_defect_has_its_sentence(void **state) {
    (void)state;
    char *json = small_tokenizer_json();
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        char *broken = replaced(json, defects[i].from, defects[i].to);
        expect_failure(broken, strlen(broken), defects[i].sentence);
        free(broken);
    }
    free(json);
}

static void other_documents_are_refused(void **state) {
    (void)state;
    expect_failure("", 0, "tokenizer.json: not valid JSON");
    expect_failure("[1,2]", 5, "tokenizer.json is not one object");
    expect_failure("{}", 2, "there is no \"model\"");
    expect_failure("{\"model\":", 9, "not valid JSON");
    expect_failure("{\"model\":{\"vocab\":{\"", 20, "not valid JSON");
    expect_failure("\xFF\xFE{}", 4, "not valid JSON");
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    char *json = small_tokenizer_json();
    for (size_t n = 0; n < strlen(json); n++) {
        char *part = malloc(n + 1); // of its own, so that a sanitizer sees the end
        memcpy(part, json, n);
        expect_failure(part, n, "");
        free(part);
    }
    free(json);
}

static void a_long_token_is_refused(void **state) {
    (void)state;
    char *json = small_tokenizer_json(), *text = malloc(EW__TOKEN_BYTES_MAX * 3 + 100);
    for (int escaped = 0; escaped < 2; escaped++) {
        size_t n = EW__TOKEN_BYTES_MAX * 2 + 100;
        text[0] = '"';
        memset(text + 1, 'h', n);
        snprintf(text + 1 + n, 100, "%s\":256", escaped ? "\\u0068" : "");
        char *broken = replaced(json, "\"he\":256", text);
        expect_failure(broken, strlen(broken),
                       escaped ? "a string is too long" : "token 256 has 8292 bytes");
        free(broken);
    }
    free(text);
    free(json);
}

/* Escapes, white space and order of members are JSON's business, not the tokenizer's. */
static void spelling_does_not_matter(void **state) {
    (void)state;
    static const struct defect spellings[] = {
        {"\"he\":256", "\"\\u0068e\" : 256\n", NULL},
        {"[\"h\",\"e\"]", "[ \"\\u0068\" ,\t\"\\u0065\" ]", NULL},
        {"\"model\":{", "\"model\" :\r\n { \"note\":{\"vocab\":[1]}, ", NULL},
        {"\"version\":\"1.0\"", "\"version\":\"]}\\\"\"", NULL},
        {"\"model\"", "\"\\u006dodel\"", NULL},
        {"\"normalizer\":{\"type\":\"NFC\"}", "\"normalizer\":null", NULL},
        {"\"post_processor\":{\"type\":\"ByteLevel\"}", "\"post_processor\":null", NULL},
    };
    char *json = small_tokenizer_json();
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        char *text = replaced(json, spellings[i].from, spellings[i].to);
        struct ew__tokenizer *tokenizer;
        int32_t *ids = NULL;
        size_t count = 0, capacity = 0;
        if (ew__tokenizer_from_json(text, strlen(text), &tokenizer) != EW_OK)
            fail_msg("spelling %zu: %s", i, ew_last_error());
        assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str("hello<think>"),
                                              EW__ENCODE_SPECIAL, &ids, &count, &capacity),
                         EW_OK);
        assert_int_equal(count, 2);
        assert_int_equal(ids[0], SMALL_HELLO);
        ew__free(ids);
        ew__tokenizer_free(tokenizer);
        free(text);
    }
    free(json);
}

static ew_status encode_something(const struct ew__tokenizer *tokenizer) {
    int32_t *ids = NULL;
    size_t count = 0, capacity = 0;
    char text[9000];
    memset(text, 'h', sizeof text);
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): a view, its length is given
    memcpy(text, "e\xCC\x81 <think> hello hello \xFF", 25);
    ew_status status = ew__tokenizer_encode(tokenizer, ew__str_of(text, sizeof text),
                                            EW__ENCODE_SPECIAL, &ids, &count, &capacity);
    if (status != EW_OK)
        assert_int_equal(count, 0);
    ew__free(ids);
    return status;
}

/* Each allocation fails once; the sanitizer build sees that nothing leaks. What is reported is
 * checked where no JSON library, which may read on after a failure, is in between:
 * test_tokenizer_gguf.c. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    char *json = small_tokenizer_json();
    for (uint64_t n = 1, used = 1; used >= n; n++) {
        struct ew__tokenizer *tokenizer;
        uint64_t before = ew__mem_count();
        ew__mem_fail_at(n);
        ew_status status = ew__tokenizer_from_json(json, strlen(json), &tokenizer);
        if (status == EW_OK)
            status = encode_something(tokenizer);
        ew__mem_fail_at(0);
        used = ew__mem_count() - before;
        ew__tokenizer_free(tokenizer);
        if (used < n)
            assert_int_equal(status, EW_OK); // none failed
    }
    free(json);
}

static const char config_text[] =
    "{\"eos_token\":\"<|im_end|>\",\"pad_token\":{\"content\":\"<|pad|>\"},\"bos_token\":null,"
    "\"added_tokens_decoder\":{\"270\":{\"content\":\"<|im_start|>\",\"special\":true},"
    "\"275\":{\"content\":\"<|pad|>\",\"special\":true},"
    "\"276\":{\"content\":\"<note>\",\"special\":false}}}";

static ew_status load_folder(const struct temp_folder *folder, const char *config,
                             struct ew__tokenizer **tokenizer) {
    struct ew__hf_folder checkpoint = {.path = (char *)folder->path};
    assert_int_equal(ew__json_parse(config, strlen(config), "config", &checkpoint.tokenizer_config),
                     EW_OK);
    ew_status status = ew__tokenizer_from_hf(&checkpoint, tokenizer);
    json_decref(checkpoint.tokenizer_config);
    return status;
}

static void a_folder_adds_tokens_and_names_the_special_ones(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__tokenizer *t;
    ew__token_kind kind;
    char *json = small_tokenizer_json();
    temp_folder_make(&folder);
    temp_write_text(&folder, "tokenizer.json", json);
    assert_int_equal(load_folder(&folder, config_text, &t), EW_OK);
    assert_int_equal(ew__tokenizer_size(t), 277);
    assert_int_equal(ew__tokenizer_eos(t), SMALL_END);
    assert_int_equal(ew__tokenizer_pad(t), 275);
    assert_int_equal(ew__tokenizer_bos(t), -1);
    assert_int_equal(ew__tokenizer_added(t, ew__str("<note>")), 276);
    ew__tokenizer_token(t, 275, &kind);
    assert_int_equal(kind, EW__TOKEN_CONTROL);
    ew__tokenizer_token(t, 276, &kind);
    assert_int_equal(kind, EW__TOKEN_USER);
    ew__tokenizer_token(t, 274, &kind);
    assert_int_equal(kind, EW__TOKEN_UNUSED);
    ew__tokenizer_free(t);
    temp_folder_remove(&folder);
    free(json);
}

static void a_folder_with_a_bad_configuration_is_refused(void **state) {
    (void)state;
    static const struct defect cases[] = {
        {"\"275\"", "\"x\"", "tokenizer_config.json: added_tokens_decoder has the key \"x\""},
        {"\"275\"", "\"99999999999999999999\"", "which is no token id"},
        {"\"275\"", "\"271\"", "token id 271 is given twice"},
        {"\"added_tokens_decoder\":{", "\"added_tokens_decoder\":3,\"x\":{", "must be an object"},
    };
    struct temp_folder folder;
    struct ew__tokenizer *t;
    char *json = small_tokenizer_json();
    temp_folder_make(&folder);
    temp_write_text(&folder, "tokenizer.json", json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *config = replaced(config_text, cases[i].from, cases[i].to);
        assert_int_equal(load_folder(&folder, config, &t), EW_FORMAT);
        if (strstr(ew_last_error(), cases[i].sentence) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", ew_last_error(), cases[i].sentence);
        free(config);
    }
    temp_folder_remove(&folder);
    free(json);
}

static void a_folder_without_tokenizer_is_told_apart(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__tokenizer *t;
    temp_folder_make(&folder);
    assert_int_equal(load_folder(&folder, "{}", &t), EW_NOT_FOUND);
    assert_null(t);
    temp_folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_has_its_sentence),
        cmocka_unit_test(other_documents_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_long_token_is_refused),
        cmocka_unit_test(spelling_does_not_matter),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_folder_adds_tokens_and_names_the_special_ones),
        cmocka_unit_test(a_folder_with_a_bad_configuration_is_refused),
        cmocka_unit_test(a_folder_without_tokenizer_is_told_apart),
    };
    return cmocka_run_group_tests_name("tokenizer_json", tests, NULL, NULL);
}
