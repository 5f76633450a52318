// SPDX-License-Identifier: Apache-2.0
/* The frame of the kernel checker. A case is: check_begin, buffers, call, comparisons, check_end.
 * The expected values are computed in double precision from the formulas of ops.inc, by code that
 * shares nothing with the kernels; results that must be equal to the last bit (bytes, integers, the
 * order contract) are compared as bits. */
#ifndef EW_TESTS_KERNELS_CHECK_H
#define EW_TESTS_KERNELS_CHECK_H

#include "base/status.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPS  0x1p-24  /* half a unit in the last place of 1: the error of one rounding */
#define TINY 0x1p-149 /* the smallest subnormal */

#define CHECK_REGIONS 24

/* Memory that ends at an unmapped page, handed out by the buffer functions. */
struct region {
    uint8_t *base;       /* first byte of `size` usable ones; unmapped pages on both sides */
    uint8_t *start;      /* the buffer of the current case */
    size_t size, length; /* of the region and of the buffer */
};

struct check {
    const struct ew__kernels *k;      /* the set under test */
    const struct ew__kernels *scalar; /* the definition */
    const char *op;
    uint64_t rng;
    size_t cases, failures;
    char params[256]; /* of the current case, for the failure message */
    struct region regions[CHECK_REGIONS];
    size_t used;
};

void check_open(struct check *c);
void check_close(struct check *c);

/* Starts a case: forgets the buffers of the last one and notes the parameters. */
void check_begin(struct check *c, const char *format, ...) EW__PRINTF(2, 3);
/* Ends it: looks at the bands around every buffer. */
void check_end(struct check *c);
/* Reports a failure with the case's parameters (the first few of an op in full). */
void check_fail(struct check *c, const char *format, ...) EW__PRINTF(2, 3);

/* A buffer of this case, filled with 0xA5, that either ends at an unmapped page or starts at an odd
 * multiple of `align`, at random. */
void *check_buffer(struct check *c, size_t bytes, size_t align);
float *check_floats(struct check *c, size_t n);
bool check_untouched(const float *p, size_t n); /* still 0xA5 */

/* Randomness: the same numbers for the same seed and op. */
uint64_t check_random(struct check *c);
size_t check_below(struct check *c, size_t n);
double check_uniform(struct check *c, double low, double high);
double check_normal(struct check *c);

/* Shapes of data that kernels get wrong. TINY_VALUES are subnormal; HUGE_VALUES 1e15. */
enum distribution {
    NORMAL,
    ZEROS,
    TINY_VALUES,
    HUGE_VALUES,
    ALTERNATING,
    ONE_HOT,
    WIDE, /* magnitudes from 1e-6 to 1e6 */
    DISTRIBUTIONS
};
enum distribution check_distribution(struct check *c);
const char *check_distribution_name(enum distribution d);
void check_fill(struct check *c, enum distribution d, float *x, size_t n);

/* got is within `bound` of the truth (and not NaN); says which element otherwise. */
bool check_near(struct check *c, const char *what, size_t i, double got, double truth,
                double bound);
bool check_bits(struct check *c, const char *what, const void *got, const void *expected,
                size_t bytes);

/* Lengths: 1..67, 255..257, model widths; rows and tokens: the list of the order contract. */
size_t check_length(struct check *c, size_t i); /* i < CHECK_LENGTHS */
#define CHECK_LENGTHS 76
size_t check_count(size_t i); /* i < CHECK_COUNTS */
#define CHECK_COUNTS 10

double check_half(uint16_t bits); /* IEEE half as double, by its definition */

/* One function per entry of the table (ops.inc): a new op without one does not link. */
#define CHECK_PROTOTYPE(name, result, parameters) void check_##name(struct check *c);
EW__OPS(CHECK_PROTOTYPE)
#undef CHECK_PROTOTYPE
void check_unpack(struct check *c, ew__dtype type);
void check_mul_packed(struct check *c, ew__dtype type);
void check_mul_packed_float(struct check *c, ew__dtype type);
void check_mul_split(struct check *c, ew__dtype type);
void check_screen_split(struct check *c, ew__dtype type);

/* A buffer of `blocks` random blocks of a type, at any address, with finite scales. */
void *check_blocks(struct check *c, ew__dtype type, size_t blocks);

/* Prints speeds of the set's kernels and, over n_threads, of whole matrices. */
void bench_run(const struct ew__kernels *k, uint32_t n_threads, const char *only);

#endif
