// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "support/small_tokenizer.h"
#include "tokenizer/pretokenize.h"

#include <stdlib.h>

/* Pieces by both rules: tests/data/tokenizer/cases.json, computed with Python's regex module. */

struct fixture {
    json_t *cases;
    struct ew__tokenizer *qwen35, *qwen2;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    char *json = small_tokenizer_json();
    char *older = replaced(json, QWEN35_REGEX_JSON, QWEN2_REGEX_JSON);
    assert_int_equal(ew__json_load("tests/data/tokenizer/cases.json", 1 << 20, &f->cases), EW_OK);
    assert_int_equal(ew__tokenizer_from_json(json, strlen(json), &f->qwen35), EW_OK);
    assert_int_equal(ew__tokenizer_from_json(older, strlen(older), &f->qwen2), EW_OK);
    free(json);
    free(older);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    json_decref(f->cases);
    ew__tokenizer_free(f->qwen35);
    ew__tokenizer_free(f->qwen2);
    free(f);
    return 0;
}

struct expected {
    const char *text;
    const json_t *pieces;
    size_t at;
};

static ew_status check_piece(void *context, struct ew__str piece) {
    struct expected *e = context;
    const json_t *wanted = json_array_get(e->pieces, e->at++);
    if (wanted == NULL ||
        !ew__str_equal(piece, ew__str_of(json_string_value(wanted), json_string_length(wanted))))
        fail_msg("\"%s\": piece %zu is \"%.*s\"", e->text, e->at - 1, (int)piece.n, piece.bytes);
    return EW_OK;
}

static void check_pieces(const struct ew__tokenizer *tokenizer, const json_t *text,
                         const json_t *pieces) {
    struct expected e = {json_string_value(text), pieces, 0};
    struct ew__str input = ew__str_of(json_string_value(text), json_string_length(text));
    assert_int_equal(ew__tokenizer_pieces(tokenizer, input, check_piece, &e), EW_OK);
    assert_int_equal(e.at, json_array_size(pieces));
}

static void check_list(const struct ew__tokenizer *tokenizer, const json_t *list, const char *key,
                       size_t at_least) {
    size_t checked = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const json_t *pieces = json_object_get(entry, key);
        if (!json_is_array(pieces))
            continue; // null where added tokens cut the text first
        check_pieces(tokenizer, json_object_get(entry, "text"), pieces);
        checked++;
    }
    assert_true(checked >= at_least);
}

static void recorded_texts_split_as_recorded(void **state) {
    const struct fixture *f = *state;
    check_list(f->qwen35, json_object_get(f->cases, "ids"), "pieces", 19);
    check_list(f->qwen35, json_object_get(f->cases, "splits"), "pieces", 50);
}

static void the_older_rule_differs_where_recorded(void **state) {
    const struct fixture *f = *state;
    const json_t *list = json_object_get(f->cases, "qwen2_differs");
    check_list(f->qwen35, list, "qwen35", 6);
    check_list(f->qwen2, list, "qwen2", 6);
}

static void recorded_expressions_are_known_and_no_others(void **state) {
    const struct fixture *f = *state;
    ew__split_rule rule = EW__SPLIT_QWEN2;
    struct ew__str qwen35 = ew__str(""), qwen2 = ew__str("");
    assert_int_equal(ew__json_str(f->cases, "regex_qwen35", &qwen35), EW_OK);
    assert_int_equal(ew__json_str(f->cases, "regex_qwen2", &qwen2), EW_OK);
    assert_true(ew__split_rule_by_regex(qwen35, &rule));
    assert_int_equal(rule, EW__SPLIT_QWEN35);
    assert_true(ew__split_rule_by_regex(qwen2, &rule));
    assert_int_equal(rule, EW__SPLIT_QWEN2);
    assert_false(ew__split_rule_by_regex(ew__str_of(qwen2.bytes, qwen2.n - 1), &rule));
    assert_false(ew__split_rule_by_regex(ew__str(""), &rule));
}

/* (?i:...) ignores case by Unicode: the long s is an s, the Kelvin sign no k of a contraction. */
static void contractions_ignore_case(void **state) {
    const struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"x'ſy", "[\"x\", \"'ſ\", \"y\"]"},
        {"x'Re'LL", "[\"x\", \"'Re\", \"'LL\"]"},
        {"'rx 'l'v", "[\"'rx\", \" '\", \"l\", \"'v\"]"},
        {"'", "[\"'\"]"},
        {"x's't", "[\"x\", \"'s\", \"'t\"]"},
        {"''s", "[\"''\", \"s\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *text = json_string(cases[i][0]), *pieces = NULL;
        assert_int_equal(ew__json_parse(cases[i][1], strlen(cases[i][1]), "case", &pieces), EW_OK);
        check_pieces(f->qwen35, text, pieces);
        json_decref(text);
        json_decref(pieces);
    }
}

static ew_status stop(void *context, struct ew__str piece) {
    (void)piece;
    ++*(int *)context;
    return EW_CANCELLED;
}

static void a_visitor_may_stop(void **state) {
    const struct fixture *f = *state;
    int calls = 0;
    assert_int_equal(ew__tokenizer_pieces(f->qwen35, ew__str("a b c"), stop, &calls), EW_CANCELLED);
    assert_int_equal(calls, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_texts_split_as_recorded),
        cmocka_unit_test(the_older_rule_differs_where_recorded),
        cmocka_unit_test(recorded_expressions_are_known_and_no_others),
        cmocka_unit_test(contractions_ignore_case),
        cmocka_unit_test(a_visitor_may_stop),
    };
    return cmocka_run_group_tests_name("tokenizer_split", tests, set_up, tear_down);
}
