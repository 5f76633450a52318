// SPDX-License-Identifier: Apache-2.0
/* Threads for a parallel-for. Results never depend on the thread count, because each item writes
 * its own outputs and no sum crosses items; which thread takes which items is left to chance. */
#ifndef EW_KERNELS_POOL_H
#define EW_KERNELS_POOL_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct ew__pool; /* one caller at a time */

/* n_threads includes the calling thread; 0 means as many as ew__cores_threads. Each thread gets
 * scratch_bytes of 64-byte aligned memory of its own. */
ew_status ew__pool_new(uint32_t n_threads, size_t scratch_bytes, struct ew__pool **out);
void ew__pool_free(struct ew__pool *pool);              /* joins the threads; NULL is fine */
uint32_t ew__pool_threads(const struct ew__pool *pool); /* that take part in a run */
/* How many of the pool's threads take part in the runs from now on, the caller among them; 0, or
 * more than the pool has: all. The others sleep and cost nothing. Not during a run. */
void ew__pool_use(struct ew__pool *pool, uint32_t n_threads);
size_t ew__pool_scratch_bytes(const struct ew__pool *pool);

/* Work on items begin..end-1; `scratch` is the running thread's own. */
typedef void ew__task_fn(void *context, size_t begin, size_t end, void *scratch);

/* Runs task over items 0..n-1 in pieces of at most `grain` items, cut at multiples of it; returns
 * when all are done. Each thread begins with neighbouring pieces of its own and then helps others.
 */
void ew__pool_run(struct ew__pool *pool, size_t n, size_t grain, ew__task_fn *task, void *context);

#endif
