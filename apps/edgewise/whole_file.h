// SPDX-License-Identifier: Apache-2.0
/* A file that appears when it is whole: written through a temporary file beside the target, which
 * takes the target's name at the end. */
#ifndef EDGEWISE_APP_WHOLE_FILE_H
#define EDGEWISE_APP_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct whole_file {
    FILE *file;             /* to write to */
    char *path, *temporary; /* temporary is NULL when the target is no regular file */
} whole_file;

/* Both return false with errno set; after a failure only whole_file_abandon may follow. */
bool whole_file_create(whole_file *out, const char *path);
/* Flushes to the disk and gives the file its name. */
bool whole_file_finish(whole_file *out);
/* Removes what was written, if whole_file_finish did not end it; frees all. errno is kept. A struct
 * of zeros is fine. */
void whole_file_abandon(whole_file *out);

#endif
