// SPDX-License-Identifier: Apache-2.0
/* Matrices in two planes. Products must have the bits of the packed panels that the planes were
 * made of; screenings those of their twin, which is held against the definition in double
 * precision; and no product may exceed what its panel's screening says. */
#include "check.h"

#include "kernels/split.h"
#include "quant/blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct split_case {
    ew__dtype type;
    size_t n, rows, t;
    uint8_t *file; /* rows as in a file */
    size_t row_bytes;
    struct ew__packed packed;
    struct ew__split w;
    struct ew__qact x;
    void *scratch;
};

static void make_weights(struct check *c, struct split_case *p) {
    const struct ew__dtype_info *info = ew__dtype_info(p->type);
    size_t blocks = p->n / info->block_elements;
    size_t panel_bytes = ew__packed_panel_bytes(p->type, p->n);
    p->row_bytes = blocks * info->block_bytes;
    p->file = check_blocks(c, p->type, p->rows * blocks);
    uint8_t *panels = check_buffer(c, ew__packed_bytes(p->type, p->rows, p->n), 64);
    uint8_t *planes = check_buffer(c, ew__split_bytes(p->type, p->rows, p->n), 64);
    uint8_t *again = check_buffer(c, panel_bytes, 64);
    p->packed = (struct ew__packed){panels, panel_bytes, p->type, p->rows, p->n};
    p->w = ew__split_at(planes, p->type, p->rows, p->n);
    for (size_t i = 0; i < ew__packed_panels(p->rows); i++) {
        size_t row = i * EW__PANEL_ROWS, left = p->rows - row;
        uint8_t *panel = panels + i * panel_bytes;
        ew__pack_panel(p->type, p->file + row * p->row_bytes, p->row_bytes,
                       left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS, p->n, panel);
        ew__split_panel(panel, planes, p->type, p->rows, p->n, i);
    }
    for (size_t i = 0; i < ew__packed_panels(p->rows); i++) {
        ew__unsplit_panel(&p->w, i, again);
        check_bits(c, "planes back to a panel", again, panels + i * panel_bytes, panel_bytes);
    }
}

static void make_activations(struct check *c, struct split_case *p) {
    size_t n_pad = (p->n + 63) / 64 * 64;
    struct ew__qact *x = &p->x;
    x->n_pad = n_pad;
    x->q = check_buffer(c, p->t * n_pad, 64);
    x->d = check_floats(c, p->t * n_pad / 32);
    x->sum = check_floats(c, p->t * n_pad / 16);
    x->isum = check_buffer(c, p->t * n_pad / 16 * sizeof *x->isum, sizeof *x->isum);
    x->dsum = check_floats(c, p->t * n_pad / 32);
    float *values = check_floats(c, p->n);
    for (size_t j = 0; j < p->t; j++) {
        check_fill(c, check_distribution(c), values, p->n);
        c->scalar->quantise_act(values, p->n, n_pad, x->q + j * n_pad, x->d + j * (n_pad / 32),
                                x->sum + j * (n_pad / 16), x->isum + j * (n_pad / 16),
                                x->dsum + j * (n_pad / 32));
    }
}

static void begin_case(struct check *c, struct split_case *p, ew__dtype type, size_t n, size_t rows,
                       size_t t) {
    *p = (struct split_case){.type = type, .n = n, .rows = rows, .t = t};
    check_begin(c, "n %zu rows %zu t %zu", n, rows, t);
    make_weights(c, p);
    make_activations(c, p);
    p->scratch = check_buffer(c, EW__PACKED_SCRATCH_BYTES, 64);
}

static void product_case(struct check *c, ew__dtype type, size_t n, size_t rows, size_t t) {
    struct split_case p;
    begin_case(c, &p, type, n, rows, t);
    size_t panels = ew__packed_panels(rows), first = check_below(c, panels), ldy = rows + 3;
    size_t count = 1 + check_below(c, panels - first), t0 = check_below(c, t);
    float *y = check_floats(c, t * ldy), *expected = check_floats(c, t * ldy);
    c->k->mul_split[type](&p.w, first, count, &p.x, t0, t - t0, y, ldy, p.scratch);
    check_end(c);
    c->scalar->mul_packed[type](&p.packed, first, count, &p.x, t0, t - t0, expected, ldy, NULL);
    size_t begin = first * EW__PANEL_ROWS, end = begin + count * EW__PANEL_ROWS;
    end = end < rows ? end : rows;
    for (size_t j = 0; j < t - t0; j++) {
        float *got = y + j * ldy, *want = expected + j * ldy;
        for (size_t i = begin; i < end; i++) { /* the sign of a zero is not defined */
            got[i] += 0.0f;
            want[i] += 0.0f;
        }
        check_bits(c, "rows against the panels'", got + begin, want + begin,
                   (end - begin) * sizeof *got);
        if (!check_untouched(got, begin) || !check_untouched(got + end, ldy - end))
            check_fail(c, "wrote outside the panels' rows for token %zu", j);
    }
}

void check_mul_split(struct check *c, ew__dtype type) {
    size_t columns = ew__packed_format(type)->columns;
    for (size_t cells = 1; cells <= 18; cells++)
        product_case(c, type, cells * columns, 1 + check_below(c, 100), 1 + check_below(c, 14));
    for (size_t t = 1; t <= 14; t++)
        product_case(c, type, 256 * (1 + check_below(c, 4)), 1 + check_below(c, 150), t);
}

/* acc and bound of a row in double precision, from the row's bytes as the unpacker gives them; the
 * value returned is the sum of the sizes of all terms. */
static double row_truth(struct check *c, const struct split_case *p, size_t row, double *acc,
                        double *bound) {
    size_t n_pad = p->x.n_pad, group = p->type == EW__Q6_K ? 16 : 32;
    size_t used = c->used; /* the buffers below are of this row only */
    float *s = check_floats(c, n_pad / 16), *m = check_floats(c, n_pad / 16);
    uint8_t *u = check_buffer(c, n_pad, 64);
    double size = 0;
    c->scalar->unpack[p->type](p->file + row * p->row_bytes, p->n, n_pad, u, s, m);
    *acc = *bound = 0;
    for (size_t k = 0; k < p->n; k += group) {
        double lost = p->type == EW__Q6_K ? 0.5 : 3.5, coarse = 0, sizes = 0;
        for (size_t i = k; i < k + group; i++) {
            double weight =
                p->type == EW__Q6_K ? (u[i] & ~1) + lost - 32 : (u[i] & ~7) - 128 + lost;
            coarse += weight * p->x.q[i];
            sizes += abs(p->x.q[i]);
        }
        double scale = (double)s[k / 16] * (double)p->x.d[k / 32];
        *acc += scale * coarse;
        *bound += fabs(scale) * (lost * sizes + (p->type == EW__Q6_K ? 0 : 0.5));
        size += fabs(scale) * 130 * sizes;
    }
    c->used = used;
    return size;
}

static void compare_truth(struct check *c, const struct split_case *p, const float *top) {
    for (size_t panel = 0; panel < ew__packed_panels(p->rows); panel++) {
        double most = -INFINITY, room = 0;
        for (size_t row = 16 * panel; row < p->rows && row < 16 * panel + 16; row++) {
            double acc, bound, size = row_truth(c, p, row, &acc, &bound);
            most = fmax(most, acc + bound * (1 + 0x1p-8));
            /* Q8_0: half of an integer is dropped, which the bound counts */
            room = fmax(room, ((double)p->n / 8 + 8) * EPS * size + bound * 0x1p-8 + 0x1p-89 +
                                  (p->type == EW__Q6_K ? 0 : bound));
        }
        check_near(c, "top", panel, (double)top[panel], most, room);
    }
}

/* Whatever the sizes, no product is above what was screened (a NaN would be). */
static void check_above(struct check *c, const struct split_case *p, const float *top) {
    float *y = check_floats(c, p->rows);
    c->k->mul_split[p->type](&p->w, 0, ew__packed_panels(p->rows), &p->x, 0, 1, y, p->rows,
                             p->scratch);
    for (size_t row = 0; row < p->rows; row++)
        if (!(y[row] <= top[row / EW__PANEL_ROWS]) && top[row / EW__PANEL_ROWS] != INFINITY)
            check_fail(c, "row %zu: %g is above %g", row, (double)y[row],
                       (double)top[row / EW__PANEL_ROWS]);
}

/* A few rows get scales that are not finite, or the activations become so. */
static void screen_case(struct check *c, ew__dtype type, size_t n, size_t rows) {
    struct split_case p;
    begin_case(c, &p, type, n, rows, 1);
    size_t panels = ew__packed_panels(rows), first = check_below(c, panels);
    struct ew__screen x = {.d = check_floats(c, n / 32), .e = check_floats(c, n / 16)};
    float *top = check_floats(c, panels), *twin = check_floats(c, panels);
    ew__screen_make(type, n, &p.x, 0, &x);
    c->k->screen_split[type](&p.w, first, panels - first, &x, top);
    if (!check_untouched(top, first))
        check_fail(c, "wrote before panel %zu", first);
    c->k->screen_split[type](&p.w, 0, panels, &x, top);
    check_end(c);
    c->scalar->screen_split[type](&p.w, 0, panels, &x, twin);
    check_bits(c, "screening against the twin", top, twin, panels * sizeof *top);
    check_above(c, &p, top);
    compare_truth(c, &p, top);
}

/* Half scales of infinity and NaN, and activations that are not finite: nothing may be ruled out.
 * Activations near the end of the floats may leave finite bounds where weights are zero. */
static void not_finite_case(struct check *c, ew__dtype type, uint16_t half, float d) {
    struct split_case p;
    begin_case(c, &p, type, 512, 48, 1);
    struct ew__screen x = {.d = check_floats(c, 16), .e = check_floats(c, 32)};
    float top[3];
    size_t cells = 512 / ew__packed_format(type)->columns;
    size_t halves = p.w.high.panel_bytes - cells * 32 / 64 * 64; /* behind the vectors */
    halves -= cells * 32 % 64 != 0 ? 64 : 0;
    if (half != 0) /* of a row of the panel in the middle */
        memcpy((uint8_t *)(uintptr_t)p.w.high.data + p.w.high.panel_bytes + halves + 2 * 5, &half,
               2);
    for (size_t b = 0; b < 16 && d > 0; b++)
        p.x.d[b] = d;
    ew__screen_make(type, 512, &p.x, 0, &x);
    c->k->screen_split[type](&p.w, 0, 3, &x, top);
    check_above(c, &p, top);
    if ((half != 0 || isinf(d)) && !(top[1] == INFINITY))
        check_fail(c, "a bound of %g with half %#x, d %g", (double)top[1], half, (double)d);
    if (half != 0 && (isinf(top[0]) || isinf(top[2])))
        check_fail(c, "half %#x shows in other panels", half);
    check_end(c);
}

void check_screen_split(struct check *c, ew__dtype type) {
    size_t columns = ew__packed_format(type)->columns;
    for (size_t cells = 1; cells <= 18; cells++)
        screen_case(c, type, cells * columns, 1 + check_below(c, 100));
    for (size_t i = 0; i < 30; i++)
        screen_case(c, type, 256 * (1 + check_below(c, 4)), 1 + check_below(c, 150));
    not_finite_case(c, type, 0x7c00, 0);
    not_finite_case(c, type, 0x7e01, 0);
    not_finite_case(c, type, 0, INFINITY);
    not_finite_case(c, type, 0, 0x1p125f);
}
