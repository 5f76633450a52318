// SPDX-License-Identifier: Apache-2.0
#include "support/temp_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void temp_folder_make(struct temp_folder *folder) {
    const char *base = getenv("TMPDIR");
    snprintf(folder->path, sizeof folder->path, "%s/ew-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder->path) == NULL)
        abort();
}

const char *temp_path(const struct temp_folder *folder, const char *name) {
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder->path, name);
    return path;
}

/* Counts the files, and removes them if asked to. */
static size_t walk(const struct temp_folder *folder, int removing) {
    size_t count = 0;
    DIR *dir = opendir(folder->path);
    if (dir == NULL)
        abort();
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        if (removing)
            unlink(temp_path(folder, entry->d_name));
    }
    closedir(dir);
    return count;
}

size_t temp_folder_count(const struct temp_folder *folder) {
    return walk(folder, 0);
}

void temp_folder_remove(struct temp_folder *folder) {
    (void)walk(folder, 1);
    rmdir(folder->path);
}

void temp_write(const struct temp_folder *folder, const char *name, const void *bytes, size_t n) {
    FILE *file = fopen(temp_path(folder, name), "wb");
    if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
        abort();
}

void temp_write_text(const struct temp_folder *folder, const char *name, const char *text) {
    temp_write(folder, name, text, strlen(text));
}
