// SPDX-License-Identifier: Apache-2.0
/* What the machine gives at most, so that a measured speed can stand beside its limit. */
#ifndef EW_KERNELS_PROBE_H
#define EW_KERNELS_PROBE_H

#include "base/status.h"
#include "kernels/kernels.h"
#include "kernels/pool.h"

/* Operations are two per multiply-add, over all threads of the pool. */
struct ew__probe {
    double read_bytes_per_second;
    double i8_ops_per_second, bf16_ops_per_second, f32_ops_per_second; /* 0: no such instruction */
};

/* Bytes that a sweep reads: an eighth of the memory, at most 1 GiB, so beyond every cache. */
size_t ew__probe_bytes(void);

/* Reads `bytes` of memory taken for the purpose, as one and as four streams per thread, and runs
 * the peak_* entries of the table; keeps the best of several passes of each. Takes about a second.
 * The pool must be idle. EW_NO_MEMORY when the memory cannot be had. */
ew_status ew__probe_machine(const struct ew__kernels *kernels, struct ew__pool *pool, size_t bytes,
                            struct ew__probe *out);

#endif
