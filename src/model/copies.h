// SPDX-License-Identifier: Apache-2.0
/* Matrices that lie in no file as the kernels want them: the quantised ones of MLX folders, whose
 * rows are made at loading. Of a matrix that is packed they are needed for packing alone: they are
 * made just before it and given up after it, and not made at all where the packed form is found in
 * the cache. */
#ifndef EW_MODEL_COPIES_H
#define EW_MODEL_COPIES_H

#include "base/status.h"
#include "formats/affine.h"
#include "kernels/matmul.h"
#include "kernels/pool.h"
#include "model/config.h"

#include <stddef.h>
#include <stdint.h>

struct ew__copy {
    struct ew__matrix *w; /* whose rows these are */
    const struct ew__affine *affine;
    const struct ew__config *tile;
    void *data; /* NULL while they are not made; w->data is the same */
    uint64_t bytes;
};

struct ew__copies {
    struct ew__copy *items;
    size_t n, capacity;
    struct ew__pool *pool; /* makes rows; NULL between loadings */
};

/* Scratch of a pool's threads for ew__affine_fill with any matrix of the set. */
size_t ew__affine_fill_scratch(const struct ew__affine_set *set);
/* All rows in `type` (the tensor's own or F32) -> to, in parallel over rows. tile, when not NULL:
 * the columns are those of value heads, in the checkpoint's order, and come out in GGUF's; heads
 * are whole blocks of the type. */
ew_status ew__affine_fill(const struct ew__affine *affine, ew__dtype type,
                          const struct ew__config *tile, struct ew__pool *pool, void *to);

/* begin comes before the first of the calls below; after end no more rows can be made. */
ew_status ew__copies_begin(struct ew__copies *copies, const struct ew__affine_set *set);
void ew__copies_end(struct ew__copies *copies);
/* Notes that w, with type and shape set, has its rows from there; w must stay where it is. tile as
 * above. */
ew_status ew__copies_add(struct ew__copies *copies, const struct ew__affine *affine,
                         const struct ew__config *tile, struct ew__matrix *w);

/* Makes the rows of w, 64-byte aligned, unless they are there; nothing for a matrix that lies in
 * its file. The pages of the source, which must be mapped, are given back. */
ew_status ew__copies_make(struct ew__copies *copies, const struct ew__matrix *w);
/* Gives up the rows of w, if they were made: w->data is NULL then. */
void ew__copies_drop(struct ew__copies *copies, const struct ew__matrix *w);
/* Makes those of all matrices that have no packed form. */
ew_status ew__copies_make_unpacked(struct ew__copies *copies);

uint64_t ew__copies_bytes(const struct ew__copies *copies); /* of rows that are there */
void ew__copies_release(struct ew__copies *copies);         /* a zeroed one is fine */

#endif
