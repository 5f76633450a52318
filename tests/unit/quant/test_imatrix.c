// SPDX-License-Identifier: Apache-2.0
/* Importance matrices: sums, merging, both forms on disk, broken files, failing allocation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "quant/imatrix.h"
#include "support/bad_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int make_path(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/ew-imatrix-%ld.gguf", (long)getpid());
    return 0;
}

static int remove_file(void **state) {
    (void)state;
    remove(path);
    return 0;
}

static const float rows[2][3] = {{1, -2, 0.5f}, {3, 4, -1}};

static void fill(struct ew__imatrix *imatrix) {
    struct ew__imatrix_entry *entry;
    *imatrix = (struct ew__imatrix){.n_chunks = 2, .chunk_size = 512};
    imatrix->dataset = ew__strndup("text", 4);
    assert_int_equal(ew__imatrix_entry(imatrix, "blk.0.ffn_up.weight", 3, &entry), EW_OK);
    ew__imatrix_add(entry, rows[0], 3, 2);
    assert_int_equal(ew__imatrix_entry(imatrix, "blk.1.ffn_up.weight", 2, &entry), EW_OK);
    ew__imatrix_add(entry, rows[0], 3, 1); // two columns of rows three apart
}

static void expect_importance(const struct ew__imatrix *imatrix, const char *name, uint64_t n,
                              const float *wanted) {
    float found[8];
    assert_int_equal(ew__imatrix_importance(imatrix, name, n, found), EW_OK);
    for (uint64_t i = 0; i < n; i++)
        assert_true(found[i] == wanted[i]);
}

static void importance_is_the_mean_square(void **state) {
    (void)state;
    struct ew__imatrix imatrix;
    float found[8];
    fill(&imatrix);
    expect_importance(&imatrix, "blk.0.ffn_up.weight", 3, (const float[]){5, 10, 0.625f});
    expect_importance(&imatrix, "blk.1.ffn_up.weight", 2, (const float[]){1, 4});
    assert_int_equal(ew__imatrix_importance(&imatrix, "blk.2.ffn_up.weight", 3, found),
                     EW_NOT_FOUND);
    assert_int_equal(ew__imatrix_importance(&imatrix, "blk.1.ffn_up.weight", 3, found), EW_FORMAT);
    struct ew__imatrix_entry *entry;
    assert_int_equal(ew__imatrix_entry(&imatrix, "blk.1.ffn_up.weight", 3, &entry), EW_FORMAT);
    assert_int_equal(ew__imatrix_entry(&imatrix, "empty", 3, &entry), EW_OK);
    assert_int_equal(ew__imatrix_importance(&imatrix, "empty", 3, found), EW_NOT_FOUND);
    ew__imatrix_release(&imatrix);
}

static void comes_back_from_a_file(void **state) {
    (void)state;
    struct ew__imatrix imatrix, back;
    fill(&imatrix);
    assert_int_equal(ew__imatrix_write(&imatrix, path), EW_OK);
    assert_int_equal(ew__imatrix_read(path, &back), EW_OK);
    assert_int_equal(back.n_entries, 2);
    assert_int_equal(back.n_chunks, 2);
    assert_int_equal(back.chunk_size, 512);
    assert_string_equal(back.dataset, "text");
    expect_importance(&back, "blk.0.ffn_up.weight", 3, (const float[]){5, 10, 0.625f});
    expect_importance(&back, "blk.1.ffn_up.weight", 2, (const float[]){1, 4});
    ew__imatrix_release(&back);
    ew__imatrix_release(&imatrix);
}

static void merging_adds(void **state) {
    (void)state;
    struct ew__imatrix a, b;
    struct ew__imatrix_entry *entry;
    fill(&a);
    fill(&b);
    assert_int_equal(ew__imatrix_entry(&b, "only.here", 1, &entry), EW_OK);
    ew__imatrix_add(entry, rows[1], 1, 1);
    assert_int_equal(ew__imatrix_merge(&a, &b), EW_OK);
    assert_int_equal(a.n_chunks, 4);
    assert_string_equal(a.dataset, "text, text");
    assert_true(ew__imatrix_find(&a, "blk.0.ffn_up.weight")->count == 4);
    assert_true(ew__imatrix_find(&a, "blk.0.ffn_up.weight")->sum2[1] == 40);
    expect_importance(&a, "only.here", 1, (const float[]){9});
    ew__imatrix_release(&b);
    fill(&b);
    b.chunk_size = 256;
    assert_int_equal(ew__imatrix_merge(&a, &b), EW_FORMAT);
    b.chunk_size = 512;
    b.entries[1].n = 1; // another model's
    assert_int_equal(ew__imatrix_merge(&a, &b), EW_FORMAT);
    assert_int_equal(a.n_chunks, 4);
    assert_true(ew__imatrix_find(&a, "blk.0.ffn_up.weight")->count == 4);
    ew__imatrix_release(&b);
    ew__imatrix_release(&a);
}

/* One tensor of two columns, four calls, from a text "wiki". */
static void make_dat(struct craft *file) {
    craft_u32(file, 1);
    craft_u32(file, 7);
    craft_text(file, "blk.0.a");
    craft_u32(file, 4);
    craft_u32(file, 2);
    craft_u32(file, 0x41000000); // 8
    craft_u32(file, 0x40000000); // 2
    craft_u32(file, 10);
    craft_u32(file, 4);
    craft_text(file, "wiki");
}

static void reads_the_older_form(void **state) {
    (void)state;
    struct craft file = {0};
    struct ew__imatrix imatrix;
    make_dat(&file);
    assert_int_equal(ew__imatrix_read_dat(file.bytes, file.n, &imatrix), EW_OK);
    assert_int_equal(imatrix.n_chunks, 10);
    assert_string_equal(imatrix.dataset, "wiki");
    expect_importance(&imatrix, "blk.0.a", 2, (const float[]){2, 0.5f});
    ew__imatrix_release(&imatrix);
    size_t without_tail = file.n - 12;
    for (size_t n = 0; n < file.n; n++) {
        ew_status status = ew__imatrix_read_dat(file.bytes, n, &imatrix);
        assert_int_equal(status, n == without_tail ? EW_OK : EW_FORMAT);
        ew__imatrix_release(&imatrix);
    }
    craft_free(&file);
}

static void refuses_other_files(void **state) {
    (void)state;
    struct ew__imatrix imatrix;
    assert_int_not_equal(ew__imatrix_read("models/tiny.gguf", &imatrix), EW_OK);
    assert_non_null(strstr(ew_last_error(), "no importance matrix"));
    ew__imatrix_release(&imatrix);
    assert_int_not_equal(ew__imatrix_read("models/README.md", &imatrix), EW_OK);
    ew__imatrix_release(&imatrix);
    assert_int_not_equal(ew__imatrix_read("no/such/file", &imatrix), EW_OK);
    assert_non_null(strstr(ew_last_error(), "no/such/file"));
    ew__imatrix_release(&imatrix);
}

static void survives_failing_allocation(void **state) {
    (void)state;
    struct ew__imatrix a, b;
    fill(&a);
    ew_status status = EW_NO_MEMORY;
    for (uint64_t n = 1; status != EW_OK; n++) {
        assert_true(n < 1000);
        ew__mem_fail_at(n);
        status = ew__imatrix_write(&a, path);
        if (status == EW_OK) {
            status = ew__imatrix_read(path, &b);
            if (status == EW_OK)
                status = ew__imatrix_merge(&b, &a);
            ew__imatrix_release(&b);
        }
        ew__mem_fail_at(0);
        assert_true(status == EW_OK || status == EW_NO_MEMORY);
    }
    ew__imatrix_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(importance_is_the_mean_square),
        cmocka_unit_test(comes_back_from_a_file),
        cmocka_unit_test(merging_adds),
        cmocka_unit_test(reads_the_older_form),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(survives_failing_allocation),
    };
    return cmocka_run_group_tests(tests, make_path, remove_file);
}
