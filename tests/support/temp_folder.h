// SPDX-License-Identifier: Apache-2.0
/* A folder under $TMPDIR or /tmp for one test, with plain files in it. Aborts on failure. */
#ifndef EW_TESTS_TEMP_FOLDER_H
#define EW_TESTS_TEMP_FOLDER_H

#include <stddef.h>

struct temp_folder {
    char path[512];
};

void temp_folder_make(struct temp_folder *folder);
void temp_folder_remove(struct temp_folder *folder);        /* with the files directly in it */
size_t temp_folder_count(const struct temp_folder *folder); /* files in it, hidden ones too */
/* folder/name in one of four rotating buffers. */
const char *temp_path(const struct temp_folder *folder, const char *name);
void temp_write(const struct temp_folder *folder, const char *name, const void *bytes, size_t n);
void temp_write_text(const struct temp_folder *folder, const char *name, const char *text);

#endif
