// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { vocab = 12, draws = 200000 };

static const float logits[vocab] = {1.5f, 0.2f, -0.4f, 2.1f,  0.2f, -3.0f,
                                    1.1f, 0.0f, 2.1f,  -1.0f, 0.7f, -0.1f};

static void count_draws(const ew_sampling *sampling, size_t counts[vocab]) {
    struct ew__candidates candidates;
    uint64_t random = sampling->seed;
    assert_int_equal(ew__candidates_init(&candidates, vocab), EW_OK);
    memset(counts, 0, vocab * sizeof *counts);
    for (size_t i = 0; i < draws; i++)
        counts[ew__sample(&candidates, logits, vocab, sampling, &random)]++;
    ew__candidates_release(&candidates);
}

/* Chi-square of the counts against the softmax over the tokens that `kept` names. 11 degrees of
 * freedom at most: 35 is passed by chance once in 5,000 seeds. */
static void check_distribution(const ew_sampling *sampling, const bool kept[vocab]) {
    size_t counts[vocab];
    double total = 0, chi = 0;
    count_draws(sampling, counts);
    for (size_t i = 0; i < vocab; i++)
        total += kept[i] ? exp((double)logits[i] / (double)sampling->temperature) : 0;
    for (size_t i = 0; i < vocab; i++) {
        double p = kept[i] ? exp((double)logits[i] / (double)sampling->temperature) / total : 0;
        if (!kept[i])
            assert_int_equal(counts[i], 0);
        else
            chi += ((double)counts[i] - p * draws) * ((double)counts[i] - p * draws) / (p * draws);
    }
    assert_true(chi < 35);
}

/* Ranks by logit, the lower id first among equals: 3 8 0 6 10 1 4 7 11 2 9 5. */
static void stages_keep_what_their_definitions_say(void **state) {
    (void)state;
    ew_sampling s = {.size = sizeof s, .temperature = 0.8f, .seed = 3};
    bool all[vocab], top5[vocab] = {0}, top_p[vocab] = {0}, min_p[vocab] = {0};
    static const size_t order[vocab] = {3, 8, 0, 6, 10, 1, 4, 7, 11, 2, 9, 5};
    double total = 0, sum = 0;
    for (size_t i = 0; i < vocab; i++) {
        all[i] = true;
        total += exp((double)logits[i] / 0.8);
        min_p[i] = (double)logits[i] / 0.8 >= 2.1 / 0.8 + log(0.2);
    }
    for (size_t i = 0; i < 5; i++)
        top5[order[i]] = true;
    for (size_t i = 0; i < vocab && sum < 0.7 * total; i++) {
        top_p[order[i]] = true;
        sum += exp((double)logits[order[i]] / 0.8);
    }
    check_distribution(&s, all);
    s.top_k = 5;
    check_distribution(&s, top5);
    s.top_k = 0;
    s.top_p = 0.7f;
    check_distribution(&s, top_p);
    s.top_p = 0;
    s.min_p = 0.2f;
    check_distribution(&s, min_p);
}

static void greedy_takes_the_lowest_id_and_no_randomness(void **state) {
    (void)state;
    struct ew__candidates candidates;
    ew_sampling s = {.size = sizeof s};
    uint64_t random = 42;
    assert_int_equal(ew__candidates_init(&candidates, vocab), EW_OK);
    assert_int_equal(ew__sample(&candidates, logits, vocab, &s, &random), 3);
    assert_int_equal(random, 42);
    const float bad[4] = {NAN, NAN, 1, NAN};
    assert_int_equal(ew__sample(&candidates, bad, 4, &s, &random), 2);
    s.temperature = 1;
    s.top_k = 1;
    assert_int_equal(ew__sample(&candidates, logits, vocab, &s, &random), 3);
    const float none[3] = {NAN, NAN, NAN};
    int32_t id = ew__sample(&candidates, none, 3, &s, &random);
    assert_true(id >= 0 && id < 3);
    ew__candidates_release(&candidates);
}

static void settings_out_of_range_are_refused(void **state) {
    (void)state;
    static const ew_sampling bad[] = {
        {.temperature = -1}, {.temperature = NAN}, {.temperature = 1e9f}, {.top_p = 1.5f},
        {.top_p = -0.1f},    {.min_p = 2},         {.top_k = -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ew__sampling_check(&bad[i]), EW_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_keep_what_their_definitions_say),
        cmocka_unit_test(greedy_takes_the_lowest_id_and_no_randomness),
        cmocka_unit_test(settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
