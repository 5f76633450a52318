// SPDX-License-Identifier: Apache-2.0
/* Tensor element types: the one table of ids, names and block sizes. Ids below 64 are ggml's
 * (ggml.h, enum ggml_type), 64 to 68 exist in other containers only, 138 to 140 are ik_llama.cpp's.
 * Block structures live in quant/blocks.h and are asserted against this table. */
#ifndef EW_BASE_DTYPE_H
#define EW_BASE_DTYPE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, id, elements per block, bytes per block, quantised) */
#define EW__DTYPE_MAP(X)                                                                           \
    X(F32, 0, 1, 4, 0)                                                                             \
    X(F16, 1, 1, 2, 0)                                                                             \
    X(Q4_0, 2, 32, 18, 1)                                                                          \
    X(Q4_1, 3, 32, 20, 1)                                                                          \
    X(Q5_0, 6, 32, 22, 1)                                                                          \
    X(Q5_1, 7, 32, 24, 1)                                                                          \
    X(Q8_0, 8, 32, 34, 1)                                                                          \
    X(Q2_K, 10, 256, 84, 1)                                                                        \
    X(Q3_K, 11, 256, 110, 1)                                                                       \
    X(Q4_K, 12, 256, 144, 1)                                                                       \
    X(Q5_K, 13, 256, 176, 1)                                                                       \
    X(Q6_K, 14, 256, 210, 1)                                                                       \
    X(IQ2_XXS, 16, 256, 66, 1)                                                                     \
    X(IQ2_XS, 17, 256, 74, 1)                                                                      \
    X(IQ3_XXS, 18, 256, 98, 1)                                                                     \
    X(IQ4_NL, 20, 32, 18, 1)                                                                       \
    X(IQ3_S, 21, 256, 110, 1)                                                                      \
    X(IQ2_S, 22, 256, 82, 1)                                                                       \
    X(IQ4_XS, 23, 256, 136, 1)                                                                     \
    X(I8, 24, 1, 1, 0)                                                                             \
    X(I16, 25, 1, 2, 0)                                                                            \
    X(I32, 26, 1, 4, 0)                                                                            \
    X(I64, 27, 1, 8, 0)                                                                            \
    X(F64, 28, 1, 8, 0)                                                                            \
    X(BF16, 30, 1, 2, 0)                                                                           \
    X(U8, 64, 1, 1, 0)                                                                             \
    X(U16, 65, 1, 2, 0)                                                                            \
    X(U32, 66, 1, 4, 0)                                                                            \
    X(U64, 67, 1, 8, 0)                                                                            \
    X(BOOL, 68, 1, 1, 0)                                                                           \
    X(IQ3_K, 138, 256, 110, 1)                                                                     \
    X(IQ4_K, 139, 256, 144, 1)                                                                     \
    X(IQ5_K, 140, 256, 176, 1)

typedef enum ew__dtype {
#define EW__DTYPE_ENUM(name, id, elements, bytes, quantised) EW__##name = id,
    EW__DTYPE_MAP(EW__DTYPE_ENUM)
#undef EW__DTYPE_ENUM
        EW__DTYPE_COUNT = 141 /* one above the highest id: the size of tables indexed by type */
} ew__dtype;

struct ew__dtype_info {
    const char *name;        /* "Q4_K"; NULL for an id that this build does not know */
    uint32_t block_elements; /* dim 0 of a tensor is a multiple of this */
    uint32_t block_bytes;
    bool quantised;
};

/* Never NULL; for an unknown id the name is NULL and the sizes are 0. */
const struct ew__dtype_info *ew__dtype_info(uint32_t id);

/* A name for messages, of any id: also those of ggml that this build cannot read ("IQ1_S", "TQ2_0",
 * "MXFP4"...), else "type N". The result is constant or lives in a per-thread buffer. */
const char *ew__dtype_name(uint32_t id);

/* The type with this name, case-insensitive ("q8_0", "BF16"); false when there is none. */
bool ew__dtype_by_name(struct ew__str name, ew__dtype *out);

/* Bytes of a row of n elements; false when n is no multiple of the block or the size overflows. */
bool ew__dtype_row_bytes(ew__dtype type, uint64_t n, uint64_t *bytes);

#endif
