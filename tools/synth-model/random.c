// SPDX-License-Identifier: Apache-2.0
#include "random.h"

struct random_source random_for(uint64_t seed, const char *name) {
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (const char *c = name; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    struct random_source source = {hash ^ seed * 0x9e3779b97f4a7c15u};
    source.state = random_u64(&source);
    return source;
}

void random_fill(struct random_source *source, float mean, float deviation, float *out, size_t n) {
    struct random_source local = *source;
    for (size_t i = 0; i < n; i++)
        out[i] = mean + deviation * random_normal(&local);
    *source = local;
}
