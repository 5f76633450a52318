// SPDX-License-Identifier: Apache-2.0
/* Element-wise kernels. Where exp(-x) overflows float, x / (1 + exp(-x)) is 0 instead of a number
 * below 1e-36: FLOOR allows for it. */
#include "check.h"

#include <math.h>
#include <string.h>

#define FLOOR 2e-36

static float *filled(struct check *c, size_t n, double range) {
    float *x = check_floats(c, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(check_below(c, 8) == 0 ? check_uniform(c, -4, 4) * range
                                              : check_normal(c) * range / 4);
    if (n > 3) {
        x[check_below(c, n)] = 0;
        x[check_below(c, n)] = 1e-40f;
        x[check_below(c, n)] = (float)(-100 * range);
        x[check_below(c, n)] = (float)(100 * range);
    }
    return x;
}

static void compare_exact(struct check *c, size_t n, const float *y, const float *expected) {
    check_bits(c, "y", y, expected, n * sizeof *y);
}

void check_add(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t n = check_length(c, l);
        check_begin(c, "n %zu", n);
        float *x = filled(c, n, 3), *y = filled(c, n, 3), *expected = check_floats(c, n);
        for (size_t i = 0; i < n; i++)
            expected[i] = (float)((double)y[i] + (double)x[i]);
        c->k->add(y, x, n);
        compare_exact(c, n, y, expected);
        check_end(c);
    }
}

void check_scale(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t n = check_length(c, l);
        float a = (float)check_normal(c);
        check_begin(c, "n %zu a %g", n, (double)a);
        float *x = filled(c, n, 3), *y = check_floats(c, n), *expected = check_floats(c, n);
        for (size_t i = 0; i < n; i++)
            expected[i] = (float)((double)x[i] * (double)a);
        c->k->scale(x, a, y, n);
        compare_exact(c, n, y, expected);
        check_end(c);
    }
}

/* The output is a buffer of its own, or one of the inputs, as the contracts allow. */
static float *output(struct check *c, float *a, float *b, size_t n) {
    size_t which = check_below(c, 3);
    return which == 0 ? a : which == 1 && b != NULL ? b : check_floats(c, n);
}

void check_silu_mul(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t n = check_length(c, l);
        check_begin(c, "n %zu", n);
        float *gate = filled(c, n, 10), *up = filled(c, n, 1), *saved = check_floats(c, 2 * n);
        memcpy(saved, gate, n * sizeof *gate);
        memcpy(saved + n, up, n * sizeof *up);
        float *y = output(c, gate, up, n);
        c->k->silu_mul(gate, up, y, n);
        for (size_t i = 0; i < n; i++) {
            double g = (double)saved[i], u = (double)saved[n + i], truth = g / (1 + exp(-g)) * u;
            check_near(c, "y", i, (double)y[i], truth,
                       5 * EPS * fabs(truth) + FLOOR * fabs(u) + TINY);
        }
        check_end(c);
    }
}

void check_sigmoid_mul(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t n = check_length(c, l);
        check_begin(c, "n %zu", n);
        float *x = filled(c, n, 1), *gate = filled(c, n, 10), *saved = check_floats(c, n);
        memcpy(saved, x, n * sizeof *x);
        float *y = output(c, x, NULL, n);
        c->k->sigmoid_mul(x, gate, y, n);
        for (size_t i = 0; i < n; i++) {
            double truth = (double)saved[i] / (1 + exp(-(double)gate[i]));
            check_near(c, "y", i, (double)y[i], truth,
                       5 * EPS * fabs(truth) + FLOOR * fabs((double)saved[i]) + TINY);
        }
        check_end(c);
    }
}

/* The relative error of exp(-2z) is that of z times |2z|. */
static void gelu_case(struct check *c, size_t n, bool exact) {
    check_begin(c, "n %zu", n);
    float *x = filled(c, n, 4), *saved = check_floats(c, n);
    memcpy(saved, x, n * sizeof *x);
    float *y = output(c, x, NULL, n);
    (exact ? c->k->gelu_erf : c->k->gelu_tanh)(x, y, n);
    for (size_t i = 0; i < n; i++) {
        double v = (double)saved[i];
        double z = exact ? v * sqrt(0.5) : sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v);
        double truth = exact ? 0.5 * v * erfc(-z) : v / (1 + exp(-2 * z));
        double growth = exact ? 2 * z * z : fabs(2 * z);
        check_near(c, "y", i, (double)y[i], truth,
                   (8 + 6 * growth) * EPS * fabs(truth) + FLOOR * (1 + fabs(v)) + TINY);
    }
    check_end(c);
}

void check_gelu_tanh(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        gelu_case(c, check_length(c, l), false);
}

void check_gelu_erf(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        gelu_case(c, check_length(c, l), true);
}

void check_rope(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t half = check_length(c, l);
        check_begin(c, "half %zu", half);
        float *x = filled(c, 2 * half, 3), *saved = check_floats(c, 2 * half);
        float *cosine = check_floats(c, half), *sine = check_floats(c, half);
        memcpy(saved, x, 2 * half * sizeof *x);
        for (size_t i = 0; i < half; i++) {
            double angle = check_uniform(c, 0, 1000);
            cosine[i] = (float)cos(angle);
            sine[i] = (float)sin(angle);
        }
        c->k->rope(x, cosine, sine, half);
        for (size_t i = 0; i < half; i++) {
            double a = (double)saved[i], b = (double)saved[i + half];
            double co = (double)cosine[i], si = (double)sine[i];
            check_near(c, "first", i, (double)x[i], a * co - b * si,
                       3 * EPS * (fabs(a * co) + fabs(b * si)) + 2 * TINY);
            check_near(c, "second", i, (double)x[i + half], b * co + a * si,
                       3 * EPS * (fabs(b * co) + fabs(a * si)) + 2 * TINY);
        }
        check_end(c);
    }
}
