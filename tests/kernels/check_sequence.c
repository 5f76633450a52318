// SPDX-License-Identifier: Apache-2.0
/* Kernels over positions: convolution, delta rule, attention. */
#include "check.h"

#include "quant/blocks.h"

#include <math.h>
#include <string.h>

static void conv_case(struct check *c, size_t n, size_t t) {
    size_t ld = n + check_below(c, 3);
    check_begin(c, "n %zu t %zu ld %zu", n, t, ld);
    float *past = check_floats(c, 2 * ld + n), *u = check_floats(c, (t - 1) * ld + n);
    float *w = check_floats(c, 3 * ld + n), *y = check_floats(c, t * ld);
    check_fill(c, NORMAL, past, 2 * ld + n);
    check_fill(c, check_distribution(c), u, (t - 1) * ld + n);
    check_fill(c, NORMAL, w, 3 * ld + n);
    c->k->conv4_silu(past, ld, u, ld, w, ld, y, ld, n, t);
    for (size_t j = 0; j < t; j++) {
        for (size_t i = 0; i < n; i++) {
            double sum = 0, size = 0;
            for (size_t tap = 0; tap < 4; tap++) {
                double in =
                    (double)(j + tap < 3 ? past[(j + tap) * ld + i] : u[(j + tap - 3) * ld + i]);
                sum += (double)w[tap * ld + i] * in;
                size += fabs((double)w[tap * ld + i] * in);
            }
            double truth = sum / (1 + exp(-sum)); /* its slope is at most 1.1 */
            check_near(c, "y", j * ld + i, (double)y[j * ld + i], truth,
                       6 * EPS * size + 8 * EPS * fabs(truth) + 1e-35 + 8 * TINY);
        }
        if (!check_untouched(y + j * ld + n, ld - n))
            check_fail(c, "wrote behind the channels of token %zu", j);
    }
    float *alone = check_floats(c, n); /* the order contract: the last token by itself */
    if (t > 3) {
        c->k->conv4_silu(u + (t - 4) * ld, ld, u + (t - 1) * ld, ld, w, ld, alone, n, n, 1);
        check_bits(c, "last token against t = 1", y + (t - 1) * ld, alone, n * sizeof *alone);
    }
    check_end(c);
}

void check_conv4_silu(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++)
        conv_case(c, check_length(c, l), check_count(check_below(c, 8)));
}

struct delta_case {
    size_t dk, cols, t, ldqk, ldv, ldab, ldo;
    float *S, *q, *k, *v, *alpha, *beta, *o;
};

static void delta_call(const struct ew__kernels *kernels, const struct delta_case *a, float *S,
                       size_t cols, size_t from_col, size_t from, size_t t, float *o) {
    kernels->delta_rule(S, a->dk, cols, a->q + from * a->ldqk, a->k + from * a->ldqk, a->ldqk,
                        a->v + from * a->ldv + from_col, a->ldv, a->alpha + from * a->ldab,
                        a->beta + from * a->ldab, a->ldab, o + from * a->ldo + from_col, a->ldo, t);
}

static void delta_fill(struct check *c, struct delta_case *a) {
    a->S = check_floats(c, a->dk * a->cols);
    a->q = check_floats(c, a->t * a->ldqk);
    a->k = check_floats(c, a->t * a->ldqk);
    a->v = check_floats(c, a->t * a->ldv);
    a->alpha = check_floats(c, a->t * a->ldab);
    a->beta = check_floats(c, a->t * a->ldab);
    a->o = check_floats(c, a->t * a->ldo);
    check_fill(c, NORMAL, a->S, a->dk * a->cols);
    check_fill(c, NORMAL, a->q, a->t * a->ldqk);
    check_fill(c, NORMAL, a->v, a->t * a->ldv);
    for (size_t i = 0; i < a->t * a->ldqk; i++) /* about unit length, as after the L2 norm */
        a->k[i] = (float)(check_normal(c) / sqrt((double)a->dk));
    for (size_t i = 0; i < a->t * a->ldab; i++) {
        a->alpha[i] = check_below(c, 10) ? (float)check_uniform(c, 0.5, 1) : 0;
        a->beta[i] = check_below(c, 10) ? (float)check_uniform(c, 0, 1) : 0;
    }
}

/* The first token against the formula; S is the state before it. */
static void delta_truth(struct check *c, const struct delta_case *a, const float *S,
                        const float *after, const float *o) {
    double alpha = (double)a->alpha[0], beta = (double)a->beta[0], terms = (double)a->dk + 4;
    for (size_t col = 0; col < a->cols; col++) {
        double m = 0, m_size = 0, out = 0, out_size = 0;
        for (size_t i = 0; i < a->dk; i++) {
            m += (double)S[i * a->cols + col] * (double)a->k[i];
            m_size += fabs((double)S[i * a->cols + col] * (double)a->k[i]);
        }
        double v = (double)a->v[col], d = beta * (v - alpha * m);
        double d_error = beta * (terms + 4) * EPS * (alpha * m_size + fabs(v)) + 2 * TINY;
        for (size_t i = 0; i < a->dk; i++) {
            double old = alpha * (double)S[i * a->cols + col], k = (double)a->k[i];
            double s = old + k * d, error = 3 * EPS * (fabs(old) + fabs(k * d)) + fabs(k) * d_error;
            check_near(c, "S", i * a->cols + col, (double)after[i * a->cols + col], s,
                       error + TINY);
            out += s * (double)a->q[i];
            out_size += (fabs(s) * (terms + 4) * EPS + error) * fabs((double)a->q[i]);
        }
        check_near(c, "o", col, (double)o[col], out, out_size + TINY * terms);
    }
}

/* All tokens at once = token by token = cut into two blocks of columns, bit for bit. */
static void delta_orders(struct check *c, const struct delta_case *a, const float *S) {
    size_t bytes = a->dk * a->cols * sizeof(float), cut = 1 + check_below(c, a->cols);
    float *state = check_floats(c, a->dk * a->cols), *o = check_floats(c, a->t * a->ldo);
    memcpy(state, S, bytes);
    for (size_t j = 0; j < a->t; j++) {
        delta_call(c->k, a, state, a->cols, 0, j, 1, o);
        check_bits(c, "o token by token", o + j * a->ldo, a->o + j * a->ldo, a->cols * sizeof *o);
        if (j == 0)
            delta_truth(c, a, S, state, o);
    }
    check_bits(c, "S token by token", state, a->S, bytes);
    for (size_t from = 0; from < a->cols; from += cut) {
        size_t cols = a->cols - from < cut ? a->cols - from : cut;
        float *part = check_floats(c, a->dk * cols);
        for (size_t i = 0; i < a->dk; i++)
            memcpy(part + i * cols, S + i * a->cols + from, cols * sizeof *part);
        delta_call(c->k, a, part, cols, from, 0, a->t, o);
        for (size_t i = 0; i < a->dk; i++)
            check_bits(c, "S by column blocks", part + i * cols, a->S + i * a->cols + from,
                       cols * sizeof *part);
        c->used--; /* the block's buffer is free again */
    }
    for (size_t j = 0; j < a->t; j++)
        check_bits(c, "o by column blocks", o + j * a->ldo, a->o + j * a->ldo, a->cols * sizeof *o);
}

static void delta_case(struct check *c, size_t dk, size_t cols, size_t t) {
    struct delta_case a = {.dk = dk, .cols = cols, .t = t};
    a.ldqk = dk + check_below(c, 3);
    a.ldv = cols + check_below(c, 3);
    a.ldab = 1 + check_below(c, 3);
    a.ldo = cols + check_below(c, 3);
    check_begin(c, "dk %zu cols %zu t %zu", dk, cols, t);
    delta_fill(c, &a);
    float *before = check_floats(c, dk * cols);
    memcpy(before, a.S, dk * cols * sizeof *before);
    delta_call(c->k, &a, a.S, cols, 0, 0, t, a.o);
    delta_orders(c, &a, before);
    check_end(c);
}

void check_delta_rule(struct check *c) {
    for (size_t cols = 1; cols <= 32; cols++) {
        delta_case(c, 1 + check_below(c, 67), cols, check_count(check_below(c, 6)));
        delta_case(c, 128, cols, check_count(check_below(c, 6)));
    }
    delta_case(c, 128, 32, 33);
}

struct span {
    size_t g, n, d, ldq, ldo;
    struct ew__kv_view kv;
    const float *q;
    float *p, *max, *sum, *o;
};

static double kv_at(const struct span *a, const void *base, size_t i) {
    return a->kv.type == EW__F16 ? check_half(((const uint16_t *)base)[i])
                                 : (double)((const float *)base)[i];
}

/* An error e of the scores scales every weight by exp(+-e). */
static void span_truth(struct check *c, const struct span *a, size_t row) {
    double score[EW__KV_PAGE_TOKENS], max = -INFINITY, worst = 0, sum = 0;
    for (size_t j = 0; j < a->n; j++) {
        double size = 0;
        score[j] = 0;
        for (size_t k = 0; k < a->d; k++) {
            double term = (double)a->q[row * a->ldq + k] * kv_at(a, a->kv.k, j * a->d + k);
            score[j] += term;
            size += fabs(term);
        }
        worst = fmax(worst, ((double)a->d + 2) * EPS * size);
        max = fmax(max, score[j]);
    }
    double spread = 0;
    for (size_t j = 0; j < a->n; j++) {
        sum += exp(score[j] - max);
        spread = fmax(spread, max - score[j]);
    }
    double relative = 2.1 * worst + ((double)a->n + 8 + spread) * EPS;
    check_near(c, "max", row, (double)a->max[row], max, worst);
    check_near(c, "sum", row, (double)a->sum[row], sum, relative * sum);
    for (size_t k = 0; k < a->d; k++) {
        double out = 0, size = 0;
        for (size_t j = 0; j < a->n; j++) {
            double term = exp(score[j] - max) * kv_at(a, a->kv.v, j * a->d + k);
            out += term;
            size += fabs(term);
        }
        check_near(c, "o", row * a->ldo + k, (double)a->o[row * a->ldo + k], out,
                   relative * size + 1e-37);
    }
}

static void span_alone(struct check *c, const struct span *a) {
    size_t row = check_below(c, a->g);
    float max, sum, *o = check_floats(c, a->d), *p = check_floats(c, EW__KV_PAGE_TOKENS);
    c->k->attend_span(a->q + row * a->ldq, a->ldq, 1, &a->kv, a->n, a->d, p, &max, &sum, o, a->d);
    check_bits(c, "max of a row alone", &a->max[row], &max, sizeof max);
    check_bits(c, "sum of a row alone", &a->sum[row], &sum, sizeof sum);
    check_bits(c, "o of a row alone", a->o + row * a->ldo, o, a->d * sizeof *o);
}

static void *fill_kv(struct check *c, ew__dtype type, size_t n) {
    float *x = check_floats(c, n);
    check_fill(c, check_below(c, 3) ? NORMAL : ALTERNATING, x, n);
    if (type == EW__F32)
        return x;
    uint16_t *half = check_buffer(c, n * sizeof *half, sizeof *half);
    for (size_t i = 0; i < n; i++)
        half[i] = ew__half_of(x[i]);
    return half;
}

static void span_case(struct check *c, ew__dtype type, size_t g, size_t n, size_t d) {
    struct span a = {.g = g, .n = n, .d = d, .ldq = d + check_below(c, 3)};
    a.ldo = d + check_below(c, 3);
    check_begin(c, "%s g %zu n %zu d %zu", type == EW__F16 ? "f16" : "f32", g, n, d);
    float *q = check_floats(c, g * a.ldq);
    for (size_t i = 0; i < g * a.ldq; i++)
        q[i] = (float)(check_normal(c) * 3 / sqrt((double)d));
    a.q = q;
    a.kv = (struct ew__kv_view){fill_kv(c, type, n * d), fill_kv(c, type, n * d), type};
    a.p = check_floats(c, g * EW__KV_PAGE_TOKENS);
    a.max = check_floats(c, g);
    a.sum = check_floats(c, g);
    a.o = check_floats(c, g * a.ldo);
    c->k->attend_span(q, a.ldq, g, &a.kv, n, d, a.p, a.max, a.sum, a.o, a.ldo);
    for (size_t row = 0; row < g; row++)
        span_truth(c, &a, row);
    span_alone(c, &a);
    check_end(c);
}

void check_attend_span(struct check *c) {
    static const ew__dtype types[] = {EW__F32, EW__F16};
    for (size_t i = 0; i < 2; i++) {
        for (size_t l = 0; l < 67; l++)
            span_case(c, types[i], 1 + check_below(c, 9), 1 + check_below(c, 40), l + 1);
        for (size_t n = 1; n <= EW__KV_PAGE_TOKENS; n += 17)
            span_case(c, types[i], 1 + check_below(c, 5), n, 64);
        span_case(c, types[i], 4, EW__KV_PAGE_TOKENS, 256);
        span_case(c, types[i], 5, EW__KV_PAGE_TOKENS - 1, 256);
    }
}

void check_attend_merge(struct check *c) {
    for (size_t l = 0; l < CHECK_LENGTHS; l++) {
        size_t d = check_length(c, l);
        float m = (float)(check_normal(c) * 30), max = (float)(check_normal(c) * 30);
        float s = (float)check_uniform(c, 1, 200), sum = (float)check_uniform(c, 1, 200);
        check_begin(c, "d %zu m %g max %g", d, (double)m, (double)max);
        float *o = check_floats(c, d), *span = check_floats(c, d), *saved = check_floats(c, d);
        check_fill(c, NORMAL, o, d);
        check_fill(c, NORMAL, span, d);
        memcpy(saved, o, d * sizeof *o);
        double top = fmax((double)m, (double)max), a = exp((double)max - top),
               b = exp((double)m - top);
        double relative = (8 + fabs((double)m - (double)max)) * EPS;
        double both = a * (double)sum + b * (double)s;
        c->k->attend_merge(o, &max, &sum, span, m, s, d);
        check_near(c, "max", 0, (double)max, top, 0);
        check_near(c, "sum", 0, (double)sum, both, relative * both);
        for (size_t i = 0; i < d; i++) {
            double x = (double)saved[i] * a, y = (double)span[i] * b;
            check_near(c, "o", i, (double)o[i], x + y, relative * (fabs(x) + fabs(y)) + 1e-37);
        }
        check_end(c);
    }
}
