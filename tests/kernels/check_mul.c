// SPDX-License-Identifier: Apache-2.0
/* Products: float weights of three widths, and byte weights. The bound of a sum is
 * (terms + a few) * eps * sum |a b|, which holds for every order of addition. */
#include "check.h"

#include "quant/blocks.h"

#include <math.h>
#include <string.h>

enum width { W_F32, W_F16, W_BF16 };

struct shape {
    enum width width;
    size_t r, t, n, ldw, ldx, ldy;
};

static void call(const struct ew__kernels *k, const struct shape *s, const void *w, const float *x,
                 float *y) {
    if (s->width == W_F32)
        k->mul_f32(w, s->ldw, s->r, x, s->ldx, s->t, y, s->ldy, s->n);
    else if (s->width == W_F16)
        k->mul_f16(w, s->ldw, s->r, x, s->ldx, s->t, y, s->ldy, s->n);
    else
        k->mul_bf16(w, s->ldw, s->r, x, s->ldx, s->t, y, s->ldy, s->n);
}

static size_t element_bytes(enum width width) {
    return width == W_F32 ? 4 : 2;
}

static double weight_at(enum width width, const void *w, size_t i) {
    uint8_t bytes[4] = {0};
    float value;
    if (width == W_F32)
        memcpy(bytes, (const char *)w + 4 * i, 4);
    else
        memcpy(bytes + 2, (const char *)w + 2 * i, 2); /* the top half, little-endian */
    if (width == W_F16)
        return check_half((uint16_t)(bytes[2] | bytes[3] << 8));
    memcpy(&value, bytes, 4);
    return value;
}

/* The weights are stored at any address, so they are written byte by byte. */
static void fill_weights(struct check *c, enum width width, enum distribution d, void *w,
                         size_t n) {
    float value[64];
    for (size_t i = 0; i < n; i += 64) {
        size_t count = n - i < 64 ? n - i : 64;
        check_fill(c, d, value, count);
        for (size_t j = 0; j < count; j++) {
            uint32_t bits = ew__bits_of_float(value[j]);
            uint16_t half = ew__half_of(value[j] > 6e4f    ? 6e4f
                                        : value[j] < -6e4f ? -6e4f
                                                           : value[j]);
            uint16_t top = (uint16_t)(bits >> 16);
            if (width == W_F32)
                memcpy((char *)w + 4 * (i + j), &bits, 4);
            else
                memcpy((char *)w + 2 * (i + j), width == W_F16 ? &half : &top, 2);
        }
    }
}

static void compare(struct check *c, const struct shape *s, const void *w, const float *x,
                    const float *y) {
    for (size_t j = 0; j < s->t; j++) {
        for (size_t i = 0; i < s->r; i++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < s->n; k++) {
                double term = weight_at(s->width, w, i * s->ldw + k) * (double)x[j * s->ldx + k];
                sum += term;
                size += fabs(term);
            }
            double n = (double)s->n + 2;
            if (!check_near(c, "y", j * s->ldy + i, (double)y[j * s->ldy + i], sum,
                            n * (EPS * size + TINY)))
                return;
        }
        if (!check_untouched(y + j * s->ldy + s->r, s->ldy - s->r))
            check_fail(c, "wrote behind the rows of token %zu", j);
    }
}

/* The order contract: each element is the one that a call for it alone gives. */
static void compare_alone(struct check *c, const struct shape *s, const void *w, const float *x,
                          const float *y) {
    for (size_t trial = 0; trial < 8; trial++) {
        size_t i = check_below(c, s->r), j = check_below(c, s->t);
        struct shape one = *s;
        float alone;
        one.r = one.t = one.ldy = 1;
        call(c->k, &one, (const char *)w + i * s->ldw * element_bytes(s->width), x + j * s->ldx,
             &alone);
        if (!check_bits(c, "element against a call of r = t = 1", &y[j * s->ldy + i], &alone, 4))
            return;
    }
}

static void one_case(struct check *c, enum width width, size_t r, size_t t, size_t n) {
    enum distribution dw = check_distribution(c), dx = check_distribution(c);
    struct shape s = {width, r, t, n, 0, 0, 0};
    s.ldw = n + check_below(c, 4);
    s.ldx = n + check_below(c, 4);
    s.ldy = r + check_below(c, 3);
    check_begin(c, "n %zu r %zu t %zu ldw %zu w %s x %s", n, r, t, s.ldw,
                check_distribution_name(dw), check_distribution_name(dx));
    size_t weights = (r - 1) * s.ldw + n, inputs = (t - 1) * s.ldx + n;
    void *w = check_buffer(c, weights * element_bytes(width), 1);
    float *x = check_floats(c, inputs), *y = check_floats(c, t * s.ldy);
    fill_weights(c, width, dw, w, weights);
    check_fill(c, dx, x, inputs);
    call(c->k, &s, w, x, y);
    compare(c, &s, w, x, y);
    compare_alone(c, &s, w, x, y);
    check_end(c);
}

static void check_float_width(struct check *c, enum width width) {
    for (size_t i = 0; i < CHECK_LENGTHS; i++)
        one_case(c, width, check_count(check_below(c, 7)), check_count(check_below(c, 7)),
                 check_length(c, i));
    for (size_t i = 0; i < CHECK_COUNTS; i++) {
        for (size_t j = 0; j < CHECK_COUNTS; j++)
            one_case(c, width, check_count(i), check_count(j), 1 + check_below(c, 70));
    }
}

void check_mul_f32(struct check *c) {
    check_float_width(c, W_F32);
}
void check_mul_f16(struct check *c) {
    check_float_width(c, W_F16);
}
void check_mul_bf16(struct check *c) {
    check_float_width(c, W_BF16);
}

struct bytes_case {
    struct ew__urows w;
    struct ew__qact x;
    size_t r, tokens;
};

/* Extreme bytes in every third case: all lanes at the limits, where 16-bit sums would saturate. */
static void fill_bytes(struct check *c, struct bytes_case *b) {
    size_t groups = b->w.n_pad / 16, top = b->w.narrow ? 127 : 255;
    bool extreme = check_below(c, 3) == 0;
    for (size_t i = 0; i < b->r * b->w.n_pad; i++)
        b->w.u[i] = (uint8_t)(extreme ? top : check_below(c, top + 1));
    for (size_t i = 0; i < b->tokens * b->x.n_pad; i++)
        b->x.q[i] =
            (int8_t)(extreme ? (check_below(c, 2) ? 127 : -127) : (int)check_below(c, 255) - 127);
    if (extreme && check_below(c, 2))
        memset(b->x.q, 127, b->tokens * b->x.n_pad);
    for (size_t i = 0; i < b->r * groups; i++) {
        b->w.s[i] = (float)(check_normal(c) * 0.01);
        b->w.m[i] = (float)check_normal(c);
    }
    for (size_t i = 0; i < b->tokens * groups / 2; i++)
        b->x.d[i] = (float)check_uniform(c, 0, 0.1);
    for (size_t i = 0; i < b->tokens * groups; i++)
        b->x.sum[i] = (float)check_normal(c);
}

static void make_bytes(struct check *c, struct bytes_case *b, size_t n_pad) {
    size_t groups = n_pad / 16;
    b->w.n_pad = b->x.n_pad = n_pad;
    b->w.u = check_buffer(c, b->r * n_pad, 64);
    b->w.s = check_floats(c, b->r * groups);
    b->w.m = check_floats(c, b->r * groups);
    b->x.q = check_buffer(c, b->tokens * n_pad, 64);
    b->x.d = check_floats(c, b->tokens * groups / 2);
    b->x.sum = check_floats(c, b->tokens * groups);
    fill_bytes(c, b);
}

static void compare_bytes(struct check *c, const struct bytes_case *b, size_t i, size_t token,
                          float got) {
    size_t n = b->w.n_pad, groups = n / 16;
    double sum = 0, size = 0;
    for (size_t k = 0; k < n; k++) {
        double unit = (double)b->x.d[token * groups / 2 + k / 32] * b->w.s[i * groups + k / 16];
        double term = unit * b->w.u[i * n + k] * b->x.q[token * n + k];
        sum += term;
        size += fabs(term);
    }
    for (size_t g = 0; g < groups; g++) {
        double term = (double)b->w.m[i * groups + g] * b->x.sum[token * groups + g];
        sum += term;
        size += fabs(term);
    }
    check_near(c, "y", i, (double)got, sum, ((double)groups * 2 + 8) * EPS * size);
}

static void bytes_case(struct check *c, size_t r, size_t t, size_t n_pad) {
    size_t t0 = check_below(c, 3), ldy = r + check_below(c, 3);
    struct bytes_case b = {.r = r, .tokens = t0 + t};
    b.w.narrow = check_below(c, 2);
    check_begin(c, "n_pad %zu r %zu t0 %zu t %zu narrow %d", n_pad, r, t0, t, b.w.narrow);
    make_bytes(c, &b, n_pad);
    float *y = check_floats(c, t * ldy);
    c->k->mul_u8(&b.w, r, &b.x, t0, t, y, ldy);
    for (size_t j = 0; j < t; j++) {
        for (size_t i = 0; i < r; i++)
            compare_bytes(c, &b, i, t0 + j, y[j * ldy + i]);
        if (!check_untouched(y + j * ldy + r, ldy - r))
            check_fail(c, "wrote behind the rows of token %zu", j);
    }
    for (size_t trial = 0; trial < 8; trial++) {
        size_t i = check_below(c, r), j = check_below(c, t), groups = n_pad / 16;
        struct ew__urows one = b.w;
        float alone;
        one.u += i * n_pad;
        one.s += i * groups;
        one.m += i * groups;
        c->k->mul_u8(&one, 1, &b.x, t0 + j, 1, &alone, 1);
        check_bits(c, "element against a call of r = t = 1", &y[j * ldy + i], &alone, 4);
    }
    check_end(c);
}

void check_mul_u8(struct check *c) {
    static const size_t widths[] = {64, 128, 192, 256, 320, 448, 1024, 1088, 3584};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (size_t trial = 0; trial < 4; trial++)
            bytes_case(c, check_count(check_below(c, 8)), check_count(check_below(c, 8)),
                       widths[i]);
    }
    for (size_t i = 0; i < CHECK_COUNTS; i++) {
        for (size_t j = 0; j < CHECK_COUNTS; j++)
            bytes_case(c, check_count(i), check_count(j), 64 * (1 + check_below(c, 4)));
    }
}
