// SPDX-License-Identifier: Apache-2.0
/* Matrices in two planes (kernels/split.h): products of few tokens and screenings stream the planes
 * from memory, several panels side by side; many tokens go through tiles. */
#include "kernels/avx512/isa.h"

#include "kernels/avx512/packed_tile.h"
#include "kernels/split.h"

#include <math.h>

#define TOKENS_MAX 4u    /* that stream */
#define AHEAD      4096u /* bytes between use and prefetch */

EW__INLINE size_t low_block(ew__dtype type) {
    return type == EW__Q6_K ? 64 : 192;
}
EW__INLINE size_t scale_area(ew__dtype type) {
    return type == EW__Q6_K ? 256 : 0;
}
EW__INLINE size_t blocks_of_cell(ew__dtype type) {
    return type == EW__Q6_K ? 8 : 1;
}
EW__INLINE size_t high_cell(ew__dtype type) {
    return scale_area(type) + blocks_of_cell(type) * EW__SPLIT_HIGH_BLOCK;
}

EW__INLINE __m512i bytes_of(unsigned value) {
    return _mm512_set1_epi8((char)value);
}
/* shift_bytes, one further to the right. */
EW__INLINE __m512i moved(__m512i x, int left) {
    return left == -4 ? _mm512_srli_epi16(x, 4) : shift_bytes(x, left);
}
/* base | (bits & mask) */
EW__INLINE __m512i with_bits(__m512i base, __m512i bits, unsigned mask) {
    return _mm512_ternarylogic_epi32(base, bits, bytes_of(mask), 0xf8);
}
/* (a & mask) | (b & ~mask) */
EW__INLINE __m512i choose(__m512i a, __m512i b, unsigned mask) {
    return _mm512_ternarylogic_epi32(a, b, bytes_of(mask), 0xe4);
}
EW__INLINE int fifth_at(size_t g) {
    return 3 - (int)(g & 3) + 4 * (int)(g / 4);
}

/* Both planes of a block of one panel, on the way to its bytes u. */
struct block {
    __m512i nibbles[4];
    __m512i low[4]; /* Q6_K: [0], [1] bit pairs of the even and the odd groups; Q8_0: low nibbles of
                     * u, laid out as the high ones */
};

EW__INLINE struct block load_block(ew__dtype type, const uint8_t *high, const uint8_t *low) {
    struct block b;
    __m512i fifth = _mm512_load_si512(high + 256);
    EW__TILE_LOOP
    for (size_t v = 0; v < 4; v++)
        b.nibbles[v] = _mm512_load_si512(high + 64 * v);
    if (type == EW__Q6_K) {
        __m512i last = _mm512_load_si512(low);
        b.low[0] = choose(fifth, last, 0xaa);
        b.low[1] = choose(_mm512_slli_epi16(fifth, 1), _mm512_srli_epi16(last, 1), 0xaa);
        return b;
    }
    b.low[3] = _mm512_and_si512(_mm512_slli_epi16(fifth, 3), bytes_of(0x88));
    EW__TILE_LOOP
    for (size_t v = 0; v < 3; v++) {
        __m512i bits = _mm512_load_si512(low + 64 * v);
        b.low[3] = with_bits(b.low[3], moved(bits, -1 - (int)v), 0x44u >> v);
        b.low[v] = choose(moved(fifth, (int)v), bits, 0x88);
    }
    return b;
}

/* u of group g; of Q6_K's groups 4 .. 7 four times u, which saves a shift. */
EW__INLINE __m512i group_of(ew__dtype type, const struct block *b, size_t g) {
    __m512i nibbles = b->nibbles[g & 3];
    if (type == EW__Q8_0)
        return g < 4 ? choose(_mm512_slli_epi16(nibbles, 4), b->low[g], 0xf0)
                     : choose(nibbles, _mm512_srli_epi16(b->low[g & 3], 4), 0xf0);
    int at = (g & 2 ? 0 : 2) + 4 * (int)(g / 4); /* of the pair's lower bit */
    if (g >= 4)
        return with_bits(_mm512_and_si512(nibbles, bytes_of(0xf0)), moved(b->low[g & 1], 2 - at),
                         12);
    nibbles = _mm512_and_si512(_mm512_slli_epi16(nibbles, 2), bytes_of(0x3c));
    return with_bits(nibbles, moved(b->low[g & 1], -at), 3);
}

/* From the high plane alone: 4 k of Q6_K's groups 0 .. 3, 8 k of the others. */
EW__INLINE __m512i high_group(ew__dtype type, __m512i nibbles, __m512i fifth, size_t g) {
    int bit = type == EW__Q6_K && g < 4 ? 2 : 3;
    if (g < 4)
        nibbles = moved(nibbles, bit + 1);
    nibbles = _mm512_and_si512(nibbles, bytes_of(15u << (bit + 1)));
    return with_bits(nibbles, moved(fifth, bit - fifth_at(g)), 1u << bit);
}

EW__INLINE __m512 d_at(const uint8_t *halves) {
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)halves));
}

EW__INLINE __m512 scale_at(const uint8_t *bytes, __m512 d) {
    __m128i eight = _mm_load_si128((const __m128i *)(const void *)bytes);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(eight)), d);
}

/* (MAGIC + integer) * s, rounded once. */
EW__INLINE __m512 scaled(__m512i sum, __m512 s) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(sum), s, _mm512_mul_ps(s, _mm512_set1_ps(-MAGIC)));
}

EW__INLINE __m512i four_of(const int8_t *q) {
    return _mm512_set1_epi32((int)ew__load_u32(q));
}

/* A place in a panel: block b of a cell. */
struct place {
    const uint8_t *high, *low, *scales; /* low: NULL in a screening */
    __m512 d;
    size_t k; /* the block's first column */
};

EW__INLINE void mul_block(ew__dtype type, size_t T, const struct place *at,
                          const struct ew__qact *x, size_t t0, __m512 acc[TOKENS_MAX]) {
    const size_t n_pad = x->n_pad, k = at->k;
    struct block block = load_block(type, at->high, at->low);
    __m512i first[TOKENS_MAX], second[TOKENS_MAX];
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++) {
        const int16_t *isum = x->isum + ((t0 + j) * n_pad + k) / 16;
        int sum = type == EW__Q6_K ? 32 * isum[0] : 128 * (isum[0] + isum[1]);
        first[j] = _mm512_set1_epi32(MAGIC_BITS - sum);
        second[j] = _mm512_set1_epi32(-128 * isum[1]);
    }
    EW__TILE_LOOP
    for (size_t i = 0; i < 8; i++) {
        size_t g = i / 2 + 4 * (i & 1);
        __m512i u = group_of(type, &block, g);
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++) {
            __m512i four = four_of(x->q + (t0 + j) * n_pad + k + 4 * g);
            __m512i *sum = type == EW__Q6_K && g >= 4 ? &second[j] : &first[j];
            *sum = _mm512_dpbusd_epi32(*sum, u, four);
        }
    }
    __m512 s = at->d, quarter = s;
    if (type == EW__Q6_K) {
        s = scale_at(at->scales, at->d);
        quarter = _mm512_mul_ps(scale_at(at->scales + 16, at->d), _mm512_set1_ps(0.25f));
    }
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++) {
        __m512 part = scaled(first[j], s);
        if (type == EW__Q6_K)
            part = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second[j]), quarter, part);
        acc[j] = _mm512_fmadd_ps(part, _mm512_set1_ps(x->d[((t0 + j) * n_pad + k) / 32]), acc[j]);
    }
}

EW__INLINE void screen_block(ew__dtype type, const struct place *at, const struct ew__screen *x,
                             __m512 *acc, __m512 *bound) {
    const int16_t *isum = x->isum + at->k / 16;
    const float *e = x->e + at->k / (type == EW__Q6_K ? 16 : 32);
    int both = isum[0] + isum[1];
    __m512i first = _mm512_set1_epi32(
        MAGIC_BITS - (type == EW__Q6_K ? 63 * isum[0] : 128 * both - 7 * both / 2));
    __m512i second = _mm512_set1_epi32(-126 * isum[1]);
    __m512i fifth = _mm512_load_si512(at->high + 256);
    EW__TILE_LOOP
    for (size_t v = 0; v < 4; v++) {
        __m512i nibbles = _mm512_load_si512(at->high + 64 * v);
        __m512i low = high_group(type, nibbles, fifth, v),
                high = high_group(type, nibbles, fifth, v + 4);
        __m512i *sum = type == EW__Q6_K ? &second : &first;
        first = _mm512_dpbusd_epi32(first, low, four_of(x->q + at->k + 4 * v));
        *sum = _mm512_dpbusd_epi32(*sum, high, four_of(x->q + at->k + 4 * v + 16));
    }
    __m512 s = type == EW__Q6_K ? scale_at(at->scales, at->d) : at->d;
    __m512 part = scaled(first, s);
    *bound = _mm512_fmadd_ps(_mm512_abs_ps(s), _mm512_set1_ps(e[0]), *bound);
    if (type == EW__Q6_K) { /* the second sum is 2 J */
        s = scale_at(at->scales + 16, at->d);
        part = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), _mm512_mul_ps(s, _mm512_set1_ps(0.5f)),
                               part);
        *bound = _mm512_fmadd_ps(_mm512_abs_ps(s), _mm512_set1_ps(e[1]), *bound);
    }
    *acc = _mm512_fmadd_ps(part, _mm512_set1_ps(x->d[at->k / 32]), *acc);
}

EW__INLINE void prefetch_lines(const uint8_t *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

/* Asks for `bytes` AHEAD of offset `at` of a part of `size` bytes, or for the same of the part that
 * this stream reads next, `next` bytes on. */
EW__INLINE void prefetch_part(const uint8_t *part, size_t next, size_t size, size_t at,
                              size_t bytes) {
    size_t ahead = at + AHEAD;
    prefetch_lines(part + (ahead < size ? ahead : next + ahead - size), bytes);
}

/* What a walk over panels is for: a product of T tokens, or a screening (T = 0). */
struct walk {
    const struct ew__split *w;
    const struct ew__qact *x;
    size_t t0;
    const struct ew__screen *screen;
};

/* The sums of P panels from `first` on; acc[p][0] and acc[p][1] are a screening's acc and bound. */
EW__INLINE void walk_panels(ew__dtype type, size_t P, size_t T, const struct walk *walk,
                            size_t first, __m512 acc[4][TOKENS_MAX]) {
    const struct ew__split *w = walk->w;
    const size_t high_bytes = w->high.panel_bytes, low_bytes = w->low_bytes,
                 per_cell = blocks_of_cell(type);
    const size_t cells = w->high.n / (32 * per_cell), end = cells * high_cell(type);
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        EW__TILE_LOOP
        for (size_t j = 0; j < TOKENS_MAX; j++)
            acc[p][j] = _mm512_setzero_ps();
    }
    for (size_t c = 0; c < cells; c++) {
        const uint8_t *high[4], *low[4];
        __m512 d[4];
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++) {
            high[p] = w->high.data + (first + p) * high_bytes;
            low[p] = w->low + (first + p) * low_bytes;
            d[p] = d_at(high[p] + end + 32 * c);
            prefetch_part(high[p], P * high_bytes, end, c * high_cell(type), scale_area(type));
            _mm_prefetch((const char *)high[p] + end + 32 * c + P * high_bytes, _MM_HINT_T0);
        }
        for (size_t b = 0; b < per_cell; b++) {
            size_t at = c * high_cell(type) + scale_area(type) + b * EW__SPLIT_HIGH_BLOCK;
            size_t low_at = (c * per_cell + b) * low_block(type);
            EW__TILE_LOOP
            for (size_t p = 0; p < P; p++) {
                struct place place = {high[p] + at, low[p] + low_at,
                                      high[p] + c * high_cell(type) + 32 * b, d[p],
                                      32 * (c * per_cell + b)};
                prefetch_part(high[p], P * high_bytes, end, at, EW__SPLIT_HIGH_BLOCK);
                if (T == 0) {
                    screen_block(type, &place, walk->screen, &acc[p][0], &acc[p][1]);
                    continue;
                }
                prefetch_lines(low[p] + P * low_bytes + low_at, low_block(type));
                mul_block(type, T, &place, walk->x, walk->t0, acc[p]);
            }
        }
    }
}

EW__INLINE void store_product(const struct walk *walk, size_t T, size_t panel,
                              const __m512 acc[TOKENS_MAX], float *y, size_t ldy) {
    __mmask16 mask = panel_mask(walk->w->high.rows, panel);
    EW__TILE_LOOP
    for (size_t j = 0; j < T; j++)
        _mm512_mask_storeu_ps(y + j * ldy + panel * EW__PANEL_ROWS, mask, acc[j]);
}

EW__INLINE float largest_upper(const struct walk *walk, size_t panel, __m512 acc, __m512 bound) {
    __mmask16 rows = panel_mask(walk->w->high.rows, panel);
    __mmask16 good = _mm512_cmp_ps_mask(bound, _mm512_set1_ps(EW__SCREEN_MOST), _CMP_LT_OQ);
    __m512 upper = _mm512_add_ps(_mm512_add_ps(acc, bound), _mm512_set1_ps(EW__SCREEN_TINY));
    return (rows & ~good) != 0 ? INFINITY : _mm512_mask_reduce_max_ps(rows, upper);
}

EW__INLINE void run_panels(ew__dtype type, size_t P, size_t T, const struct walk *walk,
                           size_t first, float *y, size_t ldy) {
    __m512 acc[4][TOKENS_MAX];
    walk_panels(type, P, T, walk, first, acc);
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        if (T == 0)
            y[first + p] = largest_upper(walk, first + p, acc[p][0], acc[p][1]);
        else
            store_product(walk, T, first + p, acc[p], y, ldy);
    }
}

EW__INLINE void run(ew__dtype type, size_t P, size_t T, const struct walk *walk, size_t first,
                    size_t count, float *y, size_t ldy) {
    size_t p = 0;
    for (; p + P <= count; p += P)
        run_panels(type, P, T, walk, first + p, y, ldy);
    for (; p < count; p++)
        run_panels(type, 1, T, walk, first + p, y, ldy);
}

/* For tiles: w is the first member of a struct ew__split. */
EW__INLINE void unpack(ew__dtype type, const struct ew__packed *w, size_t panel, size_t k,
                       size_t blocks, struct tile_panel *out) {
    const struct ew__split *split = (const struct ew__split *)(const void *)w;
    const size_t per_cell = blocks_of_cell(type);
    const uint8_t *high = w->data + panel * w->panel_bytes;
    const uint8_t *halves = high + w->n / (32 * per_cell) * high_cell(type);
    const uint8_t *low = split->low + panel * split->low_bytes;
    for (size_t i = 0; i < blocks; i++) {
        size_t at = k / 32 + i, b = at % per_cell;
        const uint8_t *cell = high + at / per_cell * high_cell(type);
        struct block block = load_block(type, cell + scale_area(type) + b * EW__SPLIT_HIGH_BLOCK,
                                        low + at * low_block(type));
        __m512 s = d_at(halves + 32 * (at / per_cell));
        if (type == EW__Q6_K) {
            _mm512_store_ps(out->scales[i][2], scale_at(cell + 32 * b + 16, s));
            s = scale_at(cell + 32 * b, s);
        }
        _mm512_store_ps(out->scales[i][0], s);
        _mm512_store_ps(out->scales[i][1], _mm512_mul_ps(s, _mm512_set1_ps(-MAGIC)));
        EW__TILE_LOOP
        for (size_t g = 0; g < 8; g++) {
            __m512i u = group_of(type, &block, g);
            _mm512_store_si512(out->u[i][g], type == EW__Q6_K && g >= 4 ? moved(u, -2) : u);
        }
    }
}

/* PANELS: side by side with one token. */
#define SPLIT_KERNELS(TYPE, tag, PANELS)                                                           \
    static void unpack_##tag(const struct ew__packed *w, size_t panel, size_t k, size_t blocks,    \
                             struct tile_panel *out) {                                             \
        unpack(EW__##TYPE, w, panel, k, blocks, out);                                              \
    }                                                                                              \
    void K(mul_split_##tag)(const struct ew__split *w, size_t first, size_t count,                 \
                            const struct ew__qact *x, size_t t0, size_t t, float *y, size_t ldy,   \
                            void *scratch) {                                                       \
        struct ew__qact coarse = *x;                                                               \
        struct walk walk = {w, &coarse, t0, NULL};                                                 \
        coarse.rest = 0;                                                                           \
        if (t > TOKENS_MAX)                                                                        \
            ew__packed_tiles_avx512(unpack_##tag, &w->high, first, count, &coarse, t0, t, y, ldy,  \
                                    scratch);                                                      \
        else if (t == 1)                                                                           \
            run(EW__##TYPE, PANELS, 1, &walk, first, count, y, ldy);                               \
        else if (t == 2)                                                                           \
            run(EW__##TYPE, 2, 2, &walk, first, count, y, ldy);                                    \
        else if (t == 3)                                                                           \
            run(EW__##TYPE, 2, 3, &walk, first, count, y, ldy);                                    \
        else if (t == 4)                                                                           \
            run(EW__##TYPE, 2, 4, &walk, first, count, y, ldy);                                    \
    }                                                                                              \
    void K(screen_split_##tag)(const struct ew__split *w, size_t first, size_t count,              \
                               const struct ew__screen *x, float *top) {                           \
        struct walk walk = {w, NULL, 0, x};                                                        \
        run(EW__##TYPE, 4, 0, &walk, first, count, top, 0);                                        \
    }

SPLIT_KERNELS(Q6_K, q6_k, 4)
SPLIT_KERNELS(Q8_0, q8_0, 2)
