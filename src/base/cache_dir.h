// SPDX-License-Identifier: Apache-2.0
/* The folder where the library keeps what it can make again, and how much of it. A file's time of
 * change is the time of its last use. */
#ifndef EW_BASE_CACHE_DIR_H
#define EW_BASE_CACHE_DIR_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* EDGEWISE_CACHE_DIR; else $XDG_CACHE_HOME/edgewise, else ~/.cache/edgewise (on macOS
 * ~/Library/Caches/edgewise). A relative XDG_CACHE_HOME is not used, as its specification asks. Not
 * created here. Freed with ew__free; NULL with EW_NOT_FOUND where none of these is set. */
ew_status ew__cache_dir_path(char **out);

struct ew__cache_file {
    const char *name; /* in the folder; valid during the visit */
    uint64_t bytes;
    uint64_t used_ns; /* last use, since 1970 */
};
/* Visits the cache files of a folder (names ending in EW__CACHE_SUFFIX) by name; a folder that does
 * not exist has none. */
typedef ew_status ew__cache_visit_fn(void *context, const struct ew__cache_file *file);
ew_status ew__cache_dir_visit(const char *dir, ew__cache_visit_fn *visit, void *context);
#define EW__CACHE_SUFFIX ".ewpack"

/* Bytes that the folder may hold: EDGEWISE_CACHE_MAX (a number with K, M, G or T behind it, powers
 * of 1024; one that cannot be read counts as not set), else the smaller of 20 GB and a quarter of
 * what would be free if the cache were empty. */
uint64_t ew__cache_dir_budget(const char *dir, uint64_t used);

/* Removes files, the one not used for the longest first, until `need` more bytes fit the budget and
 * the disk; also temporary files that a stopped program left a day ago. EW_LIMIT, and nothing
 * removed, when they could not fit an empty folder. */
ew_status ew__cache_dir_make_room(const char *dir, uint64_t need);

#endif
