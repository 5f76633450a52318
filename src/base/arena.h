// SPDX-License-Identifier: Apache-2.0
/* Memory of one lifetime: many allocations, one release. Blocks are 64-byte aligned and zeroed. */
#ifndef EW_BASE_ARENA_H
#define EW_BASE_ARENA_H

#include "base/status.h"

#include <stddef.h>

struct ew__arena {
    struct ew__arena_block *blocks; /* newest first */
    size_t total;                   /* bytes given out */
};

/* Zeroed, 64-byte aligned memory that lives until the release; NULL (message set) when there is
 * none. A zero-initialised arena is ready. One thread at a time. */
void *ew__arena_alloc(struct ew__arena *arena, size_t size) EW__MUST_USE;
void ew__arena_release(struct ew__arena *arena);

#endif
