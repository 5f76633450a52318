// SPDX-License-Identifier: Apache-2.0
/* Rows of a file -> panels. A row's part of a vector is 4 bytes, so everything here works on words
 * of four columns. */
#include "kernels/packed.h"

#include "base/size.h"
#include "quant/blocks.h"

#include <string.h>

const struct ew__packed_format *ew__packed_format(ew__dtype type) {
    static const struct ew__packed_format none = {0};
    static const struct ew__packed_format formats[EW__DTYPE_COUNT] = {
#define FORMAT(name, tag, ...) [EW__##name] = {__VA_ARGS__},
        EW__PACKED_MAP(FORMAT) EW__PACKED_FLOAT_MAP(FORMAT)
#undef FORMAT
    };
    return (size_t)type < EW__DTYPE_COUNT ? &formats[type] : &none;
}

size_t ew__packed_panel_bytes(ew__dtype type, size_t n) {
    const struct ew__packed_format *f = ew__packed_format(type);
    if (f->columns == 0)
        return 0;
    return ew__round_up(n / f->columns * (f->cell_bytes + f->half_bytes), EW__VECTOR_BYTES);
}

size_t ew__packed_bytes(ew__dtype type, size_t rows, size_t n) {
    return ew__packed_panels(rows) * ew__packed_panel_bytes(type, n);
}

/* A cell is as large as 16 rows' blocks of the file, its blocks of 32 columns are whole vectors. */
#define CHECK(name, tag, columns, cell, scale, half, ...)                                          \
    _Static_assert((cell) + (half) == EW__PANEL_ROWS * sizeof(struct ew__block_##tag), #name);     \
    _Static_assert(((cell) - (scale)) % ((columns) / 32 * EW__VECTOR_BYTES) == 0, #name);
EW__PACKED_MAP(CHECK)
#undef CHECK

/* Where the parts of one row's block go: the row's word of vector v is at vectors + 64 v, byte i of
 * its scales at scales + 16 i, half i at halves + 32 i. */
struct place {
    uint8_t *vectors, *scales, *halves;
};

static void put(uint8_t *at, uint32_t word) {
    at[0] = (uint8_t)word;
    at[1] = (uint8_t)(word >> 8);
    at[2] = (uint8_t)(word >> 16);
    at[3] = (uint8_t)(word >> 24);
}

static uint32_t word(const void *from, size_t i) {
    return ew__load_u32((const uint8_t *)from + 4 * i);
}

static void put_half(const struct place *to, size_t i, const uint8_t half[2]) {
    memcpy(to->halves + 32 * i, half, 2);
}

static void put_scales(const struct place *to, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        to->scales[16 * i] = ((const uint8_t *)bytes)[i];
}

/* Nibbles that lie in the file as they do here: the 32-column types. */
static void put_nibbles(uint8_t *vectors, const uint8_t qs[16]) {
    for (size_t v = 0; v < 4; v++)
        put(vectors + 64 * v, word(qs, v));
}

/* Two blocks of 32 columns whose nibbles share bytes, low ones first: the K types' order. */
static void put_nibble_pair(uint8_t *first, uint8_t *second, const uint8_t qs[32]) {
    for (size_t v = 0; v < 4; v++) {
        uint32_t a = word(qs, v), b = word(qs, 4 + v);
        put(first + 64 * v, (a & 0x0f0f0f0fu) | (b & 0x0f0f0f0fu) << 4);
        put(second + 64 * v, (a >> 4 & 0x0f0f0f0fu) | (b & 0xf0f0f0f0u));
    }
}

/* 32 bits, one per column -> bit g of byte c: column 4 g + c. */
static void put_fifth_bits(uint8_t *vector, uint32_t bits) {
    uint32_t out = 0;
    for (unsigned g = 0; g < 8; g++) {
        uint32_t four = bits >> 4 * g & 15u; /* spread bit c to byte c */
        out |= ((four * 0x00204081u) & 0x01010101u) << g;
    }
    put(vector, out);
}

static void pack_q4_0(const struct ew__block_q4_0 *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_nibbles(to->vectors, block->qs);
}

static void pack_iq4_nl(const struct ew__block_iq4_nl *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_nibbles(to->vectors, block->qs);
}

static void pack_q4_1(const struct ew__block_q4_1 *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_half(to, 1, block->m);
    put_nibbles(to->vectors, block->qs);
}

static void pack_q5_0(const struct ew__block_q5_0 *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_nibbles(to->vectors, block->qs);
    put_fifth_bits(to->vectors + 256, ew__load_u32(block->qh));
}

static void pack_q5_1(const struct ew__block_q5_1 *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_half(to, 1, block->m);
    put_nibbles(to->vectors, block->qs);
    put_fifth_bits(to->vectors + 256, ew__load_u32(block->qh));
}

static void pack_q8_0(const struct ew__block_q8_0 *block, const struct place *to) {
    put_half(to, 0, block->d);
    for (size_t v = 0; v < 8; v++)
        put(to->vectors + 64 * v, word(block->qs, v) ^ 0x80808080u);
}

static void pack_q4_k(const struct ew__block_q4_k *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_half(to, 1, block->dmin);
    put_scales(to, block->scales, 12);
    for (size_t p = 0; p < 4; p++)
        put_nibble_pair(to->vectors + 512 * p, to->vectors + 512 * p + 256, block->qs + 32 * p);
}

static void pack_q5_k(const struct ew__block_q5_k *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_half(to, 1, block->dmin);
    put_scales(to, block->scales, 12);
    for (size_t p = 0; p < 4; p++)
        put_nibble_pair(to->vectors + 640 * p, to->vectors + 640 * p + 320, block->qs + 32 * p);
    for (unsigned b = 0; b < 8; b++) {
        uint32_t out = 0;
        for (unsigned g = 0; g < 8; g++)
            out |= (word(block->qh, g) >> b & 0x01010101u) << g;
        put(to->vectors + 320 * b + 256, out);
    }
}

/* Column 32 b + l of a half of 128: nibble from ql[32 (b % 2) + l], low ones first; bits 2 b of
 * qh[l]. */
static void pack_q6_k_half(const uint8_t *ql, const uint8_t *qh, uint8_t *vectors) {
    for (unsigned pair = 0; pair < 2; pair++)
        put_nibble_pair(vectors + 384 * pair, vectors + 384 * (pair + 2), ql + 32 * pair);
    for (unsigned b = 0; b < 4; b++) {
        for (unsigned h = 0; h < 2; h++) {
            uint32_t out = 0;
            for (unsigned j = 0; j < 4; j++)
                out |= (word(qh, 4 * h + j) >> 2 * b & 0x03030303u) << 2 * j;
            put(vectors + 384 * b + 256 + 64 * h, out);
        }
    }
}

static void pack_q6_k(const struct ew__block_q6_k *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_scales(to, block->scales, 16);
    for (size_t half = 0; half < 2; half++)
        pack_q6_k_half(block->ql + 64 * half, block->qh + 32 * half, to->vectors + 1536 * half);
}

static void pack_iq4_xs(const struct ew__block_iq4_xs *block, const struct place *to) {
    put_half(to, 0, block->d);
    put_half(to, 1, block->scales_h);
    put_scales(to, block->scales_l, 4);
    for (size_t b = 0; b < 8; b++)
        put_nibbles(to->vectors + 256 * b, block->qs + 16 * b);
}

static void pack_block(ew__dtype type, const void *block, const struct place *to) {
    switch (type) {
#define CASE(name, tag, ...)                                                                       \
    case EW__##name:                                                                               \
        pack_##tag(block, to);                                                                     \
        break;
        EW__PACKED_MAP(CASE)
#undef CASE
    default:
        break;
    }
}

static void pack_floats(ew__dtype type, const uint8_t *rows, size_t row_bytes, size_t r, size_t n,
                        uint8_t *panel) {
    const size_t row_step = type == EW__BF16 ? 4 : 2, column_step = type == EW__BF16 ? 2 : 32;
    if (r < EW__PANEL_ROWS)
        memset(panel, 0, n / 2 * EW__VECTOR_BYTES);
    for (size_t k = 0; k < n; k += 2, panel += EW__VECTOR_BYTES) {
        for (size_t row = 0; row < r; row++) {
            const uint8_t *pair = rows + row * row_bytes + 2 * k;
            memcpy(panel + row * row_step, pair, 2);
            memcpy(panel + row * row_step + column_step, pair + 2, 2);
        }
    }
}

void ew__pack_panel(ew__dtype type, const void *rows, size_t row_bytes, size_t r, size_t n,
                    uint8_t *panel) {
    const struct ew__packed_format *f = ew__packed_format(type);
    if (f->scale_columns == 0) {
        pack_floats(type, rows, row_bytes, r, n, panel);
        return;
    }
    size_t cells = n / f->columns, block_bytes = row_bytes / cells;
    uint8_t *halves = panel + ew__packed_halves_at(f, n);
    size_t used = cells * (f->cell_bytes + f->half_bytes);
    memset(panel + used, 0, ew__packed_panel_bytes(type, n) - used);
    if (r < EW__PANEL_ROWS)
        memset(panel, 0, used);
    for (size_t cell = 0; cell < cells; cell++) {
        for (size_t row = 0; row < r; row++) {
            uint8_t *at = panel + cell * f->cell_bytes;
            struct place to = {at + f->scale_bytes + 4 * row, at + row,
                               halves + cell * f->half_bytes + 2 * row};
            pack_block(type, (const uint8_t *)rows + row * row_bytes + cell * block_bytes, &to);
        }
    }
}
