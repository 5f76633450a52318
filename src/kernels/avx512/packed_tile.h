// SPDX-License-Identifier: Apache-2.0
/* Many tokens: pieces of TILE_COLUMNS columns of two panels are unpacked to scratch in the
 * first-level cache, and register tiles of 2 panels x 6 tokens pass over them. Running sums wait in
 * scratch between pieces, so that the order of addition is that of the whole row. */
#ifndef EW_KERNELS_AVX512_PACKED_TILE_H
#define EW_KERNELS_AVX512_PACKED_TILE_H

#include "kernels/avx512/packed.h"

#include <stddef.h>

#define TILE_COLUMNS 512u
#define TILE_BLOCKS  (TILE_COLUMNS / 32)
#define TILE_PANELS  2u
#define TILE_TOKENS  6u
#define TILE_ROWS    512u /* rows of activations whose sums are kept, second terms included */

/* One panel's piece, unpacked. */
struct tile_panel {
    uint8_t u[TILE_BLOCKS][8][64];
    /* per block: s and -MAGIC * s; then the minimum, or s of the second half */
    float scales[TILE_BLOCKS][3][16];
};

struct tile_scratch {
    _Alignas(64) struct tile_panel panels[TILE_PANELS];
    float sums[TILE_ROWS][TILE_PANELS][16];
};
_Static_assert(sizeof(struct tile_scratch) <= EW__PACKED_SCRATCH_BYTES, "scratch of mul_packed");

/* A type's unpacker: blocks of the piece from column k on (a multiple of 256), of one panel. */
typedef void ew__tile_unpack_fn(const struct ew__packed *w, size_t panel, size_t k, size_t blocks,
                                struct tile_panel *out);

/* The product for any number of tokens; arguments as ew__mul_packed_fn. */
void ew__packed_tiles_avx512(ew__tile_unpack_fn *unpack, const struct ew__packed *w, size_t first,
                             size_t count, const struct ew__qact *x, size_t t0, size_t t, float *y,
                             size_t ldy, void *scratch);

#endif
