// SPDX-License-Identifier: Apache-2.0
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *temporary_name(const char *path) {
    size_t size = strlen(path) + 32;
    char *name = malloc(size);
    if (name != NULL)
        snprintf(name, size, "%s.%ld.part", path, (long)getpid());
    return name;
}

/* A pipe or device cannot be replaced by renaming: it is written itself. */
static bool is_special(const char *path) {
    struct stat at;
    return stat(path, &at) == 0 && !S_ISREG(at.st_mode);
}

bool whole_file_create(whole_file *out, const char *path) {
    *out = (whole_file){.file = NULL};
    if (is_special(path)) {
        out->file = fopen(path, "wb");
        return out->file != NULL;
    }
    out->path = strdup(path);
    char *name = temporary_name(path);
    int descriptor = name == NULL ? -1 : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out->path == NULL || descriptor < 0) {
        free(name);
        return false;
    }
    out->temporary = name; /* from here on it is ours to remove */
    out->file = fdopen(descriptor, "wb");
    if (out->file == NULL)
        close(descriptor);
    return out->file != NULL;
}

bool whole_file_finish(whole_file *out) {
    bool arrived = fflush(out->file) == 0;
    if (out->temporary == NULL)
        return arrived;
    if (!arrived || fsync(fileno(out->file)) != 0 || rename(out->temporary, out->path) != 0)
        return false;
    free(out->temporary);
    out->temporary = NULL;
    return true;
}

void whole_file_abandon(whole_file *out) {
    int kept = errno;
    if (out->temporary != NULL)
        unlink(out->temporary);
    if (out->file != NULL)
        fclose(out->file);
    free(out->temporary);
    free(out->path);
    *out = (whole_file){.file = NULL};
    errno = kept;
}
