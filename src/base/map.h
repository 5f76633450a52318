// SPDX-License-Identifier: Apache-2.0
/* Hash map from byte strings to 32-bit numbers: vocabularies, tensor names, metadata keys. The
 * keys' bytes are borrowed and must outlive the map. The hash is seeded per process, so that a
 * hostile file cannot aim at its collisions. Not thread-safe while it is being written. */
#ifndef EW_BASE_MAP_H
#define EW_BASE_MAP_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct ew__map_slot {
    struct ew__str key; /* bytes NULL: free */
    uint32_t value;
};

struct ew__map {
    struct ew__map_slot *slots;
    size_t capacity, count; /* capacity is 0 or a power of two */
};

ew_status ew__map_init(struct ew__map *map, size_t expected);
void ew__map_release(struct ew__map *map);
/* Adds key -> value. An existing key keeps its value, and *existed (may be NULL) is set. */
ew_status ew__map_add(struct ew__map *map, struct ew__str key, uint32_t value, bool *existed);
bool ew__map_get(const struct ew__map *map, struct ew__str key, uint32_t *value);

/* The 64-bit hash used above: not cryptographic. */
uint64_t ew__hash(const void *bytes, size_t n, uint64_t seed);

#endif
