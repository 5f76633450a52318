// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "support/small_tokenizer.h"

#include <stdlib.h>

/* Texts that are one piece, or that lead a matcher on, at a length where anything quadratic would
 * take many minutes: the test's time limit is the assertion, the printed times are for the reader.
 * The merges of the real vocabulary's subset apply. */

enum { text_bytes = 1 << 20 };

static const struct {
    const char *name, *unit;
} texts[] = {
    {"one letter", "a"},
    {"spaces", " "},
    {"spaces and a newline", "\n                                        "},
    {"line ends", "\r\n"},
    {"emoji", "\xF0\x9F\x99\x82"},
    {"combining marks", "\xCC\x81\xCC\xA3\xCC\xB4\xCC\x81\xD6\x91"},
    {"jamo", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},
    {"digits", "7"},
    {"apostrophes", "'"},
    {"less-than signs", "<"},
    {"beginnings of an added token", "<|im_start"},
    {"added tokens", "<|im_start|>"},
    {"ill-formed bytes", "\xFF"},
    {"openings of characters", "\xF0\x9F"},
    {"one long word", "hallohello"},
    {"han", "\xE6\xBC\xA2"},
};

static struct ew__tokenizer *real_subset(void) {
    struct ew__buf json;
    struct ew__tokenizer *tokenizer;
    assert_int_equal(ew__file_read("tests/data/tokenizer/qwen3-subset.json", 1 << 20, &json),
                     EW_OK);
    char *qwen35 = replaced(json.bytes, QWEN2_REGEX_JSON, QWEN35_REGEX_JSON);
    assert_int_equal(ew__tokenizer_from_json(qwen35, strlen(qwen35), &tokenizer), EW_OK);
    free(qwen35);
    ew__buf_release(&json);
    return tokenizer;
}

static void hostile_texts_cost_no_more_than_others(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = real_subset();
    char *text = malloc(text_bytes);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t unit = strlen(texts[i].unit), n = text_bytes / unit * unit;
        int32_t *ids = NULL;
        size_t count = 0, capacity = 0;
        for (size_t at = 0; at < n; at++)
            text[at] = texts[i].unit[at % unit];
        uint64_t start = ew__now_ns();
        assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str_of(text, n), EW__ENCODE_SPECIAL,
                                              &ids, &count, &capacity),
                         EW_OK);
        print_message("%-30s %7zu ids in %4.0f ms\n", texts[i].name, count,
                      (double)(ew__now_ns() - start) * 1e-6);
        assert_true(count > 0);
        ew__free(ids);
    }
    free(text);
    ew__tokenizer_free(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_texts_cost_no_more_than_others),
    };
    return cmocka_run_group_tests_name("tokenizer_long", tests, NULL, NULL);
}
