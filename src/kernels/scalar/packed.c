// SPDX-License-Identifier: Apache-2.0
/* Products of packed weights, as kernels/packed.h defines them: row by row, block by block. */
#include "kernels/scalar/isa.h"

#include "quant/blocks.h"

#include <math.h>

#define TOKENS 8u /* whose sums run side by side while a row's blocks are decoded */

/* One row's part of a block of 32 columns. */
struct row_block {
    uint8_t u[32];
    float s[2], m; /* scales of the halves (equal but for Q6_K); the minimum */
};

/* Where one row's block b of the matrix lies. */
struct row_place {
    const uint8_t *vectors; /* its word of vector v: vectors + 64 v */
    const uint8_t *scales;  /* its scale byte i: scales[16 i] */
    const uint8_t *halves;  /* its half i: halves + 32 i */
    unsigned b;             /* within the cell */
};

static struct row_place place_of(const struct ew__packed *w, size_t row, size_t block) {
    const struct ew__packed_format *f = ew__packed_format(w->type);
    size_t panel = row / EW__PANEL_ROWS, r = row % EW__PANEL_ROWS, per_cell = f->columns / 32;
    size_t cell = block / per_cell, b = block % per_cell;
    size_t block_bytes = (f->cell_bytes - f->scale_bytes) / per_cell;
    const uint8_t *data = w->data + panel * w->panel_bytes, *at = data + cell * f->cell_bytes;
    return (struct row_place){
        .vectors = at + f->scale_bytes + b * block_bytes + 4 * r,
        .scales = at + r,
        .halves = data + ew__packed_halves_at(f, w->n) + cell * f->half_bytes + 2 * r,
        .b = (unsigned)b,
    };
}

/* Bits beyond the nibble of group g, byte c, at bits 4 and 5. */
static unsigned top_bits(ew__dtype type, const uint8_t *vectors, unsigned g, unsigned c) {
    switch (type) {
    case EW__Q5_0:
    case EW__Q5_1:
    case EW__Q5_K:
        return (vectors[4 * 64 + c] >> g & 1u) << 4;
    case EW__Q6_K:
        return (vectors[(4 + g / 4) * 64 + c] >> 2 * (g % 4) & 3u) << 4;
    default:
        return 0;
    }
}

static void decode_bytes(ew__dtype type, const uint8_t *vectors, uint8_t u[32]) {
    for (unsigned i = 0; i < 32; i++) {
        unsigned g = i / 4, c = i % 4;
        if (type == EW__Q8_0) {
            u[i] = vectors[64 * g + c];
            continue;
        }
        unsigned value = vectors[64 * (g % 4) + c] >> 4 * (g / 4) & 15u;
        if (type == EW__IQ4_NL || type == EW__IQ4_XS)
            value = (unsigned)(ew__iq4_values[value] + 127);
        u[i] = (uint8_t)(value | top_bits(type, vectors, g, c));
    }
}

static void decode_scales(ew__dtype type, const struct row_place *at, struct row_block *out) {
    float d = ew__half_at(at->halves);
    uint8_t bytes[16], scale, minimum;
    out->s[0] = out->s[1] = d;
    out->m = 0;
    if (type == EW__Q4_1 || type == EW__Q5_1)
        out->m = ew__half_at(at->halves + 32);
    if (type == EW__Q4_K || type == EW__Q5_K) {
        for (unsigned i = 0; i < 12; i++)
            bytes[i] = at->scales[16 * i];
        ew__k4_scale_min(bytes, at->b, &scale, &minimum);
        out->s[0] = out->s[1] = d * (float)scale;
        out->m = -(ew__half_at(at->halves + 32) * (float)minimum);
    }
    if (type == EW__Q6_K) {
        out->s[0] = d * (float)(int8_t)at->scales[16 * (2 * at->b)];
        out->s[1] = d * (float)(int8_t)at->scales[16 * (2 * at->b + 1)];
    }
    if (type == EW__IQ4_XS) {
        struct ew__block_iq4_xs block = {.scales_h = {at->halves[32], at->halves[33]}};
        for (unsigned i = 0; i < 4; i++)
            block.scales_l[i] = at->scales[16 * i];
        out->s[0] = out->s[1] = d * (float)ew__iq4xs_scale(&block, at->b);
    }
}

static int32_t dot16(const uint8_t *u, const int8_t *q, int offset) {
    int32_t sum = 0;
    for (size_t k = 0; k < 16; k++)
        sum += (u[k] - offset) * q[k];
    return sum;
}

/* Adds block b to one element's sum. */
static float add_block(const struct ew__packed_format *f, const struct row_block *w,
                       const struct ew__qact *x, size_t token, size_t b, float acc) {
    const int8_t *q = x->q + token * x->n_pad + 32 * b;
    int32_t low = dot16(w->u, q, f->offset), high = dot16(w->u + 16, q + 16, f->offset);
    size_t at = token * (x->n_pad / 32) + b;
    float part;
    if (f->scale_columns == 16)
        part = fmaf((float)high, w->s[1], (float)low * w->s[0]);
    else
        part = (float)(low + high) * w->s[0];
    acc = fmaf(part, x->d[at], acc);
    return f->has_min ? fmaf(w->m, x->dsum[at], acc) : acc;
}

/* One row times the `count` (<= TOKENS) rows of activations from `token` on. */
static void mul_row(const struct ew__packed *w, size_t row, const struct ew__qact *x, size_t token,
                    size_t count, float acc[TOKENS]) {
    const struct ew__packed_format *f = ew__packed_format(w->type);
    for (size_t j = 0; j < count; j++)
        acc[j] = 0;
    for (size_t b = 0; b < w->n / 32; b++) {
        struct row_place at = place_of(w, row, b);
        struct row_block block;
        decode_bytes(w->type, at.vectors, block.u);
        decode_scales(w->type, &at, &block);
        for (size_t j = 0; j < count; j++)
            acc[j] = add_block(f, &block, x, token + j, b, acc[j]);
    }
}

void K(mul_packed)(const struct ew__packed *w, size_t first, size_t count, const struct ew__qact *x,
                   size_t t0, size_t t, float *y, size_t ldy, void *scratch) {
    size_t begin = first * EW__PANEL_ROWS, end = (first + count) * EW__PANEL_ROWS;
    (void)scratch;
    for (size_t row = begin; row < end && row < w->rows; row++) {
        for (size_t j = 0; j < t; j += TOKENS) {
            size_t few = t - j < TOKENS ? t - j : TOKENS;
            float acc[TOKENS], rest[TOKENS];
            mul_row(w, row, x, t0 + j, few, acc);
            if (x->rest > 0)
                mul_row(w, row, x, t0 + j + x->rest, few, rest);
            for (size_t i = 0; i < few; i++)
                y[(j + i) * ldy + row] = x->rest > 0 ? acc[i] + rest[i] : acc[i];
        }
    }
}
