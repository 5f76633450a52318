// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include <string.h>

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

bool npy_create(npy *out, const char *path, size_t n_rows, size_t n_columns) {
    *out = (npy){.n_columns = n_columns};
    return whole_file_create(&out->target, path) &&
           write_header(out->target.file, n_rows, n_columns);
}

bool npy_row(npy *out, const float *row) {
    return fwrite(row, sizeof(*row), out->n_columns, out->target.file) == out->n_columns;
}

bool npy_finish(npy *out) {
    return whole_file_finish(&out->target);
}

void npy_abandon(npy *out) {
    whole_file_abandon(&out->target);
}
