// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/isa.h"

#include "kernels/avx512/packed_tile.h"

#include "base/size.h"

/* Rows of activations that follow one another, and a piece of their columns. */
struct piece {
    const struct ew__qact *x;
    size_t k, blocks; /* first column, blocks of 32 columns */
    enum packed_kind kind;
    int offset;
    const float *y; /* of the first row of activations, where its sums will go; NULL before the last
                     * piece */
    size_t ldy;
    /* Vectors that are unpacked next, of each panel; bytes per block of this piece. */
    const uint8_t *ahead[TILE_PANELS];
    size_t ahead_bytes, ahead_tiles; /* tiles of rows that do it; 0: nothing is fetched */
};

/* Where the integer sums of one row start: MAGIC_BITS minus offset times the sum of q; for halves
 * two per block, the second without MAGIC_BITS. */
EW__INLINE void sum_starts(enum packed_kind kind, const struct piece *piece, size_t row,
                           int32_t starts[2 * TILE_BLOCKS]) {
    const int16_t *isum = piece->x->isum + row * (piece->x->n_pad / 16) + piece->k / 16;
    __mmask32 mask = (__mmask32)(0xffffffffu >> (32 - 2 * piece->blocks));
    __m512i pairs = _mm512_maskz_loadu_epi16(mask, isum);
    if (kind == PACKED_HALVES) {
        const __m512i base = _mm512_set1_epi64(MAGIC_BITS),
                      offset = _mm512_set1_epi32(piece->offset);
        __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(pairs));
        __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(pairs, 1));
        _mm512_storeu_si512(starts, _mm512_sub_epi32(base, _mm512_mullo_epi32(low, offset)));
        _mm512_storeu_si512(starts + 16, _mm512_sub_epi32(base, _mm512_mullo_epi32(high, offset)));
    } else {
        __m512i sums = _mm512_madd_epi16(pairs, _mm512_set1_epi16((short)-piece->offset));
        _mm512_storeu_si512(starts, _mm512_add_epi32(sums, _mm512_set1_epi32(MAGIC_BITS)));
    }
}

/* Integer sums of P x T elements over the column groups first .. first + n - 1 of block b. */
EW__INLINE void dot_groups(size_t P, size_t T, const struct tile_panel *w, size_t b, size_t first,
                           size_t n, const int8_t *q, size_t ldq,
                           const int32_t (*starts)[2 * TILE_BLOCKS], size_t start,
                           __m512i sum[TILE_PANELS][TILE_TOKENS]) {
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++) {
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++)
            sum[p][j] = _mm512_set1_epi32(starts[j][start]);
    }
    EW__TILE_LOOP
    for (size_t g = first; g < first + n; g++) {
        __m512i u[TILE_PANELS];
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++)
            u[p] = _mm512_load_si512(w[p].u[b][g]);
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++) {
            __m512i four = _mm512_set1_epi32((int)ew__load_u32(q + j * ldq + 4 * g));
            EW__TILE_LOOP
            for (size_t p = 0; p < P; p++)
                sum[p][j] = _mm512_dpbusd_epi32(sum[p][j], u[p], four);
        }
    }
}

/* The sums of a block as floats times their scales. */
EW__INLINE void scaled_sums(enum packed_kind kind, size_t P, size_t T, const struct tile_panel *w,
                            size_t b, const int8_t *q, size_t ldq,
                            const int32_t (*starts)[2 * TILE_BLOCKS],
                            __m512 part[TILE_PANELS][TILE_TOKENS]) {
    __m512i sum[TILE_PANELS][TILE_TOKENS];
    if (kind == PACKED_HALVES)
        dot_groups(P, T, w, b, 0, 4, q, ldq, starts, 2 * b, sum);
    else
        dot_groups(P, T, w, b, 0, 8, q, ldq, starts, b, sum);
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        __m512 s = _mm512_load_ps(w[p].scales[b][0]), less = _mm512_load_ps(w[p].scales[b][1]);
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            part[p][j] = _mm512_fmadd_ps(_mm512_castsi512_ps(sum[p][j]), s, less);
    }
    if (kind != PACKED_HALVES)
        return;
    dot_groups(P, T, w, b, 4, 4, q, ldq, starts, 2 * b + 1, sum);
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        __m512 s = _mm512_load_ps(w[p].scales[b][2]);
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            part[p][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p][j]), s, part[p][j]);
    }
}

/* Memory works on the next piece while the first tiles of rows are multiplied, a panel in each
 * where there are two. With few tokens unpacking would otherwise wait for it. */
EW__INLINE void fetch_ahead(const struct piece *piece, size_t P, size_t tile, size_t b) {
    for (size_t p = tile; p < P; p += piece->ahead_tiles) {
        const char *from = (const char *)piece->ahead[p] + b * piece->ahead_bytes;
        for (size_t i = 0; i < piece->ahead_bytes; i += EW__VECTOR_BYTES)
            _mm_prefetch(from + i, _MM_HINT_T0);
    }
}

/* Adds a piece to the sums of P panels x T rows of activations from `row` on. */
EW__INLINE void mul_tile(enum packed_kind kind, size_t P, size_t T, const struct tile_panel *w,
                         const struct piece *piece, size_t tile, size_t row,
                         float (*sums)[TILE_PANELS][16]) {
    const struct ew__qact *x = piece->x;
    const size_t n_pad = x->n_pad, step = n_pad / 32;
    const int8_t *q = x->q + row * n_pad + piece->k;
    const float *d = x->d + row * step + piece->k / 32,
                *dsum = x->dsum + row * step + piece->k / 32;
    int32_t starts[TILE_TOKENS][2 * TILE_BLOCKS];
    __m512 acc[TILE_PANELS][TILE_TOKENS], part[TILE_PANELS][TILE_TOKENS];
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++) {
        sum_starts(kind, piece, row + j, starts[j]);
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++)
            acc[p][j] = _mm512_load_ps(sums[j][p]);
    }
    for (size_t b = 0; b < piece->blocks; b++, q += 32, d++, dsum++) {
        if (tile < piece->ahead_tiles)
            fetch_ahead(piece, P, tile, b);
        scaled_sums(kind, P, T, w, b, q, n_pad, starts, part);
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++) {
            __m512 m = _mm512_load_ps(w[p].scales[b][2]);
            EW__TILE_LOOP
            for (size_t j = 0; j < T; j++) {
                acc[p][j] = _mm512_fmadd_ps(part[p][j], _mm512_set1_ps(d[j * step]), acc[p][j]);
                if (kind == PACKED_MINIMUM)
                    acc[p][j] = _mm512_fmadd_ps(m, _mm512_set1_ps(dsum[j * step]), acc[p][j]);
            }
        }
    }
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++) {
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++)
            _mm512_store_ps(sums[j][p], acc[p][j]);
    }
}

/* Outputs are far apart and not in the caches: they are fetched while the last piece is multiplied,
 * or storing them would cost a fifth of the product. */
EW__INLINE void fetch_outputs(const struct piece *piece, size_t P, size_t j, size_t t) {
    if (piece->y == NULL)
        return;
    for (size_t i = j; i < j + t; i++)
        for (size_t p = 0; p < P; p++)
            __builtin_prefetch(piece->y + i * piece->ldy + p * EW__PANEL_ROWS, 1, 2);
}

static size_t tiles_of(size_t t) {
    return (t + TILE_TOKENS - 1) / TILE_TOKENS;
}

/* The rows in tiles as equal as can be: eight are four and four, not six and two, which would wait
 * for the multiplier's latency. */
EW__INLINE void mul_run(enum packed_kind kind, size_t P, const struct tile_panel *w,
                        const struct piece *piece, size_t row, size_t t,
                        float (*sums)[TILE_PANELS][16]) {
    const size_t tiles = tiles_of(t);
    for (size_t i = 0; i < tiles; i++) {
        size_t j = t * i / tiles, T = t * (i + 1) / tiles - j;
        fetch_outputs(piece, P, j, T);
        switch (T) {
#define TILE(T)                                                                                    \
    case T:                                                                                        \
        mul_tile(kind, P, T, w, piece, i, row + j, sums + j);                                      \
        break;
            TILE(1)
            TILE(2)
            TILE(3)
            TILE(4)
            TILE(5)
            TILE(6)
#undef TILE
        default:
            break;
        }
    }
}

#define RUN(kind, name, P)                                                                         \
    static void run_##name##_##P(const struct tile_panel *w, const struct piece *piece,            \
                                 size_t row, size_t t, float(*sums)[TILE_PANELS][16]) {            \
        mul_run(kind, P, w, piece, row, t, sums);                                                  \
    }
RUN(PACKED_PLAIN, plain, 1)
RUN(PACKED_PLAIN, plain, 2)
RUN(PACKED_MINIMUM, minimum, 1)
RUN(PACKED_MINIMUM, minimum, 2)
RUN(PACKED_HALVES, halves, 1)
RUN(PACKED_HALVES, halves, 2)

typedef void run_fn(const struct tile_panel *w, const struct piece *piece, size_t row, size_t t,
                    float (*sums)[TILE_PANELS][16]);

static run_fn *run_of(enum packed_kind kind, size_t panels) {
    static run_fn *const runs[3][TILE_PANELS] = {
        [PACKED_PLAIN] = {run_plain_1, run_plain_2},
        [PACKED_MINIMUM] = {run_minimum_1, run_minimum_2},
        [PACKED_HALVES] = {run_halves_1, run_halves_2},
    };
    return runs[kind][panels - 1];
}

/* y from the sums of t tokens and, behind them, of their second terms. */
static void store_sums(const struct ew__packed *w, size_t first, size_t count, size_t t, bool rest,
                       float (*sums)[TILE_PANELS][16], float *y, size_t ldy) {
    for (size_t p = 0; p < count; p++) {
        __mmask16 mask = panel_mask(w->rows, first + p);
        for (size_t j = 0; j < t; j++) {
            __m512 value = _mm512_load_ps(sums[j][p]);
            if (rest)
                value = _mm512_add_ps(value, _mm512_load_ps(sums[t + j][p]));
            _mm512_mask_storeu_ps(y + j * ldy + (first + p) * EW__PANEL_ROWS, mask, value);
        }
    }
}

/* What follows a piece: the panels' next columns, or the first ones of the panels behind them,
 * whose halves are asked for long before. Behind the last panel it is what happens to lie there. */
static void look_ahead(struct piece *piece, const struct ew__packed *w, size_t first,
                       size_t count) {
    const struct ew__packed_format *format = ew__packed_format(w->type);
    const size_t k = piece->k + 32 * piece->blocks, cells = w->n / format->columns;
    const size_t next = TILE_PANELS * w->panel_bytes;
    piece->ahead_bytes = ew__round_up(format->cell_bytes * 32 / format->columns, EW__VECTOR_BYTES);
    for (size_t p = 0; p < count; p++) {
        const uint8_t *panel = w->data + (first + p) * w->panel_bytes;
        const uint8_t *halves = panel + next + cells * format->cell_bytes;
        piece->ahead[p] = panel + (k < w->n ? k / format->columns * format->cell_bytes : next);
        for (size_t i = 0; piece->k == 0 && i < cells * format->half_bytes; i += EW__VECTOR_BYTES)
            _mm_prefetch((const char *)halves + i, _MM_HINT_T0);
    }
}

/* One or two panels for the tokens t0 .. t0 + t - 1, whose sums fit the scratch. */
static void mul_pair(ew__tile_unpack_fn *unpack, const struct ew__packed *w, size_t first,
                     size_t count, const struct ew__qact *x, size_t t0, size_t t,
                     struct tile_scratch *scratch, float *y, size_t ldy) {
    enum packed_kind kind = packed_kind(w->type);
    run_fn *run = run_of(kind, count);
    struct piece piece = {.x = x, .kind = kind, .offset = packed_offset(w->type), .ldy = ldy};
    size_t rows = x->rest > 0 ? 2 * t : t;
    for (size_t j = 0; j < rows; j++) {
        _mm512_store_ps(scratch->sums[j][0], _mm512_setzero_ps());
        _mm512_store_ps(scratch->sums[j][1], _mm512_setzero_ps());
    }
    for (; piece.k < w->n; piece.k += TILE_COLUMNS) {
        piece.blocks = ew__min_size(TILE_COLUMNS, w->n - piece.k) / 32;
        for (size_t p = 0; p < count; p++)
            unpack(w, first + p, piece.k, piece.blocks, &scratch->panels[p]);
        if (piece.k + TILE_COLUMNS >= w->n)
            piece.y = y + first * EW__PANEL_ROWS;
        look_ahead(&piece, w, first, count);
        piece.ahead_tiles = ew__min_size(tiles_of(t), count);
        run(scratch->panels, &piece, t0, t, scratch->sums);
        piece.y = NULL;
        piece.ahead_tiles = 0;
        if (x->rest > 0)
            run(scratch->panels, &piece, t0 + x->rest, t, scratch->sums + t);
    }
    store_sums(w, first, count, t, x->rest > 0, scratch->sums, y, ldy);
}

void ew__packed_tiles_avx512(ew__tile_unpack_fn *unpack, const struct ew__packed *w, size_t first,
                             size_t count, const struct ew__qact *x, size_t t0, size_t t, float *y,
                             size_t ldy, void *scratch) {
    size_t group = x->rest > 0 ? TILE_ROWS / 2 : TILE_ROWS;
    for (size_t p = 0; p < count; p += TILE_PANELS)
        for (size_t j = 0; j < t; j += group)
            mul_pair(unpack, w, first + p, ew__min_size(TILE_PANELS, count - p), x, t0 + j,
                     ew__min_size(group, t - j), scratch, y + j * ldy, ldy);
}
