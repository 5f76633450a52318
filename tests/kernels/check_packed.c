// SPDX-License-Identifier: Apache-2.0
/* Products of packed weights. Every set gives the scalar twin's bits (lanes are rows, so no order
 * differs), each element those of a call for it alone, and the twin is held against the decoded
 * rows of the file in double precision, which checks the packing too. */
#include "check.h"

#include "kernels/packed.h"
#include "quant/quant.h"

#include <math.h>
#include <string.h>

struct packed_case {
    ew__dtype type;
    size_t n, rows, t0, t, first, count; /* panels first .. first + count - 1 */
    size_t row_bytes, x_rows, ldy;
    uint8_t *file; /* rows as in a file */
    struct ew__packed w;
    struct ew__qact x;
    void *scratch;
};

static void make_weights(struct check *c, struct packed_case *p) {
    const struct ew__dtype_info *info = ew__dtype_info(p->type);
    size_t blocks = p->n / info->block_elements;
    p->row_bytes = blocks * info->block_bytes;
    p->file = check_blocks(c, p->type, p->rows * blocks);
    size_t panel_bytes = ew__packed_panel_bytes(p->type, p->n);
    uint8_t *data = check_buffer(c, ew__packed_bytes(p->type, p->rows, p->n), 64);
    p->w = (struct ew__packed){data, panel_bytes, p->type, p->rows, p->n};
    for (size_t i = 0; i < ew__packed_panels(p->rows); i++) {
        size_t row = i * EW__PANEL_ROWS, left = p->rows - row;
        ew__pack_panel(p->type, p->file + row * p->row_bytes, p->row_bytes,
                       left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS, p->n, data + i * panel_bytes);
    }
}

/* Integer sums at their limits in every fourth case. */
static void make_activations(struct check *c, struct packed_case *p) {
    size_t n_pad = (p->n + 63) / 64 * 64, rows = p->x_rows;
    struct ew__qact *x = &p->x;
    x->n_pad = n_pad;
    x->q = check_buffer(c, rows * n_pad, 64);
    x->d = check_floats(c, rows * n_pad / 32);
    x->sum = check_floats(c, rows * n_pad / 16);
    x->isum = check_buffer(c, rows * n_pad / 16 * sizeof *x->isum, sizeof *x->isum);
    x->dsum = check_floats(c, rows * n_pad / 32);
    float *values = check_floats(c, p->n);
    bool extreme = check_below(c, 4) == 0;
    for (size_t j = 0; j < rows; j++) {
        check_fill(c, extreme ? ALTERNATING : NORMAL, values, p->n);
        for (size_t i = 0; i < p->n && extreme && check_below(c, 2); i++)
            values[i] = 0.75f;
        c->scalar->quantise_act(values, p->n, n_pad, x->q + j * n_pad, x->d + j * (n_pad / 32),
                                x->sum + j * (n_pad / 16), x->isum + j * (n_pad / 16),
                                x->dsum + j * (n_pad / 32));
    }
}

static double input(const struct packed_case *p, size_t row, size_t k) {
    return (double)p->x.d[row * (p->x.n_pad / 32) + k / 32] * p->x.q[row * p->x.n_pad + k];
}

/* Element (row, token j) of the twin against the definition. */
static void compare_truth(struct check *c, const struct packed_case *p, size_t row, size_t j,
                          float got) {
    size_t n_pad = p->x.n_pad, token = p->t0 + j;
    c->used = 11; /* the buffers below are of this element only */
    float *w = check_floats(c, p->n), *s = check_floats(c, n_pad / 16);
    float *m = check_floats(c, n_pad / 16);
    uint8_t *u = check_buffer(c, n_pad, 64);
    const uint8_t *from = p->file + row * p->row_bytes;
    if (!ew__dequantize_row(p->type, from, w, p->n))
        check_fail(c, "the reference does not decode the type");
    c->scalar->unpack[p->type](from, p->n, n_pad, u, s, m);
    double sum = 0, size = 0;
    for (size_t k = 0; k < p->n; k++) {
        double parts = fabs((double)s[k / 16]) * u[k] + fabs((double)m[k / 16]);
        double a = input(p, token, k), b = p->x.rest > 0 ? input(p, token + p->x.rest, k) : 0;
        sum += (double)w[k] * (a + b);
        size += parts * (fabs(a) + fabs(b));
    }
    check_near(c, "y", row, (double)got, sum, ((double)p->n / 8 + 8) * EPS * size);
}

static void compare_twin(struct check *c, const struct packed_case *p, const float *y) {
    c->used = 10;
    float *twin = check_floats(c, p->t * p->ldy);
    c->scalar->mul_packed[p->type](&p->w, p->first, p->count, &p->x, p->t0, p->t, twin, p->ldy,
                                   NULL);
    size_t begin = p->first * EW__PANEL_ROWS, end = begin + p->count * EW__PANEL_ROWS;
    end = end < p->rows ? end : p->rows;
    for (size_t j = 0; j < p->t; j++) {
        const float *row = y + j * p->ldy;
        for (size_t i = begin; i < end; i++) { /* the sign of a zero is not defined */
            float got = row[i] + 0.0f, expected = twin[j * p->ldy + i] + 0.0f;
            if (!check_bits(c, "element against the twin", &got, &expected, sizeof got))
                return;
        }
        if (!check_untouched(row, begin) || !check_untouched(row + end, p->ldy - end))
            check_fail(c, "wrote outside the panels' rows for token %zu", j);
    }
    for (size_t trial = 0; trial < 3; trial++) {
        size_t row = begin + check_below(c, end - begin), j = check_below(c, p->t);
        compare_truth(c, p, row, j, twin[j * p->ldy + row]);
    }
}

static void compare_alone(struct check *c, const struct packed_case *p, const float *y) {
    c->used = 10;
    float *alone = check_floats(c, p->rows);
    for (size_t trial = 0; trial < 8; trial++) {
        size_t panel = p->first + check_below(c, p->count), j = check_below(c, p->t);
        size_t row = panel * EW__PANEL_ROWS, left = p->rows - row;
        c->k->mul_packed[p->type](&p->w, panel, 1, &p->x, p->t0 + j, 1, alone, p->rows, p->scratch);
        check_bits(c, "panel against a call for it alone", y + j * p->ldy + row, alone + row,
                   (left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS) * sizeof *alone);
    }
}

static void packed_case(struct check *c, ew__dtype type, size_t n, size_t rows, size_t t,
                        bool rest) {
    struct packed_case p = {.type = type, .n = n, .rows = rows, .t = t, .t0 = check_below(c, 3)};
    size_t panels = ew__packed_panels(rows);
    p.first = check_below(c, panels);
    p.count = 1 + check_below(c, panels - p.first);
    p.x.rest = rest ? t + check_below(c, 3) : 0;
    p.x_rows = p.t0 + t + p.x.rest;
    p.ldy = rows + check_below(c, 3);
    check_begin(c, "n %zu rows %zu panels %zu + %zu t0 %zu t %zu rest %zu", n, rows, p.first,
                p.count, p.t0, t, p.x.rest);
    make_weights(c, &p);
    make_activations(c, &p);
    float *y = check_floats(c, t * p.ldy);
    p.scratch = check_buffer(c, EW__PACKED_SCRATCH_BYTES, 64);
    c->k->mul_packed[type](&p.w, p.first, p.count, &p.x, p.t0, t, y, p.ldy, p.scratch);
    check_end(c);
    compare_alone(c, &p, y);
    compare_twin(c, &p, y);
    check_end(c);
}

void check_mul_packed(struct check *c, ew__dtype type) {
    size_t columns = ew__packed_format(type)->columns;
    for (size_t cells = 1; cells <= 18; cells++) /* past a kernel's piece of columns */
        packed_case(c, type, cells * columns, 1 + check_below(c, 40), 1 + check_below(c, 14),
                    check_below(c, 3) == 0);
    for (size_t t = 1; t <= 33; t++) {
        packed_case(c, type, 256 * (1 + check_below(c, 3)), 1 + check_below(c, 100), t, false);
        packed_case(c, type, 256 * (1 + check_below(c, 3)), 1 + check_below(c, 100), t, true);
    }
    packed_case(c, type, 256, 33, 525, false); /* past the tokens whose sums a kernel keeps */
    packed_case(c, type, 256, 33, 263, true);
}
