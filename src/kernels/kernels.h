// SPDX-License-Identifier: Apache-2.0
/* The arithmetic of the library: one table of functions on plain arrays, filled by the scalar twins
 * (the definition, src/kernels/scalar) and then overridden, instruction set by instruction set, in
 * rising order. Nothing else in the library contains an inner loop over activations.
 *
 * Rules of every entry
 *  - It never allocates, detects, prints, starts threads or keeps state.
 *  - One output element is computed in one fixed order that depends on the reduction length alone:
 *    not on how many rows or tokens the call covers. This is what makes the results independent of
 *    batch, chunk and thread count (docs/architecture.md, "The exactness contract"). Between
 *    instruction sets the order may differ.
 *  - Pointers need no more than their element's own alignment unless said; the weights of mul_* and
 *    the rows of unpack may lie at any address. No output may overlap an input unless said.
 *  - Reads and writes stay inside the stated extents.
 *
 * Letters: n reduction length or width, r weight rows, t tokens, ld* distance between successive
 * rows or tokens in elements. */
#ifndef EW_KERNELS_KERNELS_H
#define EW_KERNELS_KERNELS_H

#include "base/dtype.h"
#include "base/limits.h"
#include "kernels/packed.h"
#include "kernels/split.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Quantised activations of t tokens, made by quantise_act. Each token's row is n_pad = n rounded up
 * to 64 elements; what lies beyond n is zero. Value i of a row is q[i] * d[i / 32]. */
struct ew__qact {
    int8_t *q;     /* [t][n_pad], each row 64-byte aligned */
    float *d;      /* [t][n_pad / 32]: max|x| / 127 of the block */
    float *sum;    /* [t][n_pad / 16]: d * (sum of q) over the group of 16 */
    int16_t *isum; /* [t][n_pad / 16]: sum of q over the group of 16 */
    float *dsum;   /* [t][n_pad / 32]: d * (sum of q) over the block of 32 */
    size_t n_pad;  /* elements of a row; rows of each array follow one another without gaps */
    size_t rest;   /* second terms: token j's is row j + rest; 0 when there are none */
};

/* Weight rows unpacked to bytes: value i of a row is s[i / 16] * u[i] + m[i / 16]. Every quantised
 * type fits (docs/kernels.md); what lies beyond n is zero in u, s and m. */
struct ew__urows {
    uint8_t *u;   /* [r][n_pad], each row 64-byte aligned */
    float *s, *m; /* [r][n_pad / 16] */
    size_t n_pad;
    bool narrow; /* every u is at most 127: sums of two products u * q fit 16 bits */
};

/* Keys and values of one head for the positions of one page, F32, F16, Q8_0 or Q4_0, as
 * kernels/kv.h lays them out. F32 is plain rows, of which there may be fewer than a page's. */
struct ew__kv_view {
    const void *k, *v;
    ew__dtype type;
};

/* Floats of scratch that attend_span needs: the weights p, and for quantised types a page's scales,
 * the rows' factors, and 16-bit forms of weights and queries. */
static inline size_t ew__attend_scratch(size_t g, size_t d) {
    return g * EW__KV_PAGE_TOKENS + EW__KV_PAGE_TOKENS + g + g * EW__KV_PAGE_TOKENS / 2 +
           g * (d + 1) / 2;
}

/* X(name, return type, parameters): the one list of entries. kernels/ops.inc has the contracts. */
#include "kernels/ops.inc"

#define EW__OP_TYPE(name, result, parameters) typedef result ew__##name##_fn parameters;
EW__OPS(EW__OP_TYPE)
#undef EW__OP_TYPE

/* One weight row of n elements -> u[n_pad], s[n_pad / 16], m[n_pad / 16]; one function per type. */
typedef void ew__unpack_fn(const void *row, size_t n, size_t n_pad, uint8_t *u, float *s, float *m);

/* Does `rounds` rounds of independent multiply-adds that touch no memory, and returns the
 * operations done, two per multiply-add: what the arithmetic of a kernel cannot exceed
 * (src/kernels/probe.c). */
typedef uint64_t ew__peak_fn(uint64_t rounds);

struct ew__kernels {
#define EW__OP_FIELD(name, result, parameters) ew__##name##_fn *name;
    EW__OPS(EW__OP_FIELD)
#undef EW__OP_FIELD
    /* By weight type. NULL for types without a byte form (floats): those go through mul_* directly.
     */
    ew__unpack_fn *unpack[EW__DTYPE_COUNT];
    /* By weight type. NULL where the set has no kernel of its own for packed weights of the type
     * (the scalar twins do not stand in for it, being slower than unpack and mul_u8). */
    ew__mul_packed_fn *mul_packed[EW__DTYPE_COUNT];
    /* The same for packed F16 and BF16, which meet f32 activations. */
    ew__mul_packed_float_fn *mul_packed_float[EW__DTYPE_COUNT];
    /* By weight type, both or neither: matrices in two planes. */
    ew__mul_split_fn *mul_split[EW__DTYPE_COUNT];
    ew__screen_split_fn *screen_split[EW__DTYPE_COUNT];
    /* Bytes into 32-bit sums, bf16 pairs and floats into floats; NULL: no such instruction. */
    ew__peak_fn *peak_i8, *peak_bf16, *peak_f32;
    const char *isa; /* "scalar", "avx2", "avx512vnni", "neon"...: the highest set in use */
};

/* Instruction sets this build contains and this processor (and operating system) can run, in rising
 * order; "scalar" is always first. */
size_t ew__kernels_isa_count(void);
const char *ew__kernels_isa_name(size_t index);
/* The table for a set by name; NULL or "" means the best one, or the one that the environment
 * variable EDGEWISE_ISA names. NULL is returned for a name that is unknown or cannot run here. The
 * table is constant and shared. Thread-safe. */
const struct ew__kernels *ew__kernels_select(const char *isa);

#endif
