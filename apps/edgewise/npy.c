// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Magic, version and header length take 10 bytes; with the header they fill a multiple of 64. */
enum { NPY_PREFIX = 10, NPY_ALIGN = 64, NPY_HEADER_MAX = 256 };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define NPY_ORDER ">"
#else
#define NPY_ORDER "<"
#endif

static const unsigned char MAGIC[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};

static bool write_header(FILE *file, size_t n_rows, size_t n_columns) {
    char header[NPY_HEADER_MAX];
    int length = snprintf(header + NPY_PREFIX, sizeof(header) - NPY_PREFIX,
                          "{'descr': '" NPY_ORDER "f4', 'fortran_order': False, "
                          "'shape': (%zu, %zu), }",
                          n_rows, n_columns);
    size_t used = NPY_PREFIX + (size_t)length + 1;
    size_t total = (used + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN;
    memset(header + used - 1, ' ', total - used);
    header[total - 1] = '\n';
    memcpy(header, MAGIC, sizeof(MAGIC));
    header[8] = (char)((total - NPY_PREFIX) & 0xFF);
    header[9] = (char)((total - NPY_PREFIX) >> 8);
    return fwrite(header, 1, total, file) == total;
}

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

static bool open_target(npy *out, const char *path) {
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

bool npy_create(npy *out, const char *path, size_t n_rows, size_t n_columns) {
    *out = (npy){.n_columns = n_columns};
    return open_target(out, path) && write_header(out->file, n_rows, n_columns);
}

bool npy_row(npy *out, const float *row) {
    return fwrite(row, sizeof(*row), out->n_columns, out->file) == out->n_columns;
}

bool npy_finish(npy *out) {
    bool arrived = fflush(out->file) == 0;
    if (out->temporary == NULL)
        return arrived;
    if (!arrived || fsync(fileno(out->file)) != 0 || rename(out->temporary, out->path) != 0)
        return false;
    free(out->temporary);
    out->temporary = NULL;
    return true;
}

void npy_abandon(npy *out) {
    int kept = errno;
    if (out->temporary != NULL)
        unlink(out->temporary);
    if (out->file != NULL)
        fclose(out->file);
    free(out->temporary);
    free(out->path);
    *out = (npy){.file = NULL};
    errno = kept;
}
