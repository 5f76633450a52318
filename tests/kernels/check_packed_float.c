// SPDX-License-Identifier: Apache-2.0
/* Products of packed float weights. Every set gives the scalar twin's bits, each element those of a
 * call for it alone, and the twin is near the product of the file's rows in double precision, which
 * checks the packing too. */
#include "check.h"

#include "kernels/packed.h"
#include "quant/quant.h"

#include <math.h>

struct float_case {
    ew__dtype type;
    size_t n, rows, t, first, count; /* panels first .. first + count - 1 */
    size_t ldx, ldy;
    uint16_t *file; /* [rows][n] */
    struct ew__packed w;
    float *x;
};

/* Weights of either type below 2^17 in size, which no sum below makes infinite. */
static void make_weights(struct check *c, struct float_case *p) {
    size_t panel_bytes = ew__packed_panel_bytes(p->type, p->n);
    uint8_t *data = check_buffer(c, ew__packed_bytes(p->type, p->rows, p->n), 64);
    p->file = check_buffer(c, p->rows * p->n * sizeof *p->file, sizeof *p->file);
    for (size_t i = 0; i < p->rows * p->n; i++)
        p->file[i] = (uint16_t)(check_random(c) & (p->type == EW__BF16 ? 0xc7ff : 0xfbff));
    p->w = (struct ew__packed){data, panel_bytes, p->type, p->rows, p->n};
    for (size_t i = 0; i < ew__packed_panels(p->rows); i++) {
        size_t row = i * EW__PANEL_ROWS, left = p->rows - row;
        ew__pack_panel(p->type, p->file + row * p->n, p->n * 2,
                       left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS, p->n, data + i * panel_bytes);
    }
}

static void compare_truth(struct check *c, const struct float_case *p, size_t row, size_t j,
                          float got, float *weights) {
    double sum = 0, size = 0;
    if (!ew__dequantize_row(p->type, p->file + row * p->n, weights, p->n))
        check_fail(c, "the reference does not decode the type");
    for (size_t k = 0; k < p->n; k++) {
        double term = (double)weights[k] * (double)p->x[j * p->ldx + k];
        sum += term;
        size += fabs(term);
    }
    check_near(c, "y", row, (double)got, sum, ((double)p->n + 2) * (EPS * size + 0x1p-149));
}

static void compare_twin(struct check *c, const struct float_case *p, const float *y) {
    size_t begin = p->first * EW__PANEL_ROWS, end = begin + p->count * EW__PANEL_ROWS;
    float *twin = check_floats(c, p->t * p->ldy), *weights = check_floats(c, p->n);
    c->scalar->mul_packed_float[p->type](&p->w, p->first, p->count, p->x, p->ldx, p->t, twin,
                                         p->ldy);
    end = end < p->rows ? end : p->rows;
    for (size_t j = 0; j < p->t; j++) {
        const float *row = y + j * p->ldy;
        check_bits(c, "rows against the twin", row + begin, twin + j * p->ldy + begin,
                   (end - begin) * sizeof *row);
        size_t i = begin + check_below(c, end - begin);
        compare_truth(c, p, i, j, twin[j * p->ldy + i], weights);
        if (!check_untouched(row, begin) || !check_untouched(row + end, p->ldy - end))
            check_fail(c, "wrote outside the panels' rows for token %zu", j);
    }
}

static void compare_alone(struct check *c, const struct float_case *p, const float *y) {
    float *alone = check_floats(c, p->rows);
    for (size_t trial = 0; trial < 8; trial++) {
        size_t panel = p->first + check_below(c, p->count), j = check_below(c, p->t);
        size_t row = panel * EW__PANEL_ROWS, left = p->rows - row;
        c->k->mul_packed_float[p->type](&p->w, panel, 1, p->x + j * p->ldx, p->ldx, 1, alone,
                                        p->rows);
        check_bits(c, "panel against a call for it alone", y + j * p->ldy + row, alone + row,
                   (left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS) * sizeof *alone);
    }
}

static void float_case(struct check *c, ew__dtype type, size_t n, size_t rows, size_t t) {
    struct float_case p = {.type = type, .n = n, .rows = rows, .t = t};
    size_t panels = ew__packed_panels(rows);
    p.first = check_below(c, panels);
    p.count = 1 + check_below(c, panels - p.first);
    p.ldx = n + check_below(c, 3);
    p.ldy = rows + check_below(c, 3);
    check_begin(c, "n %zu rows %zu panels %zu + %zu t %zu", n, rows, p.first, p.count, t);
    make_weights(c, &p);
    p.x = check_floats(c, t * p.ldx);
    check_fill(c, check_distribution(c), p.x, t * p.ldx);
    float *y = check_floats(c, t * p.ldy);
    c->k->mul_packed_float[type](&p.w, p.first, p.count, p.x, p.ldx, t, y, p.ldy);
    check_end(c);
    compare_alone(c, &p, y);
    compare_twin(c, &p, y);
    check_end(c);
}

void check_mul_packed_float(struct check *c, ew__dtype type) {
    for (size_t pairs = 1; pairs <= 40; pairs++)
        float_case(c, type, 2 * pairs, 1 + check_below(c, 40), 1 + check_below(c, 20));
    for (size_t t = 1; t <= 33; t++)
        float_case(c, type, 2 * (1 + check_below(c, 300)), 1 + check_below(c, 150), t);
}
