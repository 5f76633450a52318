// SPDX-License-Identifier: Apache-2.0
/* Kernels over positions: convolution, delta rule, attention. */
#include "check.h"

#include "kernels/kv.h"
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

/* ---- keys and values ---- */

static const ew__dtype kv_types[] = {EW__F32, EW__F16, EW__Q8_0, EW__Q4_0};
enum { KV_TYPES = sizeof kv_types / sizeof *kv_types };

static bool is_block_type(ew__dtype type) {
    return type == EW__Q8_0 || type == EW__Q4_0;
}

/* A page's area of keys or values of one head; F32 has no more rows than are used. */
static uint8_t *kv_area(struct check *c, ew__dtype type, size_t n, size_t d) {
    size_t bytes = type == EW__F32 ? n * d * sizeof(float) : ew__kv_bytes(type, d);
    return check_buffer(c, bytes, type == EW__F32 ? sizeof(float) : sizeof(uint16_t));
}

static double half_at(const uint8_t *base, size_t i) {
    uint16_t bits;
    memcpy(&bits, base + 2 * i, sizeof bits);
    return check_half(bits);
}

static int code_at(ew__dtype type, uint8_t byte, bool high) {
    int code = type == EW__Q8_0 ? byte : high ? byte >> 4 : byte & 15;
    int range = type == EW__Q8_0 ? 256 : 16;
    return code < range / 2 ? code : code - range;
}

/* Element i of the key of a position, by the words of kernels/kv.h. *scale is the block's (1 for
 * floats). */
static double key_at(ew__dtype type, const uint8_t *k, size_t at, size_t i, size_t d,
                     double *scale) {
    *scale = 1;
    if (type == EW__F32)
        return (double)((const float *)(const void *)k)[at * d + i];
    if (type == EW__F16)
        return half_at(k, at / 16 * 16 * d + i * 16 + at % 16);
    size_t group = type == EW__Q8_0 ? 2 : 4;
    uint8_t byte = k[at / 16 * (d / group) * 32 + i / group * 32 + at % 16 * 2 + i % 2];
    const uint8_t *scales = k + 256 * d / (type == EW__Q8_0 ? 1 : 2);
    *scale = half_at(scales, at / 16 * (d / 32) * 16 + i / 32 * 16 + at % 16);
    return *scale * code_at(type, byte, i % 4 >= 2);
}

static double value_at(ew__dtype type, const uint8_t *v, size_t at, size_t i, size_t d,
                       double *scale) {
    size_t strip = i / 64 * 64, width = d - strip < 64 ? d - strip : 64;
    *scale = 1;
    if (type == EW__F32)
        return (double)((const float *)(const void *)v)[at * d + i];
    if (type == EW__F16)
        return half_at(v, strip * 256 + at * width + i % 64);
    size_t columns = type == EW__Q8_0 ? 32 : 16;
    uint8_t byte = v[(i / 32 * 128 + at / 2) * columns * 2 + i % columns * 2 + at % 2];
    const uint8_t *scales = v + 256 * d / (type == EW__Q8_0 ? 1 : 2);
    *scale = half_at(scales, i / 32 * 256 + at);
    return *scale * code_at(type, byte, i % 32 >= 16);
}

/* How far a stored element may be from x: half a step of its type; blocks by their scale, whose own
 * rounding moves the largest code by 127 (8) times 2^-11 of it. Q4_0's 15 steps end half a step
 * before the far side, which costs it up to one. */
static double store_bound(ew__dtype type, double x, double scale) {
    if (type == EW__F32)
        return 0;
    if (type == EW__F16)
        return fabs(x) * 0x1p-11 + 0x1p-25;
    return fabs(scale) * (type == EW__Q8_0 ? 0.5 + 127 * 0x1p-10 : 1 + 8 * 0x1p-10) + 127 * 0x1p-24;
}

static void store_case(struct check *c, ew__dtype type, size_t d) {
    size_t at = check_below(c, EW__KV_PAGE_TOKENS), other = at ^ (1 + check_below(c, 255));
    check_begin(c, "%s d %zu at %zu other %zu", ew__dtype_name(type), d, at, other);
    float *k = check_floats(c, d), *v = check_floats(c, d), *k2 = check_floats(c, d);
    uint8_t *keys = kv_area(c, type, EW__KV_PAGE_TOKENS, d);
    uint8_t *values = kv_area(c, type, EW__KV_PAGE_TOKENS, d);
    uint8_t *twin = kv_area(c, type, EW__KV_PAGE_TOKENS, d);
    uint8_t *twin2 = kv_area(c, type, EW__KV_PAGE_TOKENS, d);
    enum distribution shape = check_distribution(c);
    shape = shape == HUGE_VALUES || shape == WIDE ? NORMAL : shape; /* beyond what F16 holds */
    check_fill(c, shape, k, d);
    check_fill(c, NORMAL, v, d);
    check_fill(c, NORMAL, k2, d);
    c->k->kv_store(type, keys, values, at, k, v, d);
    c->scalar->kv_store(type, twin, twin2, at, k, v, d);
    check_bits(c, "keys against scalar", keys, twin, ew__kv_bytes(type, d));
    check_bits(c, "values against scalar", values, twin2, ew__kv_bytes(type, d));
    c->k->kv_store(type, keys, values, other, k2, k2, d); /* leaves the first alone */
    for (size_t i = 0; i < d; i++) {
        double scale, got = key_at(type, keys, at, i, d, &scale);
        check_near(c, "key", i, got, (double)k[i], store_bound(type, (double)k[i], scale));
        got = value_at(type, values, at, i, d, &scale);
        check_near(c, "value", i, got, (double)v[i], store_bound(type, (double)v[i], scale));
    }
    check_end(c);
}

void check_kv_store(struct check *c) {
    for (size_t i = 0; i < KV_TYPES; i++) {
        for (size_t d = is_block_type(kv_types[i]) ? 32 : 1; d <= 288;
             d += is_block_type(kv_types[i]) ? 32 : 7)
            store_case(c, kv_types[i], d);
        store_case(c, kv_types[i], 256);
        store_case(c, kv_types[i], EW__HEAD_DIM_MAX);
    }
}

/* ---- attention ---- */

struct span {
    size_t g, per, n, d, ldq, ldo;
    struct ew__kv_view kv;
    const float *q;
    float *scratch, *max, *sum, *o;
};

static size_t span_seen(const struct span *a, size_t row) {
    size_t n = a->n + row / a->per;
    return n < EW__KV_PAGE_TOKENS ? n : EW__KV_PAGE_TOKENS;
}

/* What rounding q to 16 bits of its largest element may change in a score: half a step per element.
 */
static double query_error(const struct span *a, size_t row, size_t j) {
    double top = 0, sum = 0, scale;
    if (!is_block_type(a->kv.type))
        return 0;
    for (size_t i = 0; i < a->d; i++) {
        top = fmax(top, fabs((double)a->q[row * a->ldq + i]));
        sum += fabs(key_at(a->kv.type, a->kv.k, j, i, a->d, &scale));
    }
    return 0.501 / 32767 * top * sum;
}

/* The same for the weights of a column: half a step of the largest scale, times the codes. */
static double weight_error(const struct span *a, size_t n, size_t column) {
    double top = 0, sum = 0, scale;
    if (!is_block_type(a->kv.type))
        return 0;
    for (size_t j = 0; j < n; j++) {
        double v = value_at(a->kv.type, a->kv.v, j, column, a->d, &scale);
        top = fmax(top, fabs(scale));
        sum += scale == 0 ? 0 : fabs(v / scale);
    }
    return 0.501 / 32767 * top * sum;
}

/* An error e of the scores scales every weight by exp(+-e). */
static void span_truth(struct check *c, const struct span *a, size_t row) {
    const size_t n = span_seen(a, row);
    double score[EW__KV_PAGE_TOKENS], max = -INFINITY, worst = 0, sum = 0, scale;
    for (size_t j = 0; j < n; j++) {
        double size = 0;
        score[j] = 0;
        for (size_t k = 0; k < a->d; k++) {
            double term =
                (double)a->q[row * a->ldq + k] * key_at(a->kv.type, a->kv.k, j, k, a->d, &scale);
            score[j] += term;
            size += fabs(term);
        }
        worst = fmax(worst, ((double)a->d + 4) * EPS * size + query_error(a, row, j));
        max = fmax(max, score[j]);
    }
    double spread = 0;
    for (size_t j = 0; j < n; j++) {
        sum += exp(score[j] - max);
        spread = fmax(spread, max - score[j]);
    }
    double relative = expm1(2 * worst) + ((double)n + 8 + spread) * EPS;
    check_near(c, "max", row, (double)a->max[row], max, worst);
    check_near(c, "sum", row, (double)a->sum[row], sum, relative * sum);
    for (size_t k = 0; k < a->d; k++) {
        double out = 0, size = 0;
        for (size_t j = 0; j < n; j++) {
            double term = exp(score[j] - max) * value_at(a->kv.type, a->kv.v, j, k, a->d, &scale);
            out += term;
            size += fabs(term);
        }
        check_near(c, "o", row * a->ldo + k, (double)a->o[row * a->ldo + k], out,
                   relative * size + weight_error(a, n, k) + 1e-37);
    }
}

/* The order contract: every row by itself, with the n that it sees. */
static void span_alone(struct check *c, const struct span *a) {
    float max, sum, *o = check_floats(c, a->d);
    float *scratch = check_floats(c, ew__attend_scratch(1, a->d));
    for (size_t row = 0; row < a->g; row++) {
        c->k->attend_span(a->q + row * a->ldq, a->ldq, 1, 1, &a->kv, span_seen(a, row), a->d,
                          scratch, &max, &sum, o, a->d);
        check_bits(c, "max of a row alone", &a->max[row], &max, sizeof max);
        check_bits(c, "sum of a row alone", &a->sum[row], &sum, sizeof sum);
        check_bits(c, "o of a row alone", a->o + row * a->ldo, o, a->d * sizeof *o);
    }
}

/* n positions of a page, stored by the scalar twin; the rest of it is NaN as F16, in scales too,
 * which must not come through. */
static struct ew__kv_view fill_kv(struct check *c, ew__dtype type, size_t n, size_t d) {
    uint8_t *k = kv_area(c, type, n, d), *v = kv_area(c, type, n, d);
    float *x = check_floats(c, 2 * d);
    enum distribution shape = check_below(c, 3) ? NORMAL : ALTERNATING;
    if (type != EW__F32) {
        memset(k, 0xFF, ew__kv_bytes(type, d));
        memset(v, 0xFF, ew__kv_bytes(type, d));
    }
    for (size_t j = 0; j < n; j++) {
        check_fill(c, shape, x, 2 * d);
        c->scalar->kv_store(type, k, v, j, x, x + d, d);
    }
    return (struct ew__kv_view){k, v, type};
}

static void span_case(struct check *c, ew__dtype type, size_t g, size_t per, size_t n, size_t d) {
    struct span a = {.g = g, .per = per, .n = n, .d = d, .ldq = d + check_below(c, 3)};
    a.ldo = d + check_below(c, 3);
    check_begin(c, "%s g %zu per %zu n %zu d %zu", ew__dtype_name(type), g, per, n, d);
    float *q = check_floats(c, g * a.ldq);
    for (size_t i = 0; i < g * a.ldq; i++)
        q[i] = (float)(check_normal(c) * 3 / sqrt((double)d));
    a.q = q;
    a.kv = fill_kv(c, type, span_seen(&a, g - 1), d);
    a.scratch = check_floats(c, ew__attend_scratch(g, d));
    a.max = check_floats(c, g);
    a.sum = check_floats(c, g);
    a.o = check_floats(c, g * a.ldo);
    c->k->attend_span(q, a.ldq, g, per, &a.kv, n, d, a.scratch, a.max, a.sum, a.o, a.ldo);
    for (size_t row = 0; row < g; row++)
        span_truth(c, &a, row);
    span_alone(c, &a);
    check_end(c);
}

void check_attend_span(struct check *c) {
    for (size_t i = 0; i < KV_TYPES; i++) {
        const ew__dtype type = kv_types[i];
        bool blocks = is_block_type(type);
        for (size_t l = 1; l <= 68; l++) {
            size_t d = blocks ? 32 * (1 + l % 5) : l;
            span_case(c, type, 1 + check_below(c, 9), 1 + check_below(c, 9), 1 + check_below(c, 40),
                      d);
        }
        for (size_t n = 1; n <= EW__KV_PAGE_TOKENS; n += 17)
            span_case(c, type, 1 + check_below(c, 5), 8, n, 64);
        for (size_t rows = 1; rows <= 33; rows += 4) /* a causal block's rows */
            span_case(c, type, rows, 4, 1 + check_below(c, 248), 96);
        span_case(c, type, 4, 4, EW__KV_PAGE_TOKENS, 256);
        span_case(c, type, 5, 2, EW__KV_PAGE_TOKENS - 1, 256);
        span_case(c, type, 64, 4, EW__KV_PAGE_TOKENS - 15, 256);
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
