// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kernels/pool.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define ITEMS 1000u

struct tally {
    atomic_uint seen[ITEMS];
    atomic_uint pieces, too_large;
    size_t grain;
};

static void count_items(void *context, size_t begin, size_t end, void *scratch) {
    struct tally *tally = context;
    memset(scratch, 0x5a, 256); /* each thread's own: the thread sanitizer would see a shared one */
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&tally->seen[i], 1);
    atomic_fetch_add(&tally->pieces, 1);
    if (end - begin > tally->grain || end <= begin)
        atomic_fetch_add(&tally->too_large, 1);
}

static void run_once(struct ew__pool *pool, size_t n, size_t grain) {
    static struct tally tally;
    memset(&tally, 0, sizeof tally);
    tally.grain = grain;
    ew__pool_run(pool, n, grain, count_items, &tally);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(tally.seen[i], i < n ? 1 : 0);
    assert_int_equal(tally.pieces, (n + grain - 1) / grain);
    assert_int_equal(tally.too_large, 0);
}

static void every_item_runs_once_whatever_the_cut(void **state) {
    (void)state;
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct ew__pool *pool;
        assert_int_equal(ew__pool_new(threads, 256, &pool), EW_OK);
        assert_int_equal(ew__pool_threads(pool), threads);
        assert_int_equal(ew__pool_scratch_bytes(pool), 256);
        for (size_t grain = 1; grain <= ITEMS; grain = grain * 3 + 1) {
            run_once(pool, ITEMS, grain);
            run_once(pool, grain, grain);
            run_once(pool, 0, grain);
        }
        ew__pool_free(pool);
    }
}

static void workers_wake_from_sleep_and_from_spinning(void **state) {
    (void)state;
    struct ew__pool *pool;
    assert_int_equal(ew__pool_new(3, 256, &pool), EW_OK);
    for (int i = 0; i < 300; i++) {
        run_once(pool, 64, 1);
        struct timespec pause = {0, i % 10 == 0 ? 1000000 : 20000}; /* past the spin, and near it */
        if (i % 3 == 0)
            nanosleep(&pause, NULL);
    }
    ew__pool_free(pool);
}

static void add_up(void *context, size_t begin, size_t end, void *scratch) {
    uint64_t *out = context;
    (void)scratch;
    for (size_t i = begin; i < end; i++)
        out[i] += i; /* a plain write: visible to the caller and to the next run's threads */
}

static void writes_are_visible_after_the_run(void **state) {
    (void)state;
    static uint64_t out[ITEMS];
    struct ew__pool *pool;
    assert_int_equal(ew__pool_new(4, 0, &pool), EW_OK);
    for (int i = 0; i < 2000; i++)
        ew__pool_run(pool, ITEMS, 7, add_up, out);
    ew__pool_free(pool);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(out[i], 2000 * i);
}

/* Threads that are not used take nothing, and come back when they are. */
struct owners {
    atomic_uint scratches; /* different scratch memories seen, by a mark in each */
    uint32_t mark, expected;
};

static void mark_scratch(void *context, size_t begin, size_t end, void *scratch) {
    struct owners *owners = context;
    (void)begin, (void)end;
    if (*(uint32_t *)scratch != owners->mark)
        atomic_fetch_add(&owners->scratches, 1);
    *(uint32_t *)scratch = owners->mark;
    struct timespec pause = {0, 200000}; /* until the others have joined: a busy machine is slow */
    int rounds = 0;
    do
        nanosleep(&pause, NULL);
    while (atomic_load(&owners->scratches) < owners->expected && rounds++ < 100000);
}

static void only_the_threads_in_use_take_part(void **state) {
    (void)state;
    static const uint32_t counts[] = {4, 1, 3, 2, 4, 2, 0, 9};
    struct ew__pool *pool;
    assert_int_equal(ew__pool_new(4, 256, &pool), EW_OK);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t expected = counts[i] == 0 || counts[i] > 4 ? 4 : counts[i];
        ew__pool_use(pool, counts[i]);
        assert_int_equal(ew__pool_threads(pool), expected);
        struct owners owners = {.mark = 1000 + i, .expected = expected};
        ew__pool_run(pool, 64, 1, mark_scratch, &owners);
        assert_int_equal(owners.scratches, expected);
    }
    ew__pool_free(pool);
}

/* A thread held up in its own lane: the others empty it. */
struct slow {
    atomic_uint done;
    atomic_bool waited;
};

static void first_is_slow(void *context, size_t begin, size_t end, void *scratch) {
    struct slow *slow = context;
    (void)scratch;
    if (begin == 0) { /* until everything else is done */
        for (int i = 0; i < 20000 && atomic_load(&slow->done) < ITEMS - 1; i++) {
            struct timespec pause = {0, 1000000};
            nanosleep(&pause, NULL);
        }
        atomic_store(&slow->waited, atomic_load(&slow->done) == ITEMS - 1);
    }
    atomic_fetch_add(&slow->done, (unsigned)(end - begin));
}

static void others_take_what_a_slow_thread_leaves(void **state) {
    (void)state;
    struct ew__pool *pool;
    struct slow slow = {0};
    assert_int_equal(ew__pool_new(2, 0, &pool), EW_OK);
    ew__pool_run(pool, ITEMS, 1, first_is_slow, &slow);
    assert_true(slow.waited);
    assert_int_equal(slow.done, ITEMS);
    ew__pool_free(pool);
}

static void pool_fails_cleanly_without_memory(void **state) {
    (void)state;
    for (uint64_t at = 1; at <= 7;
         at++) { /* the pool, its two tables, and the scratch of four threads */
        struct ew__pool *pool = (struct ew__pool *)state;
        ew__mem_fail_at(at);
        assert_int_equal(ew__pool_new(4, 64, &pool), EW_NO_MEMORY);
        assert_null(pool);
        ew__mem_fail_at(0);
    }
    ew__pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once_whatever_the_cut),
        cmocka_unit_test(workers_wake_from_sleep_and_from_spinning),
        cmocka_unit_test(writes_are_visible_after_the_run),
        cmocka_unit_test(only_the_threads_in_use_take_part),
        cmocka_unit_test(others_take_what_a_slow_thread_leaves),
        cmocka_unit_test(pool_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
