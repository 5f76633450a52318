// SPDX-License-Identifier: Apache-2.0
/* The head of a cache file of packed weights. Integers are little-endian.
 *
 *     at  bytes
 *      0      8   "EWPACKED"
 *      8      4   version of this head, 1
 *     12      4   version of the packed layout (EW__PACK_LAYOUT)
 *     16     16   identity of the checkpoint and of the table
 *     32      8   bytes of the file
 *     40      8   offset of the first matrix, a multiple of 4096
 *     48      4   number of matrices
 *     52      4   bytes of the name
 *     56      8   digest of the head: bytes 0 to 55, the table, the name
 *     64   48 n   table: type u32, 0 u32, rows u64, n u64, offset u64, bytes u64, digest u64
 *                 then the name of the checkpoint's file, for people; zeros up to the first matrix
 *
 * Matrices stand in the order of the table at multiples of 64 without overlap. The digests of the
 * matrices are compared only on request, since that reads everything. */
#ifndef EW_MODEL_PACK_HEAD_H
#define EW_MODEL_PACK_HEAD_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* Goes up with every change of kernels/packed.h that moves a byte, or of the order or choice of the
 * matrices: files of other versions are made anew. */
#define EW__PACK_LAYOUT 1u

#define EW__PACK_NAME_MAX 255u

struct ew__pack_matrix {
    uint32_t type; /* ew__dtype, and what marks its layout (pack.c) */
    uint64_t rows, n;
    uint64_t offset, bytes; /* in the file */
    uint64_t digest;        /* of the packed bytes */
};

struct ew__pack_head {
    uint64_t identity[2];
    uint64_t file_bytes, first; /* first: offset of the first matrix */
    struct ew__pack_matrix *matrices;
    uint32_t n_matrices;
    struct ew__str name; /* borrowed */
};

/* Where everything stands: sets offset of all matrices from their bytes, and first and file_bytes.
 * EW_LIMIT when that overflows or there are more than EW__TENSOR_COUNT_MAX. */
ew_status ew__pack_head_lay_out(struct ew__pack_head *head);
/* Writes a laid out head to out[0 .. first). */
void ew__pack_head_write(const struct ew__pack_head *head, uint8_t *out);

/* Checks the head of a file of n bytes: everything above holds, of which the digest, and that the
 * matrices lie in the file. The types, shapes and sizes of the matrices are not understood here.
 * matrices is allocated (ew__free), the name borrowed from bytes; nothing is after a failure:
 * EW_FORMAT, or EW_UNSUPPORTED for other versions. */
ew_status ew__pack_head_read(const void *bytes, size_t n, struct ew__pack_head *head);

#endif
