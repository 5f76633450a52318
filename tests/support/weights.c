// SPDX-License-Identifier: Apache-2.0
#include "support/weights.h"

#include <math.h>

/* xorshift64* (Vigna, 2016): the upper 24 bits, as a number in (0, 1). */
static double uniform(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return ((double)(*state * 0x2545f4914f6cdd1du >> 40) + 0.5) * 0x1p-24;
}

static double normal(uint64_t *state) {
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += uniform(state);
    return sum;
}

static double heavy(uint64_t *state) {
    double squares = 0.0;
    for (int i = 0; i < 4; i++) {
        double v = normal(state);
        squares += v * v;
    }
    return normal(state) / sqrt(squares / 4.0);
}

void weights_fill(enum weights_kind kind, uint64_t seed, float *out, size_t n) {
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(0.02 * (kind == WEIGHTS_NORMAL ? normal(&state) : heavy(&state)));
}

void weights_importance(uint64_t seed, float *out, size_t n) {
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < n; i++) {
        double v = normal(&state);
        out[i] = (float)(0.01 + v * v * v * v);
    }
}
