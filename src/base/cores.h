// SPDX-License-Identifier: Apache-2.0
/* The processors that a process may compute with, and how many threads make sense on them.
 *
 * Words: a logical processor is what the operating system schedules on; a physical core has one or
 * more of them (hyperthreads), which share its arithmetic. Cores may be of two kinds, performance
 * and efficiency. */
#ifndef EW_BASE_CORES_H
#define EW_BASE_CORES_H

#include <stdbool.h>
#include <stdint.h>

struct ew__cores {
    uint32_t logical;     /* processors that the affinity mask allows; at least 1 */
    uint32_t physical;    /* physical cores among them */
    uint32_t performance; /* physical cores of the fast kind: all of them where there is one kind */
    uint32_t quota; /* whole processors that the control group grants, at least 1; 0: no limit */
};

/* Facts of this machine and process. Linux: the affinity mask, /sys and the control group (v1 or
 * v2). macOS: the performance levels of sysctl. Elsewhere all online processors are alike. */
void ew__cores_read(struct ew__cores *out);

/* The same from a tree of files, for tests: `root` stands before "/sys" and "/proc", and allowed[i]
 * tells whether processor i < n may be used. */
void ew__cores_read_at(const char *root, const bool *allowed, uint32_t n, struct ew__cores *out);

/* Threads to compute with unless told otherwise: one for each performance core, since siblings and
 * slower cores rarely help where all must end together, and no more than the quota, since a thread
 * over it stops all the others. At least 1, at most EW__THREADS_MAX. */
uint32_t ew__cores_threads(const struct ew__cores *cores);

/* Fills counts (room for EW__CORES_CHOICES) with thread counts worth trying, rising, and returns
 * how many: one where there is nothing to choose. */
enum { EW__CORES_CHOICES = 4 };
uint32_t ew__cores_choices(const struct ew__cores *cores, uint32_t *counts);

#endif
