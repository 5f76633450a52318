// SPDX-License-Identifier: Apache-2.0
/* Where the packed weights of a model live: in a file of the cache folder, made once and mapped
 * from then on, so that processes share them and a start need not wait for packing; or, where that
 * is not wanted or not possible, in memory. Which of the two never shows in results.
 *
 * A file belongs to one state of one checkpoint. Its identity covers the sizes and times of change
 * of the checkpoint's files, and of each tensor the name, type, shape and 256 bytes from its
 * middle. That notices another model under the same name, another quantisation or training run, a
 * file that was replaced, copied over or still incomplete, and, by the time of change, every edit;
 * it does not notice an edit inside of a tensor by somebody who then sets the time back. A copy
 * with a new time of change is packed again. */
#ifndef EW_MODEL_PACK_CACHE_H
#define EW_MODEL_PACK_CACHE_H

#include "base/os.h"
#include "base/status.h"
#include "model/checkpoint.h"
#include "model/pack_head.h"

#include <stdbool.h>

struct ew__pack_store {
    struct ew__pack_head head;
    struct ew__file_map map;     /* the cache file when it is in use */
    struct ew__file_build build; /* while it is being made */
    uint8_t *memory;             /* without a file */
    uint8_t *base;               /* the first matrix: in the map, the file being made, or memory */
    char *path;                  /* of the cache file; NULL without one */
    char why_not[256];           /* a sentence: why there is none; "" with one */
    uint64_t begun_ns;
};

struct ew__pack_request {
    const char *path;     /* of the checkpoint, for the file's name entry; may be NULL */
    uint64_t identity[2]; /* ew__pack_identity */
    bool no_cache;        /* memory, whatever there is */
    bool verify;          /* read a cached file whole and compare its digests */
    uint64_t least_bytes; /* below this a file is not worth its place: packing is as fast */
};

/* 16 bytes that tell this state of the checkpoint from others. */
void ew__pack_identity(const struct ew__checkpoint *checkpoint, uint64_t identity[2]);

/* Finds or makes room for n matrices, of which type, rows, n and bytes are set. *filled: they were
 * packed before and are there; otherwise each is to be written, then ew__pack_store_seal called.
 * Everything that stands in the way of a file leads to memory and one line in the log; failures are
 * EW_NO_MEMORY and EW_LIMIT only. Release with ew__pack_store_close, also after a failure. */
ew_status ew__pack_store_open(struct ew__pack_store *store, const struct ew__pack_request *request,
                              const struct ew__pack_matrix *matrices, uint32_t n, bool *filled);
/* Where matrix i is: 64-byte aligned; read-only unless it is to be filled. */
static inline uint8_t *ew__pack_store_at(const struct ew__pack_store *store, uint32_t i) {
    return store->base + (store->head.matrices[i].offset - store->head.first);
}
/* Gives the file its head and its name, after which the matrices are read-only. They may move: ask
 * for their places again. */
ew_status ew__pack_store_seal(struct ew__pack_store *store);
void ew__pack_store_close(struct ew__pack_store *store); /* a zeroed one is fine */

/* Bytes of packed weights, in the file or in memory. */
uint64_t ew__pack_store_bytes(const struct ew__pack_store *store);

#endif
