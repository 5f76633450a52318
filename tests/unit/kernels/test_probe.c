// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "kernels/probe.h"

#include <string.h>

#define BYTES ((size_t)8 << 20)

static struct ew__probe probe(const char *isa, uint32_t threads) {
    struct ew__pool *pool;
    struct ew__probe out;
    assert_int_equal(ew__pool_new(threads, 64, &pool), EW_OK);
    assert_int_equal(ew__probe_machine(ew__kernels_select(isa), pool, BYTES, &out), EW_OK);
    ew__pool_free(pool);
    return out;
}

/* Plausible for anything between a phone under a sanitizer and a large server. */
static void rates_are_of_this_world(void **state) {
    (void)state;
    for (size_t i = 0; i < ew__kernels_isa_count(); i++) {
        const char *isa = ew__kernels_isa_name(i);
        struct ew__probe got = probe(isa, 2);
        assert_true(got.read_bytes_per_second > 1e7 && got.read_bytes_per_second < 1e13);
        assert_true(got.i8_ops_per_second > 1e6 && got.i8_ops_per_second < 1e15);
        assert_true(got.f32_ops_per_second > 1e6 && got.f32_ops_per_second < 1e15);
        assert_true((got.bf16_ops_per_second > 0) == (ew__kernels_select(isa)->peak_bf16 != NULL));
    }
}

/* Operations are counted per round, and the rounds are done: ten times the rounds take longer. */
static void work_grows_with_the_rounds(void **state) {
    (void)state;
    for (size_t i = 0; i < ew__kernels_isa_count(); i++) {
        const struct ew__kernels *kernels = ew__kernels_select(ew__kernels_isa_name(i));
        ew__peak_fn *const peaks[] = {kernels->peak_i8, kernels->peak_f32, kernels->peak_bf16};
        for (size_t p = 0; p < 3; p++) {
            if (peaks[p] == NULL)
                continue;
            assert_int_equal(peaks[p](0), 0);
            uint64_t least[2] = {UINT64_MAX, UINT64_MAX};
            for (size_t pass = 0; pass < 20; pass++) {
                for (size_t k = 0; k < 2; k++) {
                    uint64_t rounds = k == 0 ? 10000 : 100000, start = ew__now_ns();
                    assert_int_equal(peaks[p](rounds), rounds * peaks[p](1));
                    uint64_t took = ew__now_ns() - start;
                    least[k] = took < least[k] ? took : least[k];
                }
            }
            assert_true(least[1] > 5 * least[0]);
        }
    }
}

static void a_vector_set_beats_plain_c(void **state) {
    (void)state;
    size_t count = ew__kernels_isa_count();
    if (count < 2)
        skip();
    struct ew__probe plain = probe("scalar", 1);
    struct ew__probe best = probe(ew__kernels_isa_name(count - 1), 1);
    assert_true(best.f32_ops_per_second > plain.f32_ops_per_second);
    assert_true(best.i8_ops_per_second > plain.i8_ops_per_second);
}

static void without_memory_it_says_so(void **state) {
    (void)state;
    struct ew__pool *pool;
    struct ew__probe out;
    assert_int_equal(ew__pool_new(1, 64, &pool), EW_OK);
    ew__mem_fail_at(1);
    assert_int_equal(ew__probe_machine(ew__kernels_select(NULL), pool, BYTES, &out), EW_NO_MEMORY);
    ew__pool_free(pool);
    assert_true(ew__probe_bytes() >= 1u << 20);
    assert_true(ew__probe_bytes() <= 1u << 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_of_this_world),
        cmocka_unit_test(work_grows_with_the_rounds),
        cmocka_unit_test(a_vector_set_beats_plain_c),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
