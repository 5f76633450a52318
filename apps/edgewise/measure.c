// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

spread measure_spread(double *values, size_t n) {
    qsort(values, n, sizeof(*values), ascending);
    double middle = n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
    return (spread){.median = middle, .least = values[0], .most = values[n - 1]};
}

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void measure_ids(int32_t *ids, size_t n, size_t n_vocab, uint64_t seed) {
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(next_random(&seed) % n_vocab);
}

int32_t measure_greedy(ew_session *session) {
    ew_sampling greedy = EW_INIT(ew_sampling);
    uint64_t unused = 0;
    int32_t token = 0;
    (void)ew_session_sample(session, &greedy, &unused, &token);
    return token;
}
