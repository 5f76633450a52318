// SPDX-License-Identifier: Apache-2.0
/* All memory of the library comes from here, so that it can be counted, made to fail at any point
 * by the tests, and forbidden while tokens are being computed. */
#ifndef EW_BASE_MEM_H
#define EW_BASE_MEM_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Like malloc, calloc(count, size), realloc and free. NULL leaves an out-of-memory message and
 * nothing else. A size of 0 gives a pointer that may be freed. Thread-safe. */
void *ew__alloc(size_t size) EW__MUST_USE;
void *ew__calloc(size_t count, size_t size) EW__MUST_USE;
void *ew__realloc(void *pointer, size_t size) EW__MUST_USE;
void ew__free(void *pointer);
char *ew__strndup(const char *bytes, size_t n) EW__MUST_USE; /* n bytes and a terminator */

/* Zeroed memory whose address is a multiple of 64 bytes; freed with ew__free_aligned. Large blocks
 * come straight from the operating system, so untouched pages cost nothing. */
void *ew__alloc_aligned(size_t size) EW__MUST_USE;
void ew__free_aligned(void *pointer);

/* Tests: the n-th allocation from now on (1 = the next) fails, then all succeed; 0 turns it off. */
void ew__mem_fail_at(uint64_t n);
/* Allocations so far in this process, of all threads. */
uint64_t ew__mem_count(void);

/* Between begin and end an allocation by this thread aborts the program, naming `phase`. The token
 * loop runs inside such a guard in debug and test builds: it allocates nothing. May be nested. */
void ew__no_alloc_begin(const char *phase);
void ew__no_alloc_end(void);

#endif
