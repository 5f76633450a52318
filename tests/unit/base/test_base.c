// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/dtype.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void buffer_stops_at_its_maximum(void **state) {
    (void)state;
    struct ew__buf buf;
    ew__buf_init(&buf, 10);
    assert_int_equal(ew__buf_add_text(&buf, "12345"), EW_OK);
    assert_int_equal(ew__buf_add_format(&buf, "%d", 678), EW_OK);
    assert_string_equal(buf.bytes, "12345678");
    assert_int_equal(ew__buf_add_text(&buf, "xyz"), EW_LIMIT);
    assert_int_equal(ew__buf_add_text(&buf, "x"), EW_LIMIT); // the first failure sticks
    assert_int_equal(buf.n, 8);
    ew__buf_release(&buf);
}

static void cursor_reports_the_first_error_with_its_position(void **state) {
    (void)state;
    const uint8_t bytes[] = {1, 2, 0, 0, 0, 9};
    struct ew__cursor cursor;
    ew__cursor_init(&cursor, bytes, sizeof bytes);
    assert_int_equal(ew__cursor_u8(&cursor, "a"), 1);
    assert_int_equal(ew__cursor_u32(&cursor, "b"), 2);
    assert_int_equal(ew__cursor_u32(&cursor, "the count"), 0);
    assert_int_equal(cursor.status, EW_FORMAT);
    assert_non_null(strstr(ew_last_error(), "the count needs 4 bytes, 1 are left (at byte 5)"));
    assert_int_equal(ew__cursor_u8(&cursor, "c"), 0);
}

static void map_keeps_the_first_value_and_grows(void **state) {
    (void)state;
    struct ew__map map;
    static char keys[1000][8];
    bool existed;
    uint32_t value;
    assert_int_equal(ew__map_init(&map, 4), EW_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        assert_int_equal(ew__map_add(&map, ew__str(keys[i]), i, &existed), EW_OK);
        assert_false(existed);
    }
    assert_int_equal(ew__map_add(&map, ew__str("k7"), 99, &existed), EW_OK);
    assert_true(existed);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(ew__map_get(&map, ew__str(keys[i]), &value));
        assert_int_equal(value, i);
    }
    assert_false(ew__map_get(&map, ew__str("absent"), &value));
    ew__map_release(&map);
}

static void utf8_follows_the_maximal_subpart_rule(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n, parts;
    } cases[] = {
        {"\xE2\x82\xAC", 3, 1},     // a whole character
        {"\xE2\x82", 2, 1},         // truncated: one part
        {"\xE2\x28\xA1", 3, 3},     // bad second byte
        {"\xF0\x80\x80\x80", 4, 4}, // overlong
        {"\xED\xA0\x80", 3, 3},     // surrogate
        {"\xF4\x90\x80\x80", 4, 4}, // above U+10FFFF
        {"\xC0\xAF", 2, 2},         // overlong slash
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t parts = 0;
        for (size_t at = 0; at < cases[i].n; parts++) {
            uint32_t code;
            bool valid;
            at += ew__utf8_decode(cases[i].bytes + at, cases[i].n - at, &code, &valid);
        }
        assert_int_equal(parts, cases[i].parts);
    }
    assert_int_equal(ew__utf8_open_tail(ew__str("ab\xF0\x9F\x98")), 3);
    assert_int_equal(ew__utf8_open_tail(ew__str("ab\xF0\x9F\x98\x80")), 0);
    assert_int_equal(ew__utf8_open_tail(ew__str("ab\xFF")), 0);
    for (uint32_t code = 0; code < 0x110000; code += 37) {
        char bytes[4];
        uint32_t back;
        bool valid;
        size_t n = ew__utf8_encode(code, bytes);
        assert_int_equal(ew__utf8_decode(bytes, n, &back, &valid), n);
        assert_int_equal(back, code >= 0xD800 && code < 0xE000 ? EW__REPLACEMENT : code);
    }
}

static void json_refuses_depth_duplicates_and_wrong_kinds(void **state) {
    (void)state;
    json_t *root;
    char deep[200];
    memset(deep, '[', sizeof deep);
    assert_int_equal(ew__json_parse(deep, sizeof deep, "deep", &root), EW_FORMAT);
    assert_int_equal(ew__json_parse("{\"a\":1,\"a\":2}", 13, "twice", &root), EW_FORMAT);
    assert_int_equal(ew__json_parse("{\"a\":", 5, "cut", &root), EW_FORMAT);
    const char *text = "{\"n\":3.0,\"bad\":-1,\"s\":\"x\",\"f\":1e400}";
    assert_int_equal(ew__json_parse("{\"f\":1e400}", 11, "huge", &root), EW_FORMAT);
    text = "{\"n\":3.0,\"bad\":-1,\"s\":\"x\"}";
    assert_int_equal(ew__json_parse(text, strlen(text), "ok", &root), EW_OK);
    uint32_t n = 7;
    assert_int_equal(ew__json_u32(root, "absent", 0, 9, &n), EW_OK);
    assert_int_equal(n, 7);
    assert_int_equal(ew__json_u32(root, "n", 0, 9, &n), EW_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ew__json_u32(root, "n", 0, 2, &n), EW_FORMAT);
    assert_int_equal(ew__json_u32(root, "bad", 0, 9, &n), EW_FORMAT);
    assert_int_equal(ew__json_u32(root, "s", 0, 9, &n), EW_FORMAT);
    json_decref(root);
}

static void file_appears_whole_or_not_at_all(void **state) {
    (void)state;
    char path[] = "/tmp/ew-test-file-XXXXXX";
    close(mkstemp(path));
    unlink(path);
    struct ew__file_out out;
    assert_int_equal(ew__file_out_open(&out, path), EW_OK);
    assert_int_equal(ew__file_out_write(&out, "half", 4), EW_OK);
    ew__file_out_abort(&out);
    assert_false(ew__path_exists(path));
    assert_int_equal(ew__file_out_open(&out, path), EW_OK);
    assert_int_equal(ew__file_out_write(&out, "whole", 5), EW_OK);
    assert_false(ew__path_exists(path));
    assert_int_equal(ew__file_out_commit(&out), EW_OK);
    struct ew__file_map map;
    assert_int_equal(ew__file_map_open(path, &map), EW_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "whole", 5);
    ew__file_map_close(&map);
    unlink(path);
    assert_int_equal(ew__file_map_open("/nonexistent/x", &map), EW_IO);
    assert_int_equal(ew__file_map_open("/tmp", &map), EW_IO);
}

static void nth_allocation_fails_on_request(void **state) {
    (void)state;
    ew__mem_fail_at(2);
    void *first = ew__alloc(10), *second = ew__alloc(10), *third = ew__alloc_aligned(10);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_int_equal((uintptr_t)third % 64, 0);
    ew__free(first);
    ew__free_aligned(third);
}

static void dtype_table_is_consistent(void **state) {
    (void)state;
    uint64_t bytes;
    ew__dtype type;
    assert_true(ew__dtype_by_name(ew__str("q4_k"), &type));
    assert_int_equal(type, EW__Q4_K);
    assert_true(ew__dtype_row_bytes(EW__Q4_K, 512, &bytes));
    assert_int_equal(bytes, 288);
    assert_false(ew__dtype_row_bytes(EW__Q4_K, 100, &bytes));
    assert_false(ew__dtype_row_bytes(EW__F32, UINT64_MAX / 2, &bytes));
    assert_string_equal(ew__dtype_name(39), "MXFP4");
    assert_string_equal(ew__dtype_name(12345), "type 12345");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_stops_at_its_maximum),
        cmocka_unit_test(cursor_reports_the_first_error_with_its_position),
        cmocka_unit_test(map_keeps_the_first_value_and_grows),
        cmocka_unit_test(utf8_follows_the_maximal_subpart_rule),
        cmocka_unit_test(json_refuses_depth_duplicates_and_wrong_kinds),
        cmocka_unit_test(file_appears_whole_or_not_at_all),
        cmocka_unit_test(nth_allocation_fails_on_request),
        cmocka_unit_test(dtype_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
