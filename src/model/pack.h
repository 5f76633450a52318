// SPDX-License-Identifier: Apache-2.0
/* Packing of a model's matrices (kernels/packed.h): which ones, how large, and filling their
 * memory. Where that memory comes from is the caller's matter. */
#ifndef EW_MODEL_PACK_H
#define EW_MODEL_PACK_H

#include "base/status.h"
#include "kernels/matmul.h"
#include "kernels/pool.h"
#include "model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The matrices of a model that its kernels multiply packed, in the order of binding: not those that
 * only meet f32 activations (decay and strength of the delta rule), nor the embedding, whose rows
 * are read one by one; a head that is tied to it is packed. */
struct ew__pack_list {
    struct ew__matrix **matrices; /* [n], borrowed from the model */
    uint32_t n;
};
ew_status ew__pack_list_make(struct ew__model *model, struct ew__pack_list *out);
void ew__pack_list_free(struct ew__pack_list *list); /* a zeroed one is fine */

/* What a thread needs of scratch for ew__pack_matrix: a panel, where a matrix is in two planes. */
size_t ew__pack_scratch_bytes(const struct ew__pack_list *list);

/* Bytes of one packed matrix: a multiple of 64. */
size_t ew__pack_bytes(const struct ew__matrix *w);
/* Packs one matrix into `to` (64-byte aligned, ew__pack_bytes), in parallel over its panels, and
 * takes the file's pages out of memory. The matrix itself is not changed: set its `packed`. */
void ew__pack_matrix(struct ew__pool *pool, const struct ew__matrix *w, uint8_t *to);

/* Packs all of them, or finds them packed in a cache file of the checkpoint at `path`, into
 * model->packed, and sets their `packed`. With as many threads as there are processors. no_cache
 * keeps them in memory; verify reads a cache file whole before it is trusted. */
ew_status ew__pack_model(struct ew__model *model, const char *path, bool no_cache, bool verify);

#endif
