// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cache_dir.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/os.h"
#include "support/temp_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void expect_folder(const char *expected) {
    char *path;
    assert_int_equal(ew__cache_dir_path(&path), EW_OK);
    assert_string_equal(path, expected);
    ew__free(path);
}

static void the_folder_follows_the_environment(void **state) {
    (void)state;
    const char *set = getenv("HOME");
    char *path, *home = set != NULL ? strdup(set) : NULL;
    setenv("EDGEWISE_CACHE_DIR", "/a/b", 1);
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/home/me", 1);
    expect_folder("/a/b");
    setenv("EDGEWISE_CACHE_DIR", "", 1); // empty is as good as unset
    expect_folder("/x/edgewise");
    setenv("XDG_CACHE_HOME", "relative", 1);
    expect_folder("/home/me/.cache/edgewise");
    unsetenv("XDG_CACHE_HOME");
    expect_folder("/home/me/.cache/edgewise");
    unsetenv("HOME");
    assert_int_equal(ew__cache_dir_path(&path), EW_NOT_FOUND);
    assert_null(path);
    unsetenv("EDGEWISE_CACHE_DIR");
    if (home != NULL)
        setenv("HOME", home, 1);
    free(home);
}

static void the_budget_is_a_number_with_a_unit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"123", 123},
                {"2K", 2048},
                {"3m", (uint64_t)3 << 20},
                {"5G", (uint64_t)5 << 30},
                {"1t", (uint64_t)1 << 40}};
    static const char *const bad[] = {"", "G", "-1", "1Q", "1GB", "99999999T", " 5"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        setenv("EDGEWISE_CACHE_MAX", good[i].text, 1);
        assert_int_equal(ew__cache_dir_budget("/", 0), good[i].bytes);
    }
    unsetenv("EDGEWISE_CACHE_MAX");
    // others change the free space meanwhile, but not by half
    uint64_t usual = ew__cache_dir_budget("/", 0);
    assert_true(usual <= (uint64_t)20000000000);
    assert_true(usual <= ew__disk_free("/") / 2);
    assert_in_range(ew__cache_dir_budget("/no/such/folder", 0), usual / 2, usual * 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("EDGEWISE_CACHE_MAX", bad[i], 1);
        assert_in_range(ew__cache_dir_budget("/", 0), usual / 2, usual * 2);
    }
    unsetenv("EDGEWISE_CACHE_MAX");
}

/* A file of n bytes, last used `age` seconds ago. */
static void put_file(const struct temp_folder *folder, const char *name, size_t n, time_t age) {
    char *bytes = calloc(n, 1);
    assert_non_null(bytes);
    temp_write(folder, name, bytes, n);
    free(bytes);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(utimensat(AT_FDCWD, temp_path(folder, name), times, 0), 0);
}

static bool is_there(const struct temp_folder *folder, const char *name) {
    return ew__path_exists(temp_path(folder, name));
}

static void the_longest_unused_file_makes_room(void **state) {
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    put_file(&folder, "aa.ewpack", 3000, 10);
    put_file(&folder, "bb.ewpack", 3000, 500);
    put_file(&folder, "cc.ewpack", 3000, 100);
    put_file(&folder, "notes.txt", 9000, 99999);                // not a cache file
    put_file(&folder, "dd.ewpack.tmp-abcdef", 9000, 2 * 86400); // left by a stopped program
    put_file(&folder, "ee.ewpack.tmp-abcdef", 9000, 60);        // somebody writes it now
    setenv("EDGEWISE_CACHE_MAX", "10000", 1);
    assert_int_equal(ew__cache_dir_make_room(folder.path, 1000), EW_OK); // fits
    assert_true(is_there(&folder, "bb.ewpack"));
    assert_false(is_there(&folder, "dd.ewpack.tmp-abcdef"));
    assert_int_equal(ew__cache_dir_make_room(folder.path, 5000), EW_OK); // two must go
    assert_false(is_there(&folder, "bb.ewpack"));
    assert_false(is_there(&folder, "cc.ewpack"));
    assert_true(is_there(&folder, "aa.ewpack"));
    assert_int_equal(ew__cache_dir_make_room(folder.path, 10001), EW_LIMIT); // never fits
    assert_true(is_there(&folder, "aa.ewpack"));
    assert_int_equal(ew__cache_dir_make_room(folder.path, UINT64_MAX), EW_LIMIT);
    setenv("EDGEWISE_CACHE_MAX", "1000000T", 1); // more than any disk has
    assert_int_equal(ew__cache_dir_make_room(folder.path, (uint64_t)1 << 60), EW_LIMIT);
    assert_true(is_there(&folder, "aa.ewpack"));
    assert_true(is_there(&folder, "notes.txt"));
    assert_true(is_there(&folder, "ee.ewpack.tmp-abcdef"));
    unsetenv("EDGEWISE_CACHE_MAX");
    temp_folder_remove(&folder);
}

static void a_digest_tells_bits_lengths_and_pieces_apart(void **state) {
    (void)state;
    uint8_t bytes[200] = {0};
    for (size_t n = 0; n <= sizeof bytes; n++)
        for (size_t m = 0; m < n; m++)
            assert_true(ew__digest_of(bytes, n) != ew__digest_of(bytes, m));
    uint64_t plain = ew__digest_of(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(ew__digest_of(bytes, sizeof bytes) != plain);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    struct ew__digest one, two;
    uint64_t a[2], b[2];
    ew__digest_init(&one);
    ew__digest_add(&one, "ab", 2);
    ew__digest_add(&one, "c", 1);
    ew__digest_init(&two);
    ew__digest_add(&two, "a", 1);
    ew__digest_add(&two, "bc", 2);
    ew__digest_end(&one, a);
    ew__digest_end(&two, b);
    assert_true(a[0] != b[0] && a[1] != b[1]);
}

/* Names of files on disk depend on it. */
static void a_digest_stays_what_it_was(void **state) {
    (void)state;
    assert_true(ew__digest_of("edgewise", 8) == 0x2dcd93bcceef3030u);
}

static void a_file_that_is_built_appears_when_it_is_kept(void **state) {
    (void)state;
    struct temp_folder folder;
    struct ew__file_build build;
    struct ew__file_map map;
    temp_folder_make(&folder);
    assert_int_equal(ew__file_build_open(&build, temp_path(&folder, "x"), 10000), EW_OK);
    memset(build.data, 7, 10000);
    assert_false(is_there(&folder, "x"));
    ew__file_build_drop(&build);
    assert_int_equal(temp_folder_count(&folder), 0);
    assert_int_equal(ew__file_build_open(&build, temp_path(&folder, "x"), 10000), EW_OK);
    memset(build.data, 8, 10000);
    assert_int_equal(ew__file_build_keep(&build, &map), EW_OK);
    assert_int_equal(temp_folder_count(&folder), 1);
    assert_int_equal(map.size, 10000);
    assert_int_equal(map.data[9999], 8);
    ew__file_map_close(&map);
    assert_int_equal(ew__file_map_open(temp_path(&folder, "x"), &map), EW_OK);
    assert_int_equal(map.size, 10000);
    assert_int_equal(map.data[0], 8);
    ew__file_map_hint(map.data + 1, 5000, EW__PAGES_DONE);
    ew__file_map_hint(map.data, map.size, EW__PAGES_WILL_NEED);
    assert_int_equal(map.data[0], 8);
    ew__file_map_close(&map);
    assert_int_equal(ew__file_build_open(&build, temp_path(&folder, "no/x"), 10000), EW_IO);
    temp_folder_remove(&folder);
}

static void private_folders_are_made_with_their_parents(void **state) {
    (void)state;
    struct temp_folder folder;
    struct stat info;
    char path[700];
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s/a/b", folder.path);
    assert_int_equal(ew__make_private_dirs(path), EW_OK);
    assert_int_equal(ew__make_private_dirs(path), EW_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    temp_write_text(&folder, "file", "x");
    assert_int_equal(ew__make_private_dirs(temp_path(&folder, "file/c")), EW_IO);
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof path, "%s/a", folder.path);
    assert_int_equal(remove(path), 0);
    temp_folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_follows_the_environment),
        cmocka_unit_test(the_budget_is_a_number_with_a_unit),
        cmocka_unit_test(the_longest_unused_file_makes_room),
        cmocka_unit_test(a_digest_tells_bits_lengths_and_pieces_apart),
        cmocka_unit_test(a_digest_stays_what_it_was),
        cmocka_unit_test(a_file_that_is_built_appears_when_it_is_kept),
        cmocka_unit_test(private_folders_are_made_with_their_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
