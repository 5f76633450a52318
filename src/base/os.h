// SPDX-License-Identifier: Apache-2.0
/* What differs between operating systems: files, maps, clocks, processors. One os_<name>.c each. */
#ifndef EW_BASE_OS_H
#define EW_BASE_OS_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A read-only view of a whole file. */
struct ew__file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
};
ew_status ew__file_map_open(const char *path, struct ew__file_map *out);
void ew__file_map_close(struct ew__file_map *map); /* a zeroed map is fine */

/* A file that appears whole or not at all: written under a temporary name beside the target,
 * flushed to the disk, then renamed. Abort (also after a failed call) removes the temporary file.
 */
struct ew__file_out {
    char *path, *temporary;
    int fd;
    uint64_t written;
    char *buffer;
    size_t buffered;
};
ew_status ew__file_out_open(struct ew__file_out *out, const char *path);
ew_status ew__file_out_write(struct ew__file_out *out, const void *bytes, size_t n);
ew_status ew__file_out_commit(struct ew__file_out *out);
void ew__file_out_abort(struct ew__file_out *out); /* nothing after a commit */

/* Reads a whole file of at most max bytes into buf (initialised here). */
ew_status ew__file_read(const char *path, size_t max, struct ew__buf *buf);
bool ew__path_is_dir(const char *path);
bool ew__path_exists(const char *path);
ew_status ew__make_dir(const char *path); /* one level; an existing folder is fine */
/* Calls visit(name) for each entry of a folder but "." and "..", in byte order of the names. */
ew_status ew__list_dir(const char *path, ew_status (*visit)(void *context, const char *name),
                       void *context);

uint64_t ew__now_ns(void);       /* monotonic nanoseconds */
uint32_t ew__cpu_count(void);    /* processors this process may use: affinity and cgroup quota */
size_t ew__peak_rss_bytes(void); /* 0 when unknown */
size_t ew__rss_bytes(void);      /* resident now; 0 when unknown */
size_t ew__memory_bytes(void);   /* of the machine; 0 when unknown */

#endif
