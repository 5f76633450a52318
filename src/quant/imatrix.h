// SPDX-License-Identifier: Apache-2.0
/* Importance matrices: for every weight matrix the sum of squares of each input column over the
 * tokens of a text, which says what an error in that column costs. Written in llama.cpp's GGUF
 * form; that and its older binary form (".dat") are read. Facts: docs/formats.md, "Importance
 * matrices". */
#ifndef EW_QUANT_IMATRIX_H
#define EW_QUANT_IMATRIX_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct ew__imatrix_entry {
    char *name;   /* of the tensor in a GGUF file, such as "blk.0.ffn_up.weight" */
    uint64_t n;   /* columns */
    double *sum2; /* [n] */
    double count; /* tokens */
};

struct ew__imatrix {
    struct ew__imatrix_entry *entries;
    size_t n_entries, capacity;
    char *dataset; /* names of the texts, separated by ", "; NULL: none */
    uint32_t n_chunks, chunk_size;
};

/* Zeroed is empty. */
void ew__imatrix_release(struct ew__imatrix *imatrix);

/* The entry of a name, or NULL. */
struct ew__imatrix_entry *ew__imatrix_find(const struct ew__imatrix *imatrix, const char *name);
/* The same; one that is not there is added with sums of 0. EW_FORMAT when it has other columns. */
ew_status ew__imatrix_entry(struct ew__imatrix *imatrix, const char *name, uint64_t n,
                            struct ew__imatrix_entry **out);
/* Adds t rows of inputs, ldx floats apart. */
void ew__imatrix_add(struct ew__imatrix_entry *entry, const float *x, size_t ldx, size_t t);

/* Adds another's sums (rounded to float, as in a file), chunks and dataset. Refused whole, with
 * nothing changed, when a matrix of both has other columns in one of them, or when their chunk
 * sizes differ. */
ew_status ew__imatrix_merge(struct ew__imatrix *into, const struct ew__imatrix *from);

/* Mean square of each column, [n], for weighting errors; a matrix or columns without data get
 * EW_NOT_FOUND, other columns than n EW_FORMAT. */
ew_status ew__imatrix_importance(const struct ew__imatrix *imatrix, const char *name, uint64_t n,
                                 float *out);

/* Reads either form. *out is released by the caller, also after a failure. */
ew_status ew__imatrix_read(const char *path, struct ew__imatrix *out);
/* The older form from bytes (tests, fuzzing). */
ew_status ew__imatrix_read_dat(const void *bytes, size_t n, struct ew__imatrix *out);
/* The GGUF form; the file appears whole or not at all. */
ew_status ew__imatrix_write(const struct ew__imatrix *imatrix, const char *path);

#endif
