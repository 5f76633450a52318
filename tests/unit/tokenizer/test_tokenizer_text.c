// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "support/small_tokenizer.h"
#include "tokenizer/nfc.h"

#include <stdlib.h>
#include <utf8proc.h>

/* Normalisation against utf8proc's own, round trips, and streaming decode against whole decode. */

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Code points that NFC has work with, among all others; never a surrogate. */
static uint32_t random_code(uint32_t *seed) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x20, 0x7E},     {0xC0, 0x17F},    {0x300, 0x36F},     {0x300, 0x36F},
        {0x591, 0x5F4},   {0x64B, 0x65F},   {0x900, 0xDFF},     {0xF40, 0xFBC},
        {0x1100, 0x11FF}, {0x1E00, 0x1FFF}, {0x2126, 0x212B},   {0x3040, 0x30FF},
        {0xAC00, 0xD7A3}, {0xF900, 0xFB4F}, {0x1D157, 0x1D1C0}, {0x10000, 0x10FFFF},
    };
    uint32_t i = next_random(seed) % (sizeof ranges / sizeof *ranges);
    return ranges[i].first + next_random(seed) % (ranges[i].last - ranges[i].first + 1);
}

static size_t random_text(uint32_t *seed, char *text, size_t characters) {
    size_t n = 0;
    for (size_t i = 0; i < characters; i++)
        n += ew__utf8_encode(random_code(seed), text + n);
    text[n] = '\0';
    return n;
}

struct normalising {
    struct ew__unicode unicode;
    struct ew__nfc work;
};

static int start_normalising(void **state) {
    struct normalising *n = calloc(1, sizeof *n);
    assert_non_null(n);
    assert_int_equal(ew__unicode_init(&n->unicode), EW_OK);
    *state = n;
    return 0;
}

static int stop_normalising(void **state) {
    struct normalising *n = *state;
    ew__nfc_release(&n->work);
    ew__unicode_release(&n->unicode);
    free(n);
    return 0;
}

static struct ew__str nfc(struct normalising *n, const char *text, size_t length) {
    struct ew__str out;
    assert_int_equal(ew__nfc(&n->unicode, true, ew__str_of(text, length), &n->work, &out), EW_OK);
    return out;
}

static void normalisation_is_that_of_the_library(void **state) {
    struct normalising *n = *state;
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[4 * 40 + 1];
        size_t length = random_text(&seed, text, 1 + next_random(&seed) % 40);
        struct ew__str ours = nfc(n, text, length);
        char *theirs = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_non_null(theirs);
        if (!ew__str_is(ours, theirs))
            fail_msg("round %d: \"%s\" becomes \"%.*s\", not \"%s\"", round, text, (int)ours.n,
                     ours.bytes, theirs);
        struct ew__str again = nfc(n, theirs, strlen(theirs));
        assert_true(ew__str_is(again, theirs));
        free(theirs);
    }
}

/* Runs longer than the short sort takes: both sorts are stable and give one order. */
static void long_runs_of_marks_are_ordered(void **state) {
    struct normalising *n = *state;
    uint32_t seed = 5;
    for (int round = 0; round < 200; round++) {
        char text[2 * 300 + 2] = "a";
        size_t length = 1;
        for (size_t i = 0; i < 300; i++)
            length += ew__utf8_encode(0x300 + next_random(&seed) % 0x70, text + length);
        text[length] = '\0';
        struct ew__str ours = nfc(n, text, length);
        char *theirs = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_true(ew__str_is(ours, theirs));
        free(theirs);
    }
}

static void normal_text_is_not_copied(void **state) {
    struct normalising *n = *state;
    static const char *const texts[] = {
        "plain ASCII, long enough for the wide steps of the scan",
        "caf\xC3\xA9 na\xC3\xAFve",
        "क्षत्रिय हिन्दी",
        "ที่นี่ไทย",
        "한글 漢字 かな",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ew__str out = nfc(n, texts[i], strlen(texts[i]));
        assert_ptr_equal(out.bytes, texts[i]);
    }
}

static void ill_formed_parts_become_replacements(void **state) {
    struct normalising *n = *state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xF0\x9F\x99", "\xEF\xBF\xBD"},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"e\xFF\xCC\x81", "e\xEF\xBF\xBD\xCC\x81"}, // the mark does not reach the e
        {"e\xCC\x81\xFF", "\xC3\xA9\xEF\xBF\xBD"},
        {"\xCC\xA3\xCC\x81\x80q", "\xCC\xA3\xCC\x81\xEF\xBF\xBDq"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ew__str out = nfc(n, cases[i].text, strlen(cases[i].text));
        if (!ew__str_is(out, cases[i].wanted))
            fail_msg("case %zu", i);
    }
    struct ew__str kept;
    assert_int_equal(ew__nfc(&n->unicode, false, ew__str("e\xCC\x81\xFF"), &n->work, &kept), EW_OK);
    assert_true(ew__str_is(kept, "e\xCC\x81\xEF\xBF\xBD")); // repaired, not composed
}

/* White_Space by PropList.txt: these 25 and no others. */
static void white_space_is_unicodes(void **state) {
    const struct normalising *n = *state;
    static const uint32_t spaces[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,
                                      0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                      0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x2028,
                                      0x2029, 0x202F, 0x205F, 0x3000};
    size_t found = 0;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        ew__char_class class = ew__unicode_class(&n->unicode, code);
        if (class == EW__CHAR_SPACE || class == EW__CHAR_NEWLINE)
            assert_int_equal(code, spaces[found++]);
    }
    assert_int_equal(found, sizeof spaces / sizeof *spaces);
    assert_int_equal(ew__unicode_class(&n->unicode, 0x10FFFF), EW__CHAR_OTHER);
    assert_int_equal(ew__unicode_class(&n->unicode, 0x378), EW__CHAR_OTHER); // unassigned
    assert_int_equal(ew__unicode_class(&n->unicode, 0xE0100), EW__CHAR_MARK);
    assert_int_equal(ew__unicode_class(&n->unicode, 0x20BB7), EW__CHAR_LETTER);
    assert_int_equal(ew__unicode_class(&n->unicode, 0x2167), EW__CHAR_NUMBER);
}

static void decoding_gives_the_normalised_text_back(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    int32_t *ids = NULL;
    size_t capacity = 0;
    uint32_t seed = 11;
    for (int round = 0; round < 5000; round++) {
        char text[4 * 60 + 1];
        size_t count = 0, n, length = random_text(&seed, text, next_random(&seed) % 60);
        assert_int_equal(ew__tokenizer_encode(tokenizer, ew__str_of(text, length), EW__ENCODE_PLAIN,
                                              &ids, &count, &capacity),
                         EW_OK);
        char *decoded = decode_all(tokenizer, ids, count, &n);
        char *wanted = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_string_equal(decoded, wanted);
        free(decoded);
        free(wanted);
    }
    ew__free(ids);
    ew__tokenizer_free(tokenizer);
}

/* The bytes of all tokens put together, then repaired at once: what a stream must add up to. */
static void decode_whole(const struct ew__tokenizer *tokenizer, const int32_t *ids, size_t count,
                         struct ew__buf *out) {
    struct ew__buf bytes;
    ew__buf_init(&bytes, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        ew__token_kind kind;
        struct ew__str text = ew__tokenizer_token(tokenizer, ids[i], &kind);
        assert_int_equal(ew__buf_add(&bytes, text.bytes, text.n), EW_OK);
    }
    for (size_t at = 0; at < bytes.n;) {
        uint32_t code;
        bool valid;
        char character[4];
        at += ew__utf8_decode(bytes.bytes + at, bytes.n - at, &code, &valid);
        assert_int_equal(ew__buf_add(out, character, ew__utf8_encode(code, character)), EW_OK);
    }
    ew__buf_release(&bytes);
}

static int32_t random_id(uint32_t *seed) {
    static const uint8_t bytes[] = {0xC3, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x99, 0x82,
                                    0xED, 0xA0, 0x80, 0xC0, 0xF4, 0x90, 'a',  0xA9};
    if (next_random(seed) % 8 == 0)
        return (int32_t)(next_random(seed) % SMALL_SIZE);
    return bytes[next_random(seed) % sizeof bytes];
}

static void a_stream_adds_up_to_the_whole(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    uint32_t seed = 17;
    for (int round = 0; round < 20000; round++) {
        int32_t ids[24];
        size_t count = next_random(&seed) % 24;
        struct ew__decode_stream stream = {0};
        struct ew__buf out, whole;
        ew__buf_init(&out, 1 << 20);
        ew__buf_init(&whole, 1 << 20);
        for (size_t i = 0; i < count; i++) {
            ids[i] = random_id(&seed);
            assert_int_equal(ew__decode_next(tokenizer, &stream, ids[i], true, &out), EW_OK);
            assert_true(ew__utf8_valid(ew__buf_str(&out))); // never half a character
        }
        assert_int_equal(ew__decode_finish(&stream, &out), EW_OK);
        decode_whole(tokenizer, ids, count, &whole);
        assert_true(ew__str_equal(ew__buf_str(&out), ew__buf_str(&whole)));
        ew__buf_release(&out);
        ew__buf_release(&whole);
    }
    ew__tokenizer_free(tokenizer);
}

static void check_stream(const int32_t *ids, size_t count, bool show, const char *const *steps) {
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct ew__decode_stream stream = {0};
    for (size_t i = 0; i <= count; i++) {
        struct ew__buf out;
        ew__buf_init(&out, 100);
        assert_int_equal(i < count ? ew__decode_next(tokenizer, &stream, ids[i], show, &out)
                                   : ew__decode_finish(&stream, &out),
                         EW_OK);
        assert_string_equal(ew__buf_str(&out).bytes, steps[i]);
        ew__buf_release(&out);
    }
    ew__tokenizer_free(tokenizer);
}

static void a_character_waits_for_its_last_byte(void **state) {
    (void)state;
    const int32_t smile[] = {0xF0, 0x9F, 0x99, 0x82, 'a'};
    check_stream(smile, 5, false, (const char *const[]){"", "", "", "\xF0\x9F\x99\x82", "a", ""});
    const int32_t broken[] = {0xF0, 0x9F, 'a', 0xE2};
    check_stream(broken, 4, false,
                 (const char *const[]){"", "", "\xEF\xBF\xBD\x61", "", "\xEF\xBF\xBD"});
}

/* Control tokens are skipped without a trace: the bytes around them join. Others are text. */
static void control_tokens_show_only_on_request(void **state) {
    (void)state;
    const int32_t ids[] = {SMALL_START, SMALL_THINK, 0xC3, SMALL_END, 0xA9, 266, 999999};
    check_stream(ids, 7, false,
                 (const char *const[]){"", "<think>", "", "", "\xC3\xA9", "", "", ""});
    check_stream(ids, 7, true,
                 (const char *const[]){"<|im_start|>", "<think>", "", "\xEF\xBF\xBD<|im_end|>",
                                       "\xEF\xBF\xBD", "", "", ""});
}

static void a_full_buffer_is_reported(void **state) {
    (void)state;
    struct ew__tokenizer *tokenizer = small_tokenizer();
    struct ew__decode_stream stream = {0};
    struct ew__buf out;
    ew__buf_init(&out, 3);
    assert_int_equal(ew__decode_next(tokenizer, &stream, SMALL_HELLO, true, &out), EW_LIMIT);
    ew__buf_release(&out);
    ew__tokenizer_free(tokenizer);
}

#define NORMALISING(test) cmocka_unit_test_setup_teardown(test, start_normalising, stop_normalising)

int main(void) {
    const struct CMUnitTest tests[] = {
        NORMALISING(normalisation_is_that_of_the_library),
        NORMALISING(long_runs_of_marks_are_ordered),
        NORMALISING(normal_text_is_not_copied),
        NORMALISING(ill_formed_parts_become_replacements),
        NORMALISING(white_space_is_unicodes),
        cmocka_unit_test(decoding_gives_the_normalised_text_back),
        cmocka_unit_test(a_stream_adds_up_to_the_whole),
        cmocka_unit_test(a_character_waits_for_its_last_byte),
        cmocka_unit_test(control_tokens_show_only_on_request),
        cmocka_unit_test(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests_name("tokenizer_text", tests, NULL, NULL);
}
