// SPDX-License-Identifier: Apache-2.0
/* Panels of F16 and BF16 weights times f32 activations (kernels/packed.h). Weights are widened in
 * registers, once for a tile of panels x tokens whose sums stay in registers over all columns; two
 * panels share the broadcast of an activation. Widening is 4 operations (F16: 4 slower ones) for 32
 * multiply-adds of a full tile. */
#include "kernels/avx512/isa.h"

#include "base/size.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define GROUP_PANELS 4u /* taken through all tokens before the next: they stay in the cache */
#define TILE_TOKENS  8u
#define AHEAD        4096u /* bytes between use and prefetch */

struct call {
    const struct ew__packed *w;
    const float *x;
    float *y;
    size_t ldx, ldy;
};

/* Asks for what a panel's stream reads AHEAD bytes after `at`; behind its end that is the panel
 * that the same stream takes next, `next` bytes on. */
EW__INLINE void prefetch_ahead(const uint8_t *panel, size_t panel_bytes, size_t next, size_t at) {
    size_t ahead = at + AHEAD;
    const uint8_t *from = panel + (ahead < panel_bytes ? ahead : next + ahead - panel_bytes);
    _mm_prefetch((const char *)from, _MM_HINT_T0);
}

/* The two columns of a vector: 16 rows each. */
EW__INLINE void widen(ew__dtype type, const uint8_t *vector, __m512 out[2]) {
    if (type == EW__BF16) {
        __m512i pairs = _mm512_load_si512(vector);
        out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
        out[1] = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
    } else {
        out[0] = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)vector));
        out[1] = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)(vector + 32)));
    }
}

/* acc[p][j] = row j of x times panel p, over all columns. */
EW__INLINE void dot_panels(ew__dtype type, size_t P, size_t T, bool stream, const struct call *call,
                           const uint8_t *panels, const float *x,
                           __m512 acc[GROUP_PANELS][TILE_TOKENS]) {
    const size_t panel_bytes = call->w->panel_bytes, n = call->w->n, ldx = call->ldx;
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        EW__TILE_LOOP
        for (size_t j = 0; j < T; j++)
            acc[p][j] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < n; k += 2) {
        __m512 w[GROUP_PANELS][2];
        EW__TILE_LOOP
        for (size_t p = 0; p < P; p++) {
            const uint8_t *panel = panels + p * panel_bytes;
            if (stream)
                prefetch_ahead(panel, panel_bytes, P * panel_bytes, k * 32);
            widen(type, panel + k * 32, w[p]);
        }
        EW__TILE_LOOP
        for (size_t c = 0; c < 2; c++) {
            EW__TILE_LOOP
            for (size_t j = 0; j < T; j++) {
                __m512 value = _mm512_set1_ps(x[j * ldx + k + c]);
                EW__TILE_LOOP
                for (size_t p = 0; p < P; p++)
                    acc[p][j] = _mm512_fmadd_ps(w[p][c], value, acc[p][j]);
            }
        }
    }
}

/* P panels from `first` on, T tokens from j on. */
EW__INLINE void mul_tile(ew__dtype type, size_t P, size_t T, bool stream, const struct call *call,
                         size_t first, size_t j) {
    const struct ew__packed *w = call->w;
    float *y = call->y + j * call->ldy + first * EW__PANEL_ROWS;
    __m512 acc[GROUP_PANELS][TILE_TOKENS];
    for (size_t i = 0; i < T; i++) /* outputs are far apart and not in the caches */
        for (size_t p = 0; p < P; p++)
            __builtin_prefetch(y + i * call->ldy + p * EW__PANEL_ROWS, 1, 2);
    dot_panels(type, P, T, stream, call, w->data + first * w->panel_bytes, call->x + j * call->ldx,
               acc);
    EW__TILE_LOOP
    for (size_t p = 0; p < P; p++) {
        size_t left = w->rows - (first + p) * EW__PANEL_ROWS;
        __mmask16 mask = left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
        EW__TILE_LOOP
        for (size_t i = 0; i < T; i++)
            _mm512_mask_storeu_ps(y + i * call->ldy + p * EW__PANEL_ROWS, mask, acc[p][i]);
    }
}

/* `count` panels, P side by side. */
EW__INLINE void mul_panels(ew__dtype type, size_t P, size_t T, bool stream, const struct call *call,
                           size_t first, size_t count, size_t j) {
    size_t p = 0;
    for (; p + P <= count; p += P)
        mul_tile(type, P, T, stream, call, first + p, j);
    for (; p < count; p++)
        mul_tile(type, 1, T, stream, call, first + p, j);
}

typedef void tile_fn(const struct call *call, size_t first, size_t count, size_t j);

/* Panels that are multiplied with all tokens while they lie in the second-level cache; streams are
 * by tokens less one. */
static void mul_groups(tile_fn *tile, tile_fn *const *streams, const struct call *call,
                       size_t first, size_t count, size_t t) {
    for (size_t p = 0; p < count; p += GROUP_PANELS) {
        size_t group = ew__min_size(GROUP_PANELS, count - p), j = 0;
        for (; t - j > TILE_TOKENS; j += TILE_TOKENS)
            tile(call, first + p, group, j);
        streams[t - j - 1](call, first + p, group, j);
    }
}

#define TILE(TYPE, name, P, T, stream)                                                             \
    static void name(const struct call *call, size_t first, size_t count, size_t j) {              \
        mul_panels(EW__##TYPE, P, T, stream, call, first, count, j);                               \
    }
#define MUL_PACKED(TYPE, tag, ...)                                                                 \
    TILE(TYPE, tile_##tag, 2, 8, false)                                                            \
    TILE(TYPE, stream_##tag##_1, 4, 1, true)                                                       \
    TILE(TYPE, stream_##tag##_2, 4, 2, true)                                                       \
    TILE(TYPE, stream_##tag##_3, 4, 3, true)                                                       \
    TILE(TYPE, stream_##tag##_4, 4, 4, true)                                                       \
    TILE(TYPE, stream_##tag##_5, 2, 5, true)                                                       \
    TILE(TYPE, stream_##tag##_6, 2, 6, true)                                                       \
    TILE(TYPE, stream_##tag##_7, 2, 7, true)                                                       \
    TILE(TYPE, stream_##tag##_8, 2, 8, true)                                                       \
    void K(mul_packed_##tag)(const struct ew__packed *w, size_t first, size_t count,               \
                             const float *x, size_t ldx, size_t t, float *y, size_t ldy) {         \
        static tile_fn *const streams[TILE_TOKENS] = {                                             \
            stream_##tag##_1, stream_##tag##_2, stream_##tag##_3, stream_##tag##_4,                \
            stream_##tag##_5, stream_##tag##_6, stream_##tag##_7, stream_##tag##_8};               \
        struct call call = {w, x, y, ldx, ldy};                                                    \
        mul_groups(tile_##tag, streams, &call, first, count, t);                                   \
    }
EW__PACKED_FLOAT_MAP(MUL_PACKED)
