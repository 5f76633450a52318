// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/os.h"

#include <pthread.h>

static uint64_t mix(uint64_t x) { // the finaliser of SplitMix64 (Steele, Lea, Flood 2014)
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t ew__hash(const void *bytes, size_t n, uint64_t seed) {
    const uint8_t *p = bytes;
    uint64_t hash = mix(seed ^ (uint64_t)n * 0x9e3779b97f4a7c15u);
    for (; n >= 8; p += 8, n -= 8)
        hash = mix(hash ^ ew__load_u64(p)) + 0x9e3779b97f4a7c15u;
    uint64_t tail = 0;
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)p[i] << (8 * i);
    return mix(hash ^ tail);
}

static uint64_t process_seed_value;

static void set_seed(void) { // the address is random under ASLR, the clock differs between runs
    process_seed_value = mix(ew__now_ns() ^ (uint64_t)(uintptr_t)&process_seed_value) | 1;
}

static uint64_t process_seed(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_seed);
    return process_seed_value;
}

static struct ew__map_slot *find(const struct ew__map *map, struct ew__str key) {
    size_t mask = map->capacity - 1;
    size_t at = (size_t)ew__hash(key.bytes, key.n, process_seed()) & mask;
    while (map->slots[at].key.bytes != NULL && !ew__str_equal(map->slots[at].key, key))
        at = (at + 1) & mask;
    return &map->slots[at];
}

static ew_status grow(struct ew__map *map, size_t capacity) {
    struct ew__map bigger = {.capacity = capacity, .count = map->count};
    bigger.slots = ew__calloc(capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].key.bytes != NULL)
            *find(&bigger, map->slots[i].key) = map->slots[i];
    ew__free(map->slots);
    *map = bigger;
    return EW_OK;
}

ew_status ew__map_init(struct ew__map *map, size_t expected) {
    size_t capacity = 16;
    *map = (struct ew__map){0};
    while (capacity / 2 < expected)
        capacity *= 2;
    return grow(map, capacity);
}

void ew__map_release(struct ew__map *map) {
    ew__free(map->slots);
    *map = (struct ew__map){0};
}

ew_status ew__map_add(struct ew__map *map, struct ew__str key, uint32_t value, bool *existed) {
    if (key.bytes == NULL)
        key.bytes = "";
    if ((map->count + 1) * 2 > map->capacity)
        EW__TRY(grow(map, map->capacity == 0 ? 16 : map->capacity * 2));
    struct ew__map_slot *slot = find(map, key);
    bool found = slot->key.bytes != NULL;
    if (existed != NULL)
        *existed = found;
    if (found)
        return EW_OK;
    *slot = (struct ew__map_slot){key, value};
    map->count++;
    return EW_OK;
}

bool ew__map_get(const struct ew__map *map, struct ew__str key, uint32_t *value) {
    if (map->capacity == 0)
        return false;
    if (key.bytes == NULL)
        key.bytes = "";
    struct ew__map_slot *slot = find(map, key);
    if (slot->key.bytes == NULL)
        return false;
    *value = slot->value;
    return true;
}
