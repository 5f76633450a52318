// SPDX-License-Identifier: Apache-2.0
/* Matrices in two planes (kernels/split.h): the definition of the kernels. */
#include "kernels/scalar/isa.h"

#include "kernels/half.h"
#include "kernels/kernels.h"
#include "kernels/split.h"

#include <math.h>

/* A product is that of the panels which the planes were made of. */
void K(mul_split)(const struct ew__split *w, size_t first, size_t count, const struct ew__qact *x,
                  size_t t0, size_t t, float *y, size_t ldy, void *scratch) {
    const struct ew__packed *high = &w->high;
    struct ew__qact coarse = *x;
    coarse.rest = 0;
    for (size_t i = first; i < first + count; i++) {
        size_t row = i * EW__PANEL_ROWS, left = high->rows - row;
        struct ew__packed panel = {scratch, ew__packed_panel_bytes(high->type, high->n), high->type,
                                   left < EW__PANEL_ROWS ? left : EW__PANEL_ROWS, high->n};
        ew__unsplit_panel(w, i, scratch);
        K(mul_packed)(&panel, 0, 1, &coarse, t0, t, y + row, ldy, NULL);
    }
}

/* A row's bytes of a block in the high plane, its scales there, and its d. */
struct row_high {
    const uint8_t *block, *scales;
    float d;
};

static struct row_high row_high(const struct ew__split *w, size_t row, size_t b) {
    const struct ew__packed *high = &w->high;
    const struct ew__packed_format *f = ew__packed_format(high->type);
    size_t per_cell = f->columns / 32, scales = high->type == EW__Q6_K ? 256 : 0;
    size_t cell_bytes = scales + per_cell * EW__SPLIT_HIGH_BLOCK, lane = row % EW__PANEL_ROWS;
    const uint8_t *panel = high->data + row / EW__PANEL_ROWS * high->panel_bytes;
    const uint8_t *cell = panel + b / per_cell * cell_bytes;
    const uint8_t *halves = panel + high->n / f->columns * cell_bytes + b / per_cell * 32;
    return (struct row_high){cell + scales + b % per_cell * EW__SPLIT_HIGH_BLOCK + 4 * lane,
                             cell + 16 * (2 * (b % per_cell)) + lane,
                             ew__half_at(halves + 2 * lane)};
}

/* sum of (a k - o) q over `groups` column groups from `from` on, k the five bits. */
static int32_t high_dot(const struct row_high *row, const int8_t *q, unsigned from, unsigned groups,
                        int a, int o) {
    int32_t sum = 0;
    for (unsigned g = from; g < from + groups; g++) {
        for (unsigned c = 0; c < 4; c++) {
            int nibble = row->block[64 * (g % 4) + c] >> 4 * (g / 4) & 15;
            int fifth = row->block[256 + c] >> (3 - g % 4 + 4 * (g / 4)) & 1;
            sum += (a * (2 * nibble + fifth) - o) * q[4 * g + c];
        }
    }
    return sum;
}

static float row_upper(const struct ew__split *w, size_t row, const struct ew__screen *x) {
    float acc = 0, bound = 0;
    for (size_t b = 0; b < w->high.n / 32; b++) {
        struct row_high at = row_high(w, row, b);
        const int8_t *q = x->q + 32 * b;
        float part;
        if (w->high.type == EW__Q6_K) {
            float s0 = at.d * (float)(int8_t)at.scales[0], s1 = at.d * (float)(int8_t)at.scales[16];
            part = (float)high_dot(&at, q, 0, 4, 4, 63) * s0;
            part = fmaf((float)high_dot(&at, q, 4, 4, 4, 63), s1, part);
            bound = fmaf(fabsf(s0), x->e[2 * b], bound);
            bound = fmaf(fabsf(s1), x->e[2 * b + 1], bound);
        } else {
            int sum = x->isum[2 * b] + x->isum[2 * b + 1];
            int rest = 7 * sum / 2; // C's division, as the bound has it
            part = (float)(high_dot(&at, q, 0, 8, 8, 128) + rest) * at.d;
            bound = fmaf(fabsf(at.d), x->e[b], bound);
        }
        acc = fmaf(part, x->d[b], acc);
    }
    return bound < EW__SCREEN_MOST ? acc + bound + EW__SCREEN_TINY : INFINITY;
}

void K(screen_split)(const struct ew__split *w, size_t first, size_t count,
                     const struct ew__screen *x, float *top) {
    for (size_t i = first; i < first + count; i++) {
        top[i] = -INFINITY;
        for (size_t row = i * EW__PANEL_ROWS; row < (i + 1) * EW__PANEL_ROWS; row++)
            if (row < w->high.rows)
                top[i] = fmaxf(top[i], row_upper(w, row, x));
    }
}
