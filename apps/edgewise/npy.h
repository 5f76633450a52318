// SPDX-License-Identifier: Apache-2.0
/* Writes a float32 matrix as .npy, format version 1.0 (NumPy enhancement proposal 1), row by row
 * to a file that appears when it is whole. */
#ifndef EDGEWISE_APP_NPY_H
#define EDGEWISE_APP_NPY_H

#include "whole_file.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct npy {
    whole_file target;
    size_t n_columns;
} npy;

/* Each returns false with errno set; after a failure only npy_abandon may follow. */
bool npy_create(npy *out, const char *path, size_t n_rows, size_t n_columns);
bool npy_row(npy *out, const float *row);
bool npy_finish(npy *out);
/* Removes what was written, if npy_finish did not end it; frees all. errno is kept. */
void npy_abandon(npy *out);

#endif
