// SPDX-License-Identifier: Apache-2.0
/* Rotary frequencies: interleaved axes, and YaRN against numbers from its paper's formulas (arXiv
 * 2309.00071; computed in Python in double precision). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model/blocks.h"

#include <math.h>

struct fixture {
    struct ew__model model;
    struct ew__workspace ws;
    float inv_freq[64], cosine[64], sine[64];
};

static void set_up(struct fixture *f, uint32_t n_rot, double theta, struct ew__yarn yarn) {
    struct ew__config *c = &f->model.checkpoint.config;
    *c = (struct ew__config){
        .n_rot = n_rot, .rope_theta = theta, .yarn = yarn, .rope_sections = {11, 11, 10}};
    f->model.config = c;
    f->ws = (struct ew__workspace){
        .model = &f->model, .inv_freq = f->inv_freq, .cosine = f->cosine, .sine = f->sine};
    ew__rope_init(&f->ws);
}

static void expect(double got, double want) {
    assert_true(fabs(got / want - 1) < 1e-6);
}

static void yarn_blends_the_frequencies(void **state) {
    (void)state;
    static struct fixture f;
    static const struct {
        uint32_t i;
        double want;
    } published[] = {{0, 1},
                     {1, 0.60429639},
                     {13, 0.00143301257},
                     {14, 0.000865964323},
                     {15, 0.000474239823},
                     {18, 7.2173874e-05},
                     {20, 1.8449222e-05},
                     {21, 8.75977007e-06},
                     {22, 3.84981632e-06},
                     {31, 4.13704275e-08}};
    set_up(&f, 64, 1e7, (struct ew__yarn){4, 262144, 32, 1, 0});
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
        expect((double)f.inv_freq[published[i].i], published[i].want);
    expect((double)f.inv_freq[32], 1.138629436111989);
    set_up(&f, 8, 1e4, (struct ew__yarn){8, 512, 32, 1, 0});
    static const double small[4] = {1, 0.05625, 0.00125, 0.000125};
    for (size_t i = 0; i < 4; i++)
        expect((double)f.inv_freq[i], small[i]);
    set_up(&f, 8, 1e4, (struct ew__yarn){8, 512, 32, 1, 1.5});
    expect((double)f.inv_freq[4], 1.5); // the file's own attention factor
}

static void without_yarn_nothing_changes(void **state) {
    (void)state;
    static struct fixture f;
    set_up(&f, 64, 1e7, (struct ew__yarn){1, 262144, 32, 1, 0});
    for (uint32_t i = 0; i < 32; i++)
        expect((double)f.inv_freq[i], pow(1e7, -2.0 * i / 64));
    expect((double)f.inv_freq[32], 1);
}

/* THWTHW...: 11 frequencies follow T, 11 H, 10 W; the last one is H's eleventh. */
static void axes_are_interleaved(void **state) {
    (void)state;
    static struct fixture f;
    static const char axes[] = "THWTHWTHWTHWTHWTHWTHWTHWTHWTHWTH";
    const int32_t positions[1][3] = {{2, 30, 400}};
    struct ew__batch batch = {.n_tokens = 1, .positions = positions};
    set_up(&f, 64, 1e7, (struct ew__yarn){1, 262144, 32, 1, 0});
    ew__rope_tables(&f.ws, &batch);
    for (uint32_t i = 0; i < 32; i++) {
        int32_t position = axes[i] == 'T' ? 2 : axes[i] == 'H' ? 30 : 400;
        double angle = position * (double)f.inv_freq[i];
        assert_true(fabs((double)f.cosine[i] - cos(angle)) < 1e-6);
        assert_true(fabs((double)f.sine[i] - sin(angle)) < 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yarn_blends_the_frequencies),
        cmocka_unit_test(without_yarn_nothing_changes),
        cmocka_unit_test(axes_are_interleaved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
