// SPDX-License-Identifier: Apache-2.0
/* Reference arrays (tests/data/goldens) and comparisons that say where and by how much. */
#ifndef TESTS_SUPPORT_GOLDEN_H
#define TESTS_SUPPORT_GOLDEN_H

#include "formats/safetensors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct golden {
    struct ew__safetensors *arrays;
};

/* Opens <folder>/goldens.safetensors; stops the test when it is missing. */
void golden_open(struct golden *golden, const char *folder);
void golden_close(struct golden *golden);
bool golden_has(const struct golden *golden, const char *name);
/* Aligned copies, freed with free(); *n gets the number of elements. Stop the test when absent. */
float *golden_f32(const struct golden *golden, const char *name, size_t *n);
int32_t *golden_i32(const struct golden *golden, const char *name, size_t *n);

/* Stops the test unless |got - want| <= tolerance everywhere (NaN never is). Returns the largest
 * difference. */
double assert_close(const char *what, const float *got, const float *want, size_t n,
                    double tolerance);

#endif
