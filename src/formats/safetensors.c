// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "formats/safetensors_part.h"

#include <inttypes.h>
#include <string.h>

static const char index_name[] = "model.safetensors.index.json";
static const char usual_name[] = "model.safetensors";
static const char suffix[] = ".safetensors";

struct ew__safetensors {
    struct ew__safetensors_part *parts;
    uint32_t part_count, part_capacity;
    size_t count;
    const struct ew__safetensors_entry **entries; /* part after part, in order of the data */
    struct ew__map names;                         /* tensor name -> index in entries */
};

/* --- assembling --- */

static ew_status new_set(uint32_t part_capacity, struct ew__safetensors **out) {
    *out = ew__calloc(1, sizeof **out);
    if (*out == NULL)
        return EW_NO_MEMORY;
    (*out)->part_capacity = part_capacity;
    (*out)->parts = ew__calloc(part_capacity, sizeof *(*out)->parts);
    return (*out)->parts != NULL ? EW_OK : EW_NO_MEMORY;
}

static ew_status add_file(struct ew__safetensors *set, const char *path) {
    struct ew__safetensors_part *part = &set->parts[set->part_count++];
    EW__TRY(ew__file_map_open(path, &part->map));
    part->bytes = part->map.data != NULL ? part->map.data : (const uint8_t *)"";
    part->size = part->map.size;
    return ew__fail_in(ew__safetensors_part_parse(part), "%s", path);
}

static ew_status index_tensors(struct ew__safetensors *set) {
    size_t total = 0;
    bool existed;
    for (uint32_t i = 0; i < set->part_count; i++)
        total += set->parts[i].count; // at most 1024 parts of 65536
    if (total > EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "%zu tensors, at most %u are allowed", total,
                        EW__TENSOR_COUNT_MAX);
    set->entries = ew__calloc(total, sizeof *set->entries);
    if (set->entries == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__map_init(&set->names, total));
    for (uint32_t i = 0; i < set->part_count; i++) {
        for (size_t t = 0; t < set->parts[i].count; t++) {
            const struct ew__safetensors_entry *entry = &set->parts[i].entries[t];
            struct ew__str name = entry->tensor.name;
            EW__TRY(ew__map_add(&set->names, name, (uint32_t)set->count, &existed));
            if (existed)
                return ew__fail(EW_FORMAT, "the tensor \"%s\" stands in two files",
                                ew__quote(name.bytes, name.n));
            set->entries[set->count++] = entry;
        }
    }
    return EW_OK;
}

static ew_status finish(ew_status status, struct ew__safetensors *set,
                        struct ew__safetensors **out) {
    if (status != EW_OK) {
        ew__safetensors_close(set);
        set = NULL;
    }
    *out = set;
    return status;
}

ew_status ew__safetensors_open(const char *path, struct ew__safetensors **out) {
    struct ew__safetensors *set = NULL;
    ew_status status = new_set(1, &set);
    if (status == EW_OK)
        status = add_file(set, path);
    if (status == EW_OK)
        status = ew__fail_in(index_tensors(set), "%s", path);
    return finish(status, set, out);
}

ew_status ew__safetensors_open_bytes(const void *bytes, size_t n, struct ew__safetensors **out) {
    struct ew__safetensors *set = NULL;
    ew_status status = new_set(1, &set);
    if (status == EW_OK) {
        set->part_count = 1;
        set->parts[0].bytes = bytes;
        set->parts[0].size = n;
        status = ew__safetensors_part_parse(&set->parts[0]);
    }
    if (status == EW_OK)
        status = index_tensors(set);
    return finish(status, set, out);
}

void ew__safetensors_close(struct ew__safetensors *set) {
    if (set == NULL)
        return;
    for (uint32_t i = 0; i < set->part_count; i++)
        ew__safetensors_part_release(&set->parts[i]);
    ew__free(set->parts);
    ew__free(set->entries);
    ew__map_release(&set->names);
    ew__free(set);
}

/* --- folders --- */

/* dir/name, freed with ew__free; NULL without memory. */
static char *join(const char *dir, const char *name) {
    struct ew__buf path;
    ew__buf_init(&path, SIZE_MAX);
    (void)ew__buf_add_format(&path, "%s/%s", dir, name);
    return ew__buf_take(&path, NULL);
}

static ew_status add_named(struct ew__safetensors *set, const char *dir, const char *name) {
    char *path = join(dir, name);
    ew_status status = path != NULL ? add_file(set, path) : EW_NO_MEMORY;
    ew__free(path);
    return status;
}

/* A shard must lie in the folder itself: no path, nothing hidden, nothing that upsets a terminal.
 */
static ew_status check_shard_name(struct ew__str name) {
    bool plain = name.n > sizeof suffix - 1 && name.n <= 255 && name.bytes[0] != '.' &&
                 ew__str_ends(name, suffix);
    for (size_t i = 0; i < name.n && plain; i++) {
        unsigned char c = (unsigned char)name.bytes[i];
        plain = c >= 0x20 && c != 0x7f && c != '/' && c != '\\' && c != ':';
    }
    if (!plain)
        return ew__fail(EW_FORMAT, "\"%s\" is no plain file name of a shard",
                        ew__quote(name.bytes, name.n));
    return EW_OK;
}

/* Opens every shard of the map once; *shards becomes shard name -> part. */
static ew_status open_shards(struct ew__safetensors *set, const char *dir, json_t *weight_map,
                             struct ew__map *shards) {
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value) {
        bool existed;
        if (!json_is_string(value))
            return ew__fail(EW_FORMAT, "the entry of tensor \"%s\" must be a string",
                            ew__quote(tensor, strlen(tensor)));
        struct ew__str name = ew__str_of(json_string_value(value), json_string_length(value));
        EW__TRY(check_shard_name(name));
        EW__TRY(ew__map_add(shards, name, set->part_count, &existed));
        if (existed)
            continue;
        if (set->part_count == set->part_capacity)
            return ew__fail(EW_LIMIT, "over %" PRIu32 " shards", set->part_capacity);
        EW__TRY(add_named(set, dir, name.bytes));
    }
    return EW_OK;
}

/* The index and the shards must name the same tensors at the same places. */
static ew_status compare_index(const struct ew__safetensors *set, json_t *weight_map,
                               const struct ew__map *shards) {
    const char *name;
    json_t *value;
    json_object_foreach(weight_map, name, value) {
        const char *shard = json_string_value(value);
        uint32_t index, part = 0;
        (void)ew__map_get(shards, ew__str_of(shard, json_string_length(value)), &part);
        const struct ew__safetensors_part *home = &set->parts[part];
        bool there = ew__map_get(&set->names, ew__str(name), &index) &&
                     set->entries[index] >= home->entries &&
                     set->entries[index] < home->entries + home->count;
        if (!there)
            return ew__fail(EW_FORMAT, "the tensor \"%s\" is not in \"%s\" as the index says",
                            ew__quote(name, strlen(name)), ew__quote(shard, strlen(shard)));
    }
    for (size_t i = 0; i < set->count; i++) {
        struct ew__str own = set->entries[i]->tensor.name;
        if (json_object_get(weight_map, own.bytes) == NULL)
            return ew__fail(EW_FORMAT, "the tensor \"%s\" of a shard is not in the index",
                            ew__quote(own.bytes, own.n));
    }
    return EW_OK;
}

static ew_status open_weight_map(struct ew__safetensors *set, const char *dir, json_t *root) {
    json_t *weight_map = json_object_get(root, "weight_map"); // NULL when root is no object
    struct ew__map shards = {0};
    if (!json_is_object(weight_map))
        return ew__fail(EW_FORMAT, "there is no object \"weight_map\"");
    if (json_object_size(weight_map) == 0)
        return ew__fail(EW_FORMAT, "the \"weight_map\" is empty");
    ew_status status = open_shards(set, dir, weight_map, &shards);
    if (status == EW_OK)
        status = index_tensors(set);
    if (status == EW_OK)
        status = compare_index(set, weight_map, &shards);
    ew__map_release(&shards);
    return status;
}

static ew_status open_index(const char *dir, const char *path, struct ew__safetensors **out) {
    struct ew__safetensors *set = NULL;
    json_t *root;
    *out = NULL;
    EW__TRY(ew__json_load(path, EW__JSON_CONFIG_BYTES_MAX, &root));
    ew_status status = new_set(EW__SAFETENSORS_SHARD_COUNT_MAX, &set);
    if (status == EW_OK)
        status = ew__fail_in(open_weight_map(set, dir, root), "%s", path);
    json_decref(root); // the tensors' names are the shards' own
    return finish(status, set, out);
}

struct single {
    char *name; /* of the one file found, freed by the owner */
};

static ew_status take_single(void *context, const char *name) {
    struct single *single = context;
    if (name[0] == '.' || !ew__str_ends(ew__str(name), suffix))
        return EW_OK;
    if (single->name != NULL)
        return ew__fail(EW_FORMAT, "several .safetensors files, but no %s", index_name);
    single->name = ew__strndup(name, strlen(name));
    return single->name != NULL ? EW_OK : EW_NO_MEMORY;
}

static ew_status open_single(const char *dir, struct ew__safetensors **out) {
    struct single single = {0};
    ew_status status = ew__list_dir(dir, take_single, &single);
    *out = NULL;
    if (status == EW_FORMAT)
        (void)ew__fail_in(status, "%s", dir);
    if (status == EW_OK && single.name == NULL)
        status = ew__fail(EW_NOT_FOUND, "%s: there is no .safetensors file", dir);
    char *path = status == EW_OK ? join(dir, single.name) : NULL;
    if (status == EW_OK)
        status = path != NULL ? ew__safetensors_open(path, out) : EW_NO_MEMORY;
    ew__free(path);
    ew__free(single.name);
    return status;
}

ew_status ew__safetensors_open_dir(const char *dir, struct ew__safetensors **out) {
    *out = NULL;
    char *index = join(dir, index_name), *usual = join(dir, usual_name);
    ew_status status;
    if (index == NULL || usual == NULL)
        status = EW_NO_MEMORY;
    else if (ew__path_exists(index))
        status = open_index(dir, index, out);
    else if (ew__path_exists(usual))
        status = ew__safetensors_open(usual, out);
    else
        status = open_single(dir, out);
    ew__free(index);
    ew__free(usual);
    return status;
}

/* --- reading --- */

uint64_t ew__safetensors_file_bytes(const struct ew__safetensors *set) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < set->part_count; i++)
        total += set->parts[i].size;
    return total;
}

uint64_t ew__safetensors_modified(const struct ew__safetensors *set) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->part_count; i++)
        sum += set->parts[i].map.modified_ns;
    return sum;
}

uint32_t ew__safetensors_part_count(const struct ew__safetensors *set) {
    return set->part_count;
}

size_t ew__safetensors_tensor_count(const struct ew__safetensors *set) {
    return set->count;
}

const struct ew__tensor *ew__safetensors_tensor_at(const struct ew__safetensors *set, size_t index,
                                                   struct ew__str *dtype_name) {
    if (dtype_name != NULL)
        *dtype_name = set->entries[index]->dtype_name;
    return &set->entries[index]->tensor;
}

const struct ew__tensor *ew__safetensors_tensor(const struct ew__safetensors *set,
                                                struct ew__str name) {
    uint32_t index;
    return ew__map_get(&set->names, name, &index) ? &set->entries[index]->tensor : NULL;
}

struct ew__str ew__safetensors_metadata(const struct ew__safetensors *set, const char *key) {
    const json_t *metadata = json_object_get(set->parts[0].header, "__metadata__");
    const json_t *value = json_object_get(metadata, key);
    return value != NULL ? ew__str_of(json_string_value(value), json_string_length(value))
                         : ew__str_of("", 0);
}
