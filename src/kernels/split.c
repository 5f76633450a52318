// SPDX-License-Identifier: Apache-2.0
#include "kernels/split.h"

#include "base/size.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { lanes = 64 };

/* The bytes of a block of 32 columns of 16 rows: [group][4 row + column]. */
typedef uint8_t block_bytes[8][lanes];

static size_t low_block(ew__dtype type) {
    switch (type) {
#define CASE(name, tag, bytes)                                                                     \
    case EW__##name:                                                                               \
        return bytes;
        EW__SPLIT_MAP(CASE)
#undef CASE
    default:
        return 0;
    }
}

static size_t packed_block(ew__dtype type) {
    return EW__SPLIT_HIGH_BLOCK + low_block(type);
}

static size_t cell_scales(ew__dtype type) {
    return type == EW__Q6_K ? 16 * EW__PANEL_ROWS : 0;
}

static size_t high_cell(ew__dtype type) {
    return cell_scales(type) + ew__packed_format(type)->columns / 32 * EW__SPLIT_HIGH_BLOCK;
}

static size_t high_panel(ew__dtype type, size_t n) {
    const struct ew__packed_format *f = ew__packed_format(type);
    return ew__round_up(n / f->columns * (high_cell(type) + f->half_bytes), EW__VECTOR_BYTES);
}

bool ew__split_can(ew__dtype type, size_t n) {
    return low_block(type) > 0 && n > 0 && n % ew__packed_format(type)->columns == 0 &&
           n <= EW__SPLIT_COLUMNS_MAX;
}

size_t ew__split_bytes(ew__dtype type, size_t rows, size_t n) {
    return ew__packed_panels(rows) * (high_panel(type, n) + n / 32 * low_block(type));
}

struct ew__split ew__split_at(const uint8_t *data, ew__dtype type, size_t rows, size_t n) {
    size_t high = high_panel(type, n);
    return (struct ew__split){.high = {data, high, type, rows, n},
                              .low = data + ew__packed_panels(rows) * high,
                              .low_bytes = n / 32 * low_block(type)};
}

/* --- a block in its three forms --- */

static void read_packed(ew__dtype type, const uint8_t *block, block_bytes u) {
    for (unsigned g = 0; g < 8; g++) {
        if (type == EW__Q8_0) {
            memcpy(u[g], block + lanes * g, lanes);
            continue;
        }
        const uint8_t *nibbles = block + lanes * (g % 4), *top = block + 256 + lanes * (g / 4);
        for (unsigned i = 0; i < lanes; i++)
            u[g][i] =
                (uint8_t)((nibbles[i] >> 4 * (g / 4) & 15) | (top[i] >> 2 * (g % 4) & 3) << 4);
    }
}

static void write_packed(ew__dtype type, uint8_t *block, block_bytes u) {
    if (type == EW__Q8_0) {
        memcpy(block, u, 8 * lanes);
        return;
    }
    memset(block, 0, packed_block(type));
    for (unsigned g = 0; g < 8; g++) {
        uint8_t *nibbles = block + lanes * (g % 4), *top = block + 256 + lanes * (g / 4);
        for (unsigned i = 0; i < lanes; i++) {
            nibbles[i] = (uint8_t)(nibbles[i] | (u[g][i] & 15) << 4 * (g / 4));
            top[i] = (uint8_t)(top[i] | u[g][i] >> 4 << 2 * (g % 4));
        }
    }
}

static unsigned fifth_at(unsigned g) {
    return 3 - g % 4 + 4 * (g / 4);
}

/* Where bit `bit` of group g is in the low plane: its vector, and in *at its place there. */
static size_t low_at(ew__dtype type, unsigned g, unsigned bit, unsigned *at) {
    if (type == EW__Q6_K) {
        *at = (g % 4 ^ 2) + 4 * (g / 4);
        return 0;
    }
    *at = (g % 4 < 3 ? bit : 3) + 4 * (g / 4);
    return g % 4 < 3 ? g % 4 : 2 - bit;
}

static unsigned low_bits(ew__dtype type) {
    return type == EW__Q6_K ? 1 : 3;
}

static void write_planes(ew__dtype type, block_bytes u, uint8_t *high, uint8_t *low) {
    unsigned below = low_bits(type);
    memset(high, 0, EW__SPLIT_HIGH_BLOCK);
    memset(low, 0, low_block(type));
    for (unsigned g = 0; g < 8; g++) {
        uint8_t *nibbles = high + lanes * (g % 4), *fifth = high + 256;
        for (unsigned i = 0; i < lanes; i++) {
            nibbles[i] = (uint8_t)(nibbles[i] | u[g][i] >> (below + 1) << 4 * (g / 4));
            fifth[i] = (uint8_t)(fifth[i] | (u[g][i] >> below & 1) << fifth_at(g));
        }
        for (unsigned bit = 0, at; bit < below; bit++) {
            uint8_t *vector = low + lanes * low_at(type, g, bit, &at);
            for (unsigned i = 0; i < lanes; i++)
                vector[i] = (uint8_t)(vector[i] | (u[g][i] >> bit & 1) << at);
        }
    }
}

static void read_planes(ew__dtype type, const uint8_t *high, const uint8_t *low, block_bytes u) {
    unsigned below = low_bits(type);
    for (unsigned g = 0; g < 8; g++) {
        const uint8_t *nibbles = high + lanes * (g % 4), *fifth = high + 256;
        for (unsigned i = 0; i < lanes; i++)
            u[g][i] = (uint8_t)((nibbles[i] >> 4 * (g / 4) & 15) << (below + 1) |
                                (fifth[i] >> fifth_at(g) & 1) << below);
        for (unsigned bit = 0, at; bit < below; bit++) {
            const uint8_t *vector = low + lanes * low_at(type, g, bit, &at);
            for (unsigned i = 0; i < lanes; i++)
                u[g][i] = (uint8_t)(u[g][i] | (vector[i] >> at & 1) << bit);
        }
    }
}

/* --- panels --- */

void ew__split_panel(const uint8_t *panel, uint8_t *data, ew__dtype type, size_t rows, size_t n,
                     size_t i) {
    const struct ew__packed_format *f = ew__packed_format(type);
    struct ew__split w = ew__split_at(data, type, rows, n);
    uint8_t *high = data + i * w.high.panel_bytes, *low = data + (w.low - data) + i * w.low_bytes;
    size_t cells = n / f->columns, scales = cell_scales(type), used = cells * high_cell(type);
    memset(high + used, 0, w.high.panel_bytes - used);
    memcpy(high + used, panel + ew__packed_halves_at(f, n), cells * f->half_bytes);
    for (size_t cell = 0; cell < cells; cell++) {
        const uint8_t *from = panel + cell * f->cell_bytes;
        uint8_t *to = high + cell * high_cell(type);
        memcpy(to, from, scales);
        for (size_t b = 0; b < f->columns / 32; b++, low += low_block(type)) {
            block_bytes u;
            read_packed(type, from + scales + b * packed_block(type), u);
            write_planes(type, u, to + scales + b * EW__SPLIT_HIGH_BLOCK, low);
        }
    }
}

void ew__unsplit_panel(const struct ew__split *w, size_t i, uint8_t *panel) {
    ew__dtype type = w->high.type;
    const struct ew__packed_format *f = ew__packed_format(type);
    const uint8_t *high = w->high.data + i * w->high.panel_bytes, *low = w->low + i * w->low_bytes;
    size_t n = w->high.n, cells = n / f->columns, scales = cell_scales(type);
    size_t halves = ew__packed_halves_at(f, n);
    memset(panel + halves, 0, ew__packed_panel_bytes(type, n) - halves);
    memcpy(panel + halves, high + cells * high_cell(type), cells * f->half_bytes);
    for (size_t cell = 0; cell < cells; cell++) {
        const uint8_t *from = high + cell * high_cell(type);
        uint8_t *to = panel + cell * f->cell_bytes;
        memcpy(to, from, scales);
        for (size_t b = 0; b < f->columns / 32; b++, low += low_block(type)) {
            block_bytes u;
            read_planes(type, from + scales + b * EW__SPLIT_HIGH_BLOCK, low, u);
            write_packed(type, to + scales + b * packed_block(type), u);
        }
    }
}

/* --- activations --- */

static int sum_of_sizes(const int8_t *q, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += abs(q[i]);
    return sum;
}

void ew__screen_make(ew__dtype type, size_t n, const struct ew__qact *x, size_t token,
                     struct ew__screen *out) {
    const float *d = x->d + token * (x->n_pad / 32);
    out->q = x->q + token * x->n_pad;
    out->isum = x->isum + token * (x->n_pad / 16);
    for (size_t b = 0; b < n / 32; b++) {
        const int8_t *q = out->q + 32 * b;
        if (type == EW__Q8_0) {
            out->d[b] = d[b];
            out->e[b] = d[b] * (float)(7 * sum_of_sizes(q, 32) + 1) * EW__SCREEN_WIDEN;
            continue;
        }
        out->d[b] = d[b] * 0.5f;
        for (size_t h = 0; h < 2; h++)
            out->e[2 * b + h] = d[b] * (float)sum_of_sizes(q + 16 * h, 16) * EW__SCREEN_WIDEN;
    }
}
