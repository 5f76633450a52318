// SPDX-License-Identifier: Apache-2.0
/* Random numbers that depend on the seed and the tensor's name only: splitmix64 (Steele, Lea and
 * Flood 2014, "Fast splittable pseudorandom number generators"), which is a counter and a mixer. */
#ifndef SYNTH_RANDOM_H
#define SYNTH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
    uint64_t state;
};

struct random_source random_for(uint64_t seed, const char *name);

static inline uint64_t random_u64(struct random_source *source) {
    uint64_t z = source->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform in [0, 1). */
static inline double random_unit(struct random_source *source) {
    return (double)(random_u64(source) >> 11) * 0x1p-53;
}

/* About normal: the sum of four uniform 16-bit numbers (Irwin-Hall), mean 0, variance 1, within
 * +-3.46. One number of 64 bits per value, no table, no rejection. */
static inline float random_normal(struct random_source *source) {
    uint64_t bits = random_u64(source);
    int32_t sum =
        (int32_t)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)) -
        131070;
    return (float)sum * (1.0f / 37837.2f); // 65536 sqrt(4 / 12)
}

void random_fill(struct random_source *source, float mean, float deviation, float *out, size_t n);

#endif
