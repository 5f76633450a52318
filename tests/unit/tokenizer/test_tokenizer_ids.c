// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "support/small_tokenizer.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocab.h"

#include <stdio.h>
#include <stdlib.h>

/* Ids of real text with the real Qwen3 ids (tests/data/tokenizer/README.md), and what the small
 * tokenizer must give by hand. */

struct encoded {
    int32_t *ids;
    size_t count, capacity;
};

static struct encoded encode(const struct ew__tokenizer *tokenizer, struct ew__str text,
                             ew__encode_flags flags) {
    struct encoded e = {0};
    assert_int_equal(ew__tokenizer_encode(tokenizer, text, flags, &e.ids, &e.count, &e.capacity),
                     EW_OK);
    return e;
}

static void check_ids(const char *text, size_t n, ew__encode_flags flags, const int32_t *wanted,
                      size_t count) {
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct encoded e = encode(tokenizer, ew__str_of(text, n), flags);
    assert_int_equal(e.count, count);
    assert_memory_equal(e.ids, wanted, count * sizeof *wanted);
    ew__free(e.ids);
    ew__tokenizer_free(tokenizer);
}
#define CHECK_IDS(text, flags, ...)                                                                \
    check_ids(text, sizeof(text) - 1, flags, (const int32_t[]){__VA_ARGS__},                       \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void check_golden(const char *json, const char *ids_path) {
    struct ew__tokenizer *tokenizer;
    struct ew__buf lines;
    json_t *texts, *wanted;
    assert_int_equal(ew__tokenizer_from_json(json, strlen(json), &tokenizer), EW_OK);
    assert_int_equal(ew__json_load("tests/data/tokenizer/texts.json", 1 << 20, &texts), EW_OK);
    assert_int_equal(ew__file_read(ids_path, 1 << 20, &lines), EW_OK);
    char *line = lines.bytes;
    assert_true(json_array_size(texts) >= 80);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_object_get(json_array_get(texts, i), "text");
        char *end = strchr(line, '\n');
        assert_int_equal(ew__json_parse(line, (size_t)(end - line), "ids", &wanted), EW_OK);
        struct encoded e =
            encode(tokenizer, ew__str_of(json_string_value(text), json_string_length(text)),
                   EW__ENCODE_SPECIAL);
        assert_int_equal(e.count, json_array_size(wanted));
        for (size_t k = 0; k < e.count; k++)
            if (e.ids[k] != json_integer_value(json_array_get(wanted, k)))
                fail_msg("text %zu: id %zu is %d", i, k, e.ids[k]);
        json_decref(wanted);
        ew__free(e.ids);
        line = end + 1;
    }
    assert_int_equal(*line, '\0');
    json_decref(texts);
    ew__buf_release(&lines);
    ew__tokenizer_free(tokenizer);
}

static void real_text_in_many_scripts_gets_its_real_ids(void **state) {
    (void)state;
    struct ew__buf json;
    assert_int_equal(ew__file_read("tests/data/tokenizer/qwen3-subset.json", 1 << 20, &json),
                     EW_OK);
    char *qwen35 = replaced(json.bytes, QWEN2_REGEX_JSON, QWEN35_REGEX_JSON);
    check_golden(json.bytes, "tests/data/tokenizer/ids-qwen2.txt");
    check_golden(qwen35, "tests/data/tokenizer/ids-qwen35.txt");
    free(qwen35);
    ew__buf_release(&json);
}

static void merges_apply_by_rank_and_leftmost_first(void **state) {
    (void)state;
    CHECK_IDS("hello", EW__ENCODE_PLAIN, SMALL_HELLO);
    CHECK_IDS("hell", EW__ENCODE_PLAIN, SMALL_HELL);
    CHECK_IDS("helo", EW__ENCODE_PLAIN, SMALL_HE, 'l', 'o');
    CHECK_IDS(" hello", EW__ENCODE_PLAIN, ' ', SMALL_HELLO); // "h e" ranks before " h"
    CHECK_IDS(" hx", EW__ENCODE_PLAIN, SMALL_SPACE_H, 'x');
    CHECK_IDS("aaa", EW__ENCODE_PLAIN, SMALL_AA, 'a');
    CHECK_IDS("aaaaaaa", EW__ENCODE_PLAIN, SMALL_AAAA, SMALL_AA, 'a');
    CHECK_IDS("\n\n\n", EW__ENCODE_PLAIN, SMALL_NEWLINES, '\n');
    CHECK_IDS("lll", EW__ENCODE_PLAIN, SMALL_LL, 'l');
}

static void text_is_normalised_and_repaired(void **state) {
    (void)state;
    CHECK_IDS("\xC3\xA9", EW__ENCODE_PLAIN, SMALL_E_ACUTE);
    CHECK_IDS("e\xCC\x81", EW__ENCODE_PLAIN, SMALL_E_ACUTE);
    CHECK_IDS("A\xFF", EW__ENCODE_PLAIN, 'A', 0xEF, 0xBF, 0xBD);
    CHECK_IDS("\xE2\x82", EW__ENCODE_PLAIN, 0xEF, 0xBF, 0xBD);
    CHECK_IDS("\0", EW__ENCODE_PLAIN, 0);
}

static void added_tokens_match_only_when_asked(void **state) {
    (void)state;
    CHECK_IDS("a<|im_end|>", EW__ENCODE_SPECIAL, 'a', SMALL_END);
    CHECK_IDS("a<|im_end|>", EW__ENCODE_PLAIN, 'a', '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|',
              '>');
    CHECK_IDS("<think>", EW__ENCODE_PLAIN, '<', 't', 'h', 'i', 'n', 'k', '>');
    CHECK_IDS("<think>", EW__ENCODE_SPECIAL, SMALL_THINK);
    CHECK_IDS("<|im_start|><|im_end|>", EW__ENCODE_SPECIAL, SMALL_START, SMALL_END);
}

static void the_longest_added_token_wins(void **state) {
    (void)state;
    CHECK_IDS("<think>>", EW__ENCODE_SPECIAL, SMALL_THINK_LONG);
    CHECK_IDS("<think>>>", EW__ENCODE_SPECIAL, SMALL_THINK_LONG, '>');
    CHECK_IDS("<<think>", EW__ENCODE_SPECIAL, '<', SMALL_THINK);
    CHECK_IDS("<think", EW__ENCODE_SPECIAL, '<', 't', 'h', 'i', 'n', 'k');
}

/* Matching is on the raw text, so NFC does not reach across an added token. */
static void an_added_token_separates_normalisation(void **state) {
    (void)state;
    CHECK_IDS("e<think>\xCC\x81", EW__ENCODE_SPECIAL, 'e', SMALL_THINK, 0xCC, 0x81);
}

static void ids_are_appended(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct encoded e = encode(tokenizer, ew__str("hello"), EW__ENCODE_PLAIN);
    assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str("aa"), EW__ENCODE_PLAIN, &e.ids,
                                          &e.count, &e.capacity),
                     EW_OK);
    assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str(""), EW__ENCODE_SPECIAL, &e.ids,
                                          &e.count, &e.capacity),
                     EW_OK);
    assert_int_equal(e.count, 2);
    assert_int_equal(e.ids[0], SMALL_HELLO);
    assert_int_equal(e.ids[1], SMALL_AA);
    ew__free(e.ids);
    ew__tokenizer_free(tokenizer);
}

static void a_text_beyond_the_limit_is_refused_unread(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct encoded e = {0};
    assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str_of("", EW__TEXT_BYTES_MAX + 1ul),
                                          EW__ENCODE_PLAIN, &e.ids, &e.count, &e.capacity),
                     EW_LIMIT);
    ew__tokenizer_free(tokenizer);
}

static uint32_t next_random(uint32_t *seed) {
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

/* The tree for long pieces and the scan for short ones must agree wherever both can work. */
static void long_and_short_merging_agree(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct ew__bpe_work work = {0};
    uint32_t seed = 7, short_ids[EW__BPE_SHORT_MAX];
    for (int round = 0; round < 20000; round++) {
        char piece[EW__BPE_SHORT_MAX];
        const uint32_t *long_ids;
        size_t long_count, n = 1 + next_random(&seed) % EW__BPE_SHORT_MAX;
        for (size_t i = 0; i < n; i++)
            piece[i] = "helloa aa\nlh"[next_random(&seed) % 12];
        size_t count = ew__bpe_short(&tokenizer->merges, piece, n, short_ids);
        assert_int_equal(ew__bpe_long(&tokenizer->merges, &work, piece, n, &long_ids, &long_count),
                         EW_OK);
        assert_int_equal(count, long_count);
        assert_memory_equal(short_ids, long_ids, count * sizeof *short_ids);
    }
    ew__bpe_work_release(&work);
    ew__tokenizer_free(tokenizer);
}

/* Long texts go through the piece cache; the ids must not depend on it. */
static void the_piece_cache_changes_nothing(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct ew__buf text;
    struct encoded parts = {0};
    uint32_t seed = 3;
    ew__buf_init(&text, 1 << 20);
    for (int word = 0; word < 20000; word++) {
        char letters[32] = " ";
        size_t n = 2 + next_random(&seed) % 28;
        for (size_t i = 1; i < n; i++)
            letters[i] = "helloahe"[next_random(&seed) % 8];
        assert_int_equal(ew__buf_add(&text, letters, n), EW_OK);
    }
    struct encoded whole = encode(tokenizer, ew__buf_str(&text), EW__ENCODE_PLAIN);
    for (size_t at = 0; at < text.n;) { // word by word: too short for a cache
        const char *space = memchr(text.bytes + at + 1, ' ', text.n - at - 1);
        size_t end = space != NULL ? (size_t)(space - text.bytes) : text.n;
        assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str_of(text.bytes + at, end - at),
                                              EW__ENCODE_PLAIN, &parts.ids, &parts.count,
                                              &parts.capacity),
                         EW_OK);
        at = end;
    }
    assert_int_equal(whole.count, parts.count);
    assert_memory_equal(whole.ids, parts.ids, whole.count * sizeof *whole.ids);
    ew__free(whole.ids);
    ew__free(parts.ids);
    ew__buf_release(&text);
    ew__tokenizer_free(tokenizer);
}

static void tokens_can_be_looked_up(void **state) {
    (void)state;
    struct ew__tokenizer *t = small_tokenizer();
    static const struct {
        int32_t id;
        const char *text;
        ew__token_kind kind;
    } cases[] = {
        {'a', "a", EW__TOKEN_NORMAL},
        {SMALL_NEWLINES, "\n\n", EW__TOKEN_NORMAL},
        {SMALL_SPACE_H, " h", EW__TOKEN_NORMAL},
        {SMALL_START, "<|im_start|>", EW__TOKEN_CONTROL},
        {SMALL_THINK, "<think>", EW__TOKEN_USER},
        {266, "", EW__TOKEN_UNUSED},
        {SMALL_SIZE, "", EW__TOKEN_UNUSED},
        {-1, "", EW__TOKEN_UNUSED},
        {INT32_MAX, "", EW__TOKEN_UNUSED},
        {INT32_MIN, "", EW__TOKEN_UNUSED},
    };
    assert_int_equal(ew__tokenizer_size(t), SMALL_SIZE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ew__token_kind kind;
        struct ew__str text = ew__tokenizer_token(t, cases[i].id, &kind);
        assert_true(ew__str_is(text, cases[i].text));
        assert_int_equal(kind, cases[i].kind);
    }
    assert_int_equal(ew__tokenizer_added(t, ew__str("<|im_end|>")), SMALL_END);
    assert_int_equal(ew__tokenizer_added(t, ew__str("<think>")), SMALL_THINK);
    assert_int_equal(ew__tokenizer_added(t, ew__str("<thin")), -1);
    assert_int_equal(ew__tokenizer_added(t, ew__str("he")), -1);
    assert_int_equal(ew__tokenizer_eos(t), -1);
    ew__tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_text_in_many_scripts_gets_its_real_ids),
        cmocka_unit_test(merges_apply_by_rank_and_leftmost_first),
        cmocka_unit_test(text_is_normalised_and_repaired),
        cmocka_unit_test(added_tokens_match_only_when_asked),
        cmocka_unit_test(the_longest_added_token_wins),
        cmocka_unit_test(an_added_token_separates_normalisation),
        cmocka_unit_test(ids_are_appended),
        cmocka_unit_test(a_text_beyond_the_limit_is_refused_unread),
        cmocka_unit_test(long_and_short_merging_agree),
        cmocka_unit_test(the_piece_cache_changes_nothing),
        cmocka_unit_test(tokens_can_be_looked_up),
    };
    return cmocka_run_group_tests_name("tokenizer_ids", tests, NULL, NULL);
}
