// SPDX-License-Identifier: Apache-2.0
/* How many threads read a prompt and how many write an answer. The first is bound by arithmetic,
 * the second by memory, which fewer threads may already fill. Results do not depend on either. */
#ifndef EW_RUNTIME_THREADS_H
#define EW_RUNTIME_THREADS_H

#include "base/cores.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>

struct ew__thread_counts {
    uint32_t batch, decode;
    bool measured; /* on this machine, now or before; else from the number of cores alone */
};

/* The counts for a machine. Where it offers a choice they are measured once, in some tenths of a
 * second, and kept in the file "threads" of the folder `dir` (NULL: nowhere) together with the
 * facts they were measured for; other facts, or a damaged file, and they are measured again.
 * Whatever fails here only costs the measurement: the counts then follow the cores. */
void ew__threads_choose(const char *dir, const struct ew__cores *cores,
                        const struct ew__kernels *kernels, struct ew__thread_counts *out);

/* The same from the file or the cores alone, without measuring. */
void ew__threads_known(const char *dir, const struct ew__cores *cores,
                       const struct ew__kernels *kernels, struct ew__thread_counts *out);

#endif
