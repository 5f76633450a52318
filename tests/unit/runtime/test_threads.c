// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/threads.h"
#include "support/temp_folder.h"

#include <stdio.h>
#include <string.h>

static const struct ew__cores HYPERTHREADS = {.logical = 4, .physical = 2, .performance = 2};

static void no_choice_no_measurement(void **state) {
    (void)state;
    const struct ew__cores two = {.logical = 2, .physical = 2, .performance = 2};
    struct temp_folder folder;
    struct ew__thread_counts counts;
    temp_folder_make(&folder);
    ew__threads_choose(folder.path, &two, ew__kernels_select(NULL), &counts);
    assert_int_equal(counts.batch, 2);
    assert_int_equal(counts.decode, 2);
    assert_false(counts.measured);
    assert_int_equal(temp_folder_count(&folder), 0);
    temp_folder_remove(&folder);
}

static void is_a_choice(const struct ew__thread_counts *counts) {
    assert_true(counts->measured);
    assert_true(counts->batch == 2 || counts->batch == 4);
    assert_true(counts->decode == 2 || counts->decode == 4);
}

static void counts_are_measured_once_and_kept(void **state) {
    (void)state;
    const struct ew__kernels *kernels = ew__kernels_select(NULL);
    struct temp_folder folder;
    struct ew__thread_counts counts, again;
    char text[256];
    temp_folder_make(&folder);
    ew__threads_known(folder.path, &HYPERTHREADS, kernels, &counts);
    assert_false(counts.measured);
    ew__threads_choose(folder.path, &HYPERTHREADS, kernels, &counts);
    is_a_choice(&counts);
    ew__threads_known(folder.path, &HYPERTHREADS, kernels, &again);
    assert_memory_equal(&again, &counts, sizeof counts);

    snprintf(text, sizeof text, "edgewise threads 1 %s 4 2 2 0\n7 3\n", kernels->isa);
    temp_write_text(&folder, "threads", text);
    ew__threads_choose(folder.path, &HYPERTHREADS, kernels, &counts); /* believes the file */
    assert_int_equal(counts.batch, 7);
    assert_int_equal(counts.decode, 3);
    temp_folder_remove(&folder);
}

static void other_facts_and_damaged_files_are_not_believed(void **state) {
    (void)state;
    static const char *const tails[] = {"4 2 2 1\n3 3\n",    "4 2 2 0\n3\n", "4 2 2 0\n0 3\n",
                                        "4 2 2 0\n3 1000\n", "4 2 2 0",      ""};
    const struct ew__kernels *kernels = ew__kernels_select(NULL);
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        struct ew__thread_counts counts;
        char text[256];
        snprintf(text, sizeof text, "edgewise threads 1 %s %s", kernels->isa, tails[i]);
        temp_write_text(&folder, "threads", text);
        ew__threads_known(folder.path, &HYPERTHREADS, kernels, &counts);
        assert_false(counts.measured);
        assert_int_equal(counts.decode, 2);
    }
    temp_folder_remove(&folder);
}

static void without_a_folder_counts_are_still_measured(void **state) {
    (void)state;
    struct ew__thread_counts counts;
    ew__threads_choose(NULL, &HYPERTHREADS, ew__kernels_select("scalar"), &counts);
    is_a_choice(&counts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_choice_no_measurement),
        cmocka_unit_test(counts_are_measured_once_and_kept),
        cmocka_unit_test(other_facts_and_damaged_files_are_not_believed),
        cmocka_unit_test(without_a_folder_counts_are_still_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
