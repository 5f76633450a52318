// SPDX-License-Identifier: Apache-2.0
/* Numbers like a model's weights, the same on every machine: nothing but integers and exact
 * operations of IEEE arithmetic makes them. */
#ifndef TESTS_SUPPORT_WEIGHTS_H
#define TESTS_SUPPORT_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum weights_kind {
    WEIGHTS_NORMAL, /* nearly: the sum of twelve uniform numbers */
    WEIGHTS_HEAVY /* normal over the root mean square of four normal ones: Student's t, 4 degrees */
};

/* n numbers of standard deviation 0.02 (HEAVY: about 0.03); the same seed gives the same. */
void weights_fill(enum weights_kind kind, uint64_t seed, float *out, size_t n);
/* n weights of columns as importance matrices have them: positive, over four decades. */
void weights_importance(uint64_t seed, float *out, size_t n);

#endif
