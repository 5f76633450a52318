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
    uint64_t modified_ns; /* time of the last change since 1970, as the file system keeps it */
};
ew_status ew__file_map_open(const char *path, struct ew__file_map *out);
void ew__file_map_close(struct ew__file_map *map); /* a zeroed map is fine */

/* What is going to happen to the pages of a map; a hint, so nothing fails. n bytes from `data`. */
typedef enum ew__pages {
    EW__PAGES_WILL_NEED, /* fetched from the disk ahead, in large pages where there are such */
    EW__PAGES_DONE       /* taken out of this process; read from the file again when touched */
} ew__pages;
void ew__file_map_hint(const void *data, size_t n, ew__pages what);

/* A file of a known size that is filled through a map and appears whole or not at all: made under a
 * temporary name beside the target with all its space taken, so that a full disk is told here and
 * not while it is filled. Keep makes it durable, gives it its name and turns data into a
 * read-only map of it; after a failed keep, and before one, drop removes it. EW_IO when there is no
 * room or the place cannot be written. */
struct ew__file_build {
    uint8_t *data;
    size_t size;
    char *path, *temporary;
    int fd;
};
ew_status ew__file_build_open(struct ew__file_build *out, const char *path, size_t size);
ew_status ew__file_build_keep(struct ew__file_build *build, struct ew__file_map *map);
void ew__file_build_drop(struct ew__file_build *build); /* a zeroed one is fine */

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
/* Makes the missing folders of a path, the last one and its new parents for this user alone. */
ew_status ew__make_private_dirs(const char *path);
/* Size and time of the last change of a regular file; false when there is none. */
bool ew__file_facts(const char *path, uint64_t *size, uint64_t *modified_ns);
bool ew__file_touch(const char *path);  /* its time of change becomes now */
bool ew__file_remove(const char *path); /* maps of it stay valid */
/* Bytes that this user may fill where a folder is or, with its parents, would be; 0 when unknown.
 */
uint64_t ew__disk_free(const char *dir);
uint64_t ew__time_ns(void); /* since 1970 */
/* Calls visit(name) for each entry of a folder but "." and "..", in byte order of the names. */
ew_status ew__list_dir(const char *path, ew_status (*visit)(void *context, const char *name),
                       void *context);

uint64_t ew__now_ns(void);       /* monotonic nanoseconds */
size_t ew__peak_rss_bytes(void); /* 0 when unknown */
size_t ew__rss_bytes(void);      /* resident now; 0 when unknown */
size_t ew__memory_bytes(void);   /* of the machine; 0 when unknown */

#endif
