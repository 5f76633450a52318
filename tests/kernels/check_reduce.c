// SPDX-License-Identifier: Apache-2.0
/* Norms, softmax and argmax. */
#include "check.h"

#include <math.h>
#include <string.h>

static double sum_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

static double squares_of(const float *x, size_t n, double mean) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sum;
}

static void rms_case(struct check *c, size_t n) {
    enum distribution d = check_distribution(c);
    float eps = check_below(c, 2) ? 1e-6f : 1e-5f;
    bool in_place = check_below(c, 2);
    check_begin(c, "n %zu x %s in place %d", n, check_distribution_name(d), in_place);
    float *x = check_floats(c, n), *w = check_floats(c, n), *saved = check_floats(c, n);
    check_fill(c, d, x, n);
    check_fill(c, NORMAL, w, n);
    memcpy(saved, x, n * sizeof *x);
    float *y = in_place ? x : check_floats(c, n);
    c->k->rms_norm(x, w, y, n, eps);
    double factor = 1 / sqrt(squares_of(saved, n, 0) / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++) {
        double truth = (double)saved[i] * factor * (double)w[i];
        check_near(c, "y", i, (double)y[i], truth,
                   ((double)n + 8) * EPS * fabs(truth) + TINY * (1 + fabs((double)w[i])));
    }
    check_end(c);
}

void check_rms_norm(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        rms_case(c, check_length(c, l));
}

void check_l2_norm(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t n = check_length(c, l);
        enum distribution d = check_distribution(c);
        float scale = check_below(c, 2) ? 1.0f : 0.0883883461f;
        check_begin(c, "n %zu x %s scale %g", n, check_distribution_name(d), (double)scale);
        float *x = check_floats(c, n), *saved = check_floats(c, n);
        check_fill(c, d, x, n);
        memcpy(saved, x, n * sizeof *x);
        c->k->l2_norm(x, n, 1e-6f, scale);
        double factor = (double)scale / sqrt(squares_of(saved, n, 0) + (double)1e-6f);
        for (size_t i = 0; i < n; i++) {
            double truth = (double)saved[i] * factor;
            check_near(c, "x", i, (double)x[i], truth, ((double)n + 8) * EPS * fabs(truth) + TINY);
        }
        check_end(c);
    }
}

/* The mean is off by up to n eps mean|x|; that shifts every value, and the variance by its square
 * and its product with the spread. */
static void layer_case(struct check *c, size_t n) {
    enum distribution d = check_distribution(c);
    const double eps = (double)1e-6f;
    check_begin(c, "n %zu x %s", n, check_distribution_name(d));
    float *x = check_floats(c, n), *w = check_floats(c, n), *b = check_floats(c, n);
    float *y = check_floats(c, n);
    check_fill(c, d, x, n);
    check_fill(c, NORMAL, w, n);
    check_fill(c, NORMAL, b, n);
    c->k->layer_norm(x, w, b, y, n, 1e-6f);
    double terms = (double)n + 8, size = 0, mean = sum_of(x, n) / (double)n;
    for (size_t i = 0; i < n; i++)
        size += fabs((double)x[i]) / (double)n;
    double mean_error = terms * EPS * size + TINY;
    double variance = squares_of(x, n, mean) / (double)n, factor = 1 / sqrt(variance + eps);
    double variance_error =
        terms * EPS * variance + 4 * mean_error * mean_error + 2 * EPS * size * sqrt(variance);
    double relative = variance_error / (variance + eps) + 8 * EPS;
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i] - mean, weight = (double)w[i];
        double error = fabs(weight) * factor * (fabs(v) * relative + 2 * mean_error);
        double truth = v * factor * weight + (double)b[i];
        check_near(c, "y", i, (double)y[i], truth,
                   error + 4 * EPS * (fabs(truth) + fabs((double)b[i])));
    }
    check_end(c);
}

void check_layer_norm(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        layer_case(c, check_length(c, l));
}

static void softmax_case(struct check *c, size_t n, double range) {
    check_begin(c, "n %zu range %g", n, range);
    float *x = check_floats(c, n), *y = check_floats(c, n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(check_normal(c) * range);
    float got = c->k->softmax(x, y, n);
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    double shift = 12 * range; /* the largest |x - max|, whose rounding exp amplifies */
    double relative = ((double)n + 8 + shift) * EPS;
    check_near(c, "sum", 0, (double)got, sum, relative * sum);
    for (size_t i = 0; i < n; i++) {
        double truth = exp((double)x[i] - max) / sum;
        check_near(c, "y", i, (double)y[i], truth, 2 * relative * truth + 4 * TINY);
    }
    check_end(c);
}

void check_softmax(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        softmax_case(c, check_length(c, l), l % 3 ? 2 : 20);
}

/* Few different values, so that the largest occurs often; NaN here and there. */
static void argmax_case(struct check *c, size_t n) {
    bool with_nan = check_below(c, 3) == 0;
    check_begin(c, "n %zu nan %d", n, with_nan);
    float *x = check_floats(c, n);
    size_t best = 0;
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)check_below(c, 1 + n / 4) - (float)n;
        if (check_below(c, 20) == 0)
            x[i] = -INFINITY;
        if (with_nan && check_below(c, 2))
            x[i] = NAN;
        if (!isnan(x[i]) && (!found || x[i] > x[best])) {
            best = i;
            found = true;
        }
    }
    size_t got = c->k->argmax(x, n);
    if (got != (found ? best : 0))
        check_fail(c, "%zu, expected %zu", got, best);
    check_end(c);
}

void check_argmax(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        argmax_case(c, check_length(c, l));
        argmax_case(c, check_length(c, l));
    }
}
