// SPDX-License-Identifier: Apache-2.0
/* Unpacking of weights, quantising of activations, conversion to half: bits equal to the scalar
 * twin, and the twin against the reference decoder or the definition. */
#include "check.h"

#include "base/size.h"
#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>
#include <string.h>

/* Where the halves of a block lie: random bytes there could be NaN or infinite. */
static void put_half(struct check *c, uint8_t *at) {
    uint16_t bits = ew__half_of((float)(check_normal(c) * pow(10, check_uniform(c, -4, 1))));
    at[0] = (uint8_t)(bits & 255);
    at[1] = (uint8_t)(bits >> 8);
}

static void fix_halves(struct check *c, ew__dtype type, uint8_t *block) {
    size_t first = 0, second = 0;
    if (type == EW__Q6_K)
        first = offsetof(struct ew__block_q6_k, d);
    else if (type == EW__Q3_K)
        first = offsetof(struct ew__block_q3_k, d);
    else if (type == EW__Q2_K)
        first = offsetof(struct ew__block_q2_k, d);
    if (type == EW__Q2_K || type == EW__Q4_K || type == EW__Q5_K || type == EW__Q4_1 ||
        type == EW__Q5_1)
        second = first + 2;
    put_half(c, block + first);
    if (second > 0)
        put_half(c, block + second);
}

void *check_blocks(struct check *c, ew__dtype type, size_t blocks) {
    size_t bytes = ew__dtype_info(type)->block_bytes;
    uint8_t *row = check_buffer(c, blocks * bytes, 1);
    for (size_t i = 0; i < blocks * bytes; i++)
        row[i] = (uint8_t)check_random(c);
    for (size_t b = 0; b < blocks; b++)
        fix_halves(c, type, row + b * bytes);
    return row;
}

/* s u + m against the reference decoder: a few roundings of the two parts. */
static void compare_decoded(struct check *c, ew__dtype type, const void *row, size_t n,
                            const uint8_t *u, const float *s, const float *m) {
    float *expected = check_floats(c, n);
    if (!ew__dequantize_row(type, row, expected, n))
        check_fail(c, "the reference does not decode the type");
    for (size_t i = 0; i < n; i++) {
        double a = (double)s[i / 16] * u[i], b = (double)m[i / 16];
        if (!check_near(c, "value", i, a + b, (double)expected[i], 3 * EPS * (fabs(a) + fabs(b))))
            return;
    }
}

static void unpack_case(struct check *c, ew__dtype type, size_t blocks) {
    size_t n = blocks * ew__dtype_info(type)->block_elements, n_pad = ew__round_up(n, 64);
    check_begin(c, "n %zu", n);
    void *row = check_blocks(c, type, blocks);
    uint8_t *u = check_buffer(c, n_pad, 64), *twin_u = check_buffer(c, n_pad, 64);
    float *s = check_floats(c, n_pad / 16), *twin_s = check_floats(c, n_pad / 16);
    float *m = check_floats(c, n_pad / 16), *twin_m = check_floats(c, n_pad / 16);
    c->k->unpack[type](row, n, n_pad, u, s, m);
    c->scalar->unpack[type](row, n, n_pad, twin_u, twin_s, twin_m);
    check_bits(c, "u", u, twin_u, n_pad);
    check_bits(c, "s", s, twin_s, n_pad / 16 * sizeof *s);
    check_bits(c, "m", m, twin_m, n_pad / 16 * sizeof *m);
    compare_decoded(c, type, row, n, u, s, m);
    for (size_t i = n; i < n_pad; i++) {
        if (u[i] != 0 || s[i / 16] != 0 || m[i / 16] != 0)
            check_fail(c, "padding %zu is not zero", i);
    }
    check_end(c);
}

void check_unpack(struct check *c, ew__dtype type) {
    for (size_t blocks = 1; blocks <= 9; blocks++) {
        for (size_t trial = 0; trial < 3; trial++)
            unpack_case(c, type, blocks);
    }
}

/* By the definition, in double precision; the quotient of two floats rounded to float by way of
 * double is the float division (Figueroa 1995: 53 >= 2 * 24 + 2). */
static void compare_quantised(struct check *c, const float *x, size_t n, size_t n_pad,
                              const int8_t *q, const float *d, const float *sum,
                              const int16_t *isum, const float *dsum) {
    for (size_t b = 0; b < n_pad / 32; b++) {
        double max = 0;
        for (size_t i = 32 * b; i < 32 * b + 32 && i < n; i++)
            max = fmax(max, fabs((double)x[i]));
        float unit = (float)(max / 127);
        check_bits(c, "d", &d[b], &unit, sizeof unit);
        int total[2] = {0, 0};
        for (size_t i = 32 * b; i < 32 * b + 32; i++) {
            double exact = i < n && unit != 0 ? rint((double)(float)((double)x[i] / unit)) : 0;
            exact = fmin(127, fmax(-127, exact));
            check_near(c, "q", i, q[i], exact, 0);
            total[i / 16 % 2] += q[i];
        }
        for (size_t g = 0; g < 2; g++) {
            check_near(c, "isum", 2 * b + g, isum[2 * b + g], total[g], 0);
            check_near(c, "sum", 2 * b + g, (double)sum[2 * b + g],
                       (double)(float)((double)unit * total[g]), 0);
        }
        check_near(c, "dsum", b, (double)dsum[b],
                   (double)(float)((double)unit * (total[0] + total[1])), 0);
    }
}

static void quantise_case(struct check *c, size_t n) {
    enum distribution d = check_distribution(c);
    size_t n_pad = ew__round_up(n, 64);
    check_begin(c, "n %zu x %s", n, check_distribution_name(d));
    float *x = check_floats(c, n);
    int8_t *q = check_buffer(c, n_pad, 64);
    float *unit = check_floats(c, n_pad / 32), *sum = check_floats(c, n_pad / 16);
    check_fill(c, d, x, n);
    int16_t *isum = check_buffer(c, n_pad / 16 * sizeof *isum, sizeof *isum);
    float *dsum = check_floats(c, n_pad / 32);
    c->k->quantise_act(x, n, n_pad, q, unit, sum, isum, dsum);
    compare_quantised(c, x, n, n_pad, q, unit, sum, isum, dsum);
    check_end(c);
}

/* Quotients a few units of the last place around the ties between two integers, where a division
 * that is not rounded right shows. The block's largest value is 127 d or, by rounding, next to it.
 */
static void ties_case(struct check *c) {
    enum { blocks = 4, n = 32 * blocks };
    check_begin(c, "n %d x near ties", n);
    float *x = check_floats(c, n), *unit = check_floats(c, blocks), *sum = check_floats(c, n / 16);
    int8_t *q = check_buffer(c, n, 64);
    int16_t *isum = check_buffer(c, n / 16 * sizeof *isum, sizeof *isum);
    float *dsum = check_floats(c, blocks);
    for (size_t b = 0; b < blocks; b++) {
        float most =
            ldexpf(1 + (float)check_below(c, 1u << 23) * 0x1p-23f, (int)check_below(c, 230) - 120);
        float d = most / 127.0f;
        x[32 * b] = most;
        for (size_t i = 1; i < 32; i++) {
            float tie = d * ((float)check_below(c, 126) + 0.5f);
            for (size_t steps = check_below(c, 4); steps > 0; steps--)
                tie = nextafterf(tie, check_below(c, 2) != 0 ? INFINITY : 0);
            x[32 * b + i] = check_below(c, 2) != 0 ? tie : -tie;
        }
    }
    c->k->quantise_act(x, n, n, q, unit, sum, isum, dsum);
    compare_quantised(c, x, n, n, q, unit, sum, isum, dsum);
    check_end(c);
}

void check_quantise_act(struct check *c) {
    for (size_t trial = 0; trial < 200; trial++)
        ties_case(c);
    for (size_t trial = 0; trial < 60; trial++)
        quantise_case(c, 32 * (1 + check_below(c, 20)));
    quantise_case(c, 2560);
}

/* Bit-equal to two rounded operations, into a buffer of its own or in place. */
void check_quantise_left(struct check *c) {
    for (size_t trial = 0; trial < 40; trial++) {
        size_t n = 32 * (1 + check_below(c, 20));
        enum distribution kind = check_distribution(c);
        check_begin(c, "n %zu x %s", n, check_distribution_name(kind));
        float *x = check_floats(c, n), *d = check_floats(c, n / 32), *want = check_floats(c, n);
        int8_t *q = check_buffer(c, n, 1);
        check_fill(c, kind, x, n);
        check_fill(c, kind, d, n / 32);
        for (size_t i = 0; i < n; i++) {
            q[i] = (int8_t)((int)check_below(c, 255) - 127);
            float part = (float)((double)d[i / 32] * q[i]);
            want[i] = (float)((double)x[i] - (double)part);
        }
        float *y = check_below(c, 2) ? x : check_floats(c, n);
        c->k->quantise_left(x, q, d, y, n);
        check_bits(c, "y", y, want, n * sizeof *y);
        check_end(c);
    }
}

static void half_case(struct check *c, size_t n, double range) {
    check_begin(c, "n %zu range %g", n, range);
    float *x = check_floats(c, n);
    uint16_t *y = check_buffer(c, n * sizeof *y, sizeof *y);
    for (size_t i = 0; i < n; i++) /* every third value lies half way between two halves */
        x[i] = i % 3 ? (float)(check_normal(c) * range)
                     : ew__float_of_bits((uint32_t)(0x38000000u + (check_random(c) & 0x0fffe000u)) |
                                         0x1000u);
    c->k->to_f16(x, y, n);
    for (size_t i = 0; i < n; i++) {
        double value = (double)x[i], got = check_half(y[i]), off = fabs(got - value);
        if (fabs(value) >= 65520) {
            if (!isinf(got) || signbit(got) != signbit(value))
                check_fail(c, "%g became %g", value, got);
            continue;
        }
        double up = fabs(check_half((uint16_t)(y[i] + 1)) - value);
        double down = y[i] & 0x7fff ? fabs(check_half((uint16_t)(y[i] - 1)) - value) : INFINITY;
        bool tie = off == up || off == down;
        if (!(off <= up && off <= down) || (tie && y[i] & 1))
            check_fail(c, "%.9g became %.9g", value, got);
    }
    check_end(c);
}

void check_to_f16(struct check *c) {
    for (size_t i = 0; i < CHECK_LENGTHS; i++) {
        half_case(c, check_length(c, i), 1);
        half_case(c, check_length(c, i), 1e-6);
        half_case(c, check_length(c, i), 3e4);
    }
}
