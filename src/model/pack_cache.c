// SPDX-License-Identifier: Apache-2.0
#include "model/pack_cache.h"

#include "base/cache_dir.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- identity --- */

enum { sample_bytes = 256 };

/* The sample is taken from the middle, where a tensor is least likely to be padding. */
static void digest_tensor(struct ew__digest *digest, const struct ew__tensor *tensor) {
    uint64_t n = tensor->bytes < sample_bytes ? tensor->bytes : sample_bytes;
    const uint8_t *sample = tensor->data + (tensor->bytes - n) / 2;
    ew__digest_add(digest, tensor->name.bytes, tensor->name.n);
    ew__digest_u64(digest, tensor->type);
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        ew__digest_u64(digest, tensor->dims[i]);
    ew__digest_u64(digest, tensor->bytes);
    ew__digest_add(digest, sample, (size_t)n);
    ew__file_map_hint(sample, (size_t)n, EW__PAGES_DONE);
}

void ew__pack_identity(const struct ew__checkpoint *checkpoint, uint64_t identity[2]) {
    const struct ew__gguf *gguf = checkpoint->gguf;
    const struct ew__safetensors *set = checkpoint->hf.tensors;
    size_t n = gguf != NULL ? ew__gguf_tensor_count(gguf) : ew__safetensors_tensor_count(set);
    struct ew__digest digest;
    ew__digest_init(&digest);
    ew__digest_u64(&digest, gguf != NULL);
    ew__digest_u64(&digest,
                   gguf != NULL ? ew__gguf_file_bytes(gguf) : ew__safetensors_file_bytes(set));
    ew__digest_u64(&digest, gguf != NULL ? ew__gguf_modified(gguf) : ew__safetensors_modified(set));
    for (size_t i = 0; i < n; i++)
        digest_tensor(&digest, gguf != NULL ? ew__gguf_tensor_at(gguf, i)
                                            : ew__safetensors_tensor_at(set, i, NULL));
    ew__digest_end(&digest, identity);
}

/* --- the file --- */

/* DIR/IDENTITY.ewpack */
static ew_status choose_path(struct ew__pack_store *store, const char *dir) {
    struct ew__buf path;
    ew__buf_init(&path, EW__PATH_BYTES_MAX);
    ew_status status = ew__buf_add_format(&path, "%s/%016" PRIx64 "%016" PRIx64 EW__CACHE_SUFFIX,
                                          dir, store->head.identity[0], store->head.identity[1]);
    store->path = ew__buf_take(&path, NULL);
    return status;
}

static bool same_matrix(const struct ew__pack_matrix *a, const struct ew__pack_matrix *b) {
    return a->type == b->type && a->rows == b->rows && a->n == b->n && a->offset == b->offset &&
           a->bytes == b->bytes;
}

/* Whether a file's head, correct in itself, is the one that this model would write. */
static bool is_ours(const struct ew__pack_store *store, const struct ew__pack_head *found) {
    const struct ew__pack_head *own = &store->head;
    bool same = memcmp(found->identity, own->identity, sizeof own->identity) == 0 &&
                found->n_matrices == own->n_matrices && found->file_bytes == own->file_bytes;
    for (uint32_t i = 0; same && i < own->n_matrices; i++)
        same = same_matrix(&own->matrices[i], &found->matrices[i]);
    return same;
}

static bool is_intact(const struct ew__file_map *map, const struct ew__pack_head *found) {
    for (uint32_t i = 0; i < found->n_matrices; i++) {
        const struct ew__pack_matrix *matrix = &found->matrices[i];
        if (ew__digest_of(map->data + matrix->offset, (size_t)matrix->bytes) != matrix->digest)
            return false;
    }
    return true;
}

static ew_status check_file(const struct ew__pack_store *store, const struct ew__file_map *map,
                            bool verify) {
    struct ew__pack_head found;
    EW__TRY(ew__pack_head_read(map->data, map->size, &found));
    ew_status status = EW_OK;
    if (!is_ours(store, &found))
        status = ew__fail(EW_FORMAT, "it belongs to another model");
    else if (verify && !is_intact(map, &found))
        status = ew__fail(EW_FORMAT, "its weights are damaged");
    ew__free(found.matrices);
    return status;
}

/* Maps the file if it is there and right. */
static bool use_file(struct ew__pack_store *store, bool verify) {
    struct ew__file_map map;
    uint64_t size, modified;
    if (!ew__file_facts(store->path, &size, &modified))
        return false;
    ew_status status = ew__file_map_open(store->path, &map);
    if (status == EW_OK)
        status = check_file(store, &map, verify);
    if (status != EW_OK) {
        ew__log(EW__LOG_INFO, "the packed weights in \"%s\" are made anew: %s", store->path,
                ew_last_error());
        ew__file_map_close(&map);
        return false;
    }
    ew__file_map_hint(map.data, map.size, EW__PAGES_WILL_NEED);
    (void)ew__file_touch(store->path); // the cache folder may be read-only
    store->map = map;
    store->base = (uint8_t *)(uintptr_t)map.data + store->head.first;
    return true;
}

static ew_status begin_file(struct ew__pack_store *store, const char *dir) {
    EW__TRY(ew__make_private_dirs(dir));
    EW__TRY(ew__cache_dir_make_room(dir, store->head.file_bytes));
    EW__TRY(ew__file_build_open(&store->build, store->path, (size_t)store->head.file_bytes));
    store->base = store->build.data + store->head.first;
    return EW_OK;
}

/* --- memory --- */

static void give_up_file(struct ew__pack_store *store, const char *reason) {
    ew__log(EW__LOG_INFO, "packed weights are kept in memory, not in a cache file: %s", reason);
    snprintf(store->why_not, sizeof store->why_not, "%s", reason);
    ew__free(store->path);
    store->path = NULL;
}

static ew_status take_memory(struct ew__pack_store *store) {
    size_t n = (size_t)(store->head.file_bytes - store->head.first);
    store->memory = ew__alloc_aligned(n);
    if (store->memory == NULL)
        return EW_NO_MEMORY;
    ew__file_map_hint(store->memory, n, EW__PAGES_WILL_NEED);
    store->base = store->memory;
    return EW_OK;
}

static ew_status begin_memory(struct ew__pack_store *store, const char *reason) {
    give_up_file(store, reason);
    return take_memory(store);
}

/* --- the store --- */

/* A file is for a checkpoint and what is packed of it, which differs between instruction sets and
 * versions: each has its own. */
static void mix_identity(struct ew__pack_head *head, const uint64_t identity[2]) {
    struct ew__digest digest;
    ew__digest_init(&digest);
    ew__digest_u64(&digest, identity[0]);
    ew__digest_u64(&digest, identity[1]);
    ew__digest_u64(&digest, EW__PACK_LAYOUT);
    for (uint32_t i = 0; i < head->n_matrices; i++) {
        ew__digest_u64(&digest, head->matrices[i].type);
        ew__digest_u64(&digest, head->matrices[i].rows);
        ew__digest_u64(&digest, head->matrices[i].n);
        ew__digest_u64(&digest, head->matrices[i].bytes);
    }
    ew__digest_end(&digest, head->identity);
}

static ew_status copy_head(struct ew__pack_store *store, const struct ew__pack_request *request,
                           const struct ew__pack_matrix *matrices, uint32_t n) {
    struct ew__pack_head *head = &store->head;
    head->matrices = ew__calloc(n, sizeof *head->matrices);
    if (head->matrices == NULL)
        return EW_NO_MEMORY;
    if (n != 0)
        memcpy(head->matrices, matrices, n * sizeof *matrices);
    head->n_matrices = n;
    mix_identity(head, request->identity);
    const char *name = request->path != NULL ? request->path : "";
    const char *slash = strrchr(name, '/');
    if (slash != NULL && slash[1] != '\0')
        name = slash + 1;
    size_t length = ew__min_size(strlen(name), EW__PACK_NAME_MAX);
    head->name.bytes = ew__strndup(name, length);
    if (head->name.bytes == NULL)
        return EW_NO_MEMORY;
    head->name.n = length;
    return ew__pack_head_lay_out(head);
}

ew_status ew__pack_store_open(struct ew__pack_store *store, const struct ew__pack_request *request,
                              const struct ew__pack_matrix *matrices, uint32_t n, bool *filled) {
    char *dir;
    *store = (struct ew__pack_store){.begun_ns = ew__now_ns()};
    *filled = false;
    EW__TRY(copy_head(store, request, matrices, n));
    if (request->no_cache)
        return begin_memory(store, "the cache is turned off");
    if (store->head.file_bytes - store->head.first < request->least_bytes)
        return begin_memory(store, "the model is small");
    ew_status status = ew__cache_dir_path(&dir);
    if (status == EW_OK)
        status = choose_path(store, dir);
    if (status == EW_OK) {
        *filled = use_file(store, request->verify);
        if (!*filled)
            status = begin_file(store, dir);
    }
    ew__free(dir);
    return status == EW_OK ? EW_OK : begin_memory(store, ew_last_error());
}

static void write_digests(struct ew__pack_store *store) {
    for (uint32_t i = 0; i < store->head.n_matrices; i++) {
        struct ew__pack_matrix *matrix = &store->head.matrices[i];
        matrix->digest = ew__digest_of(ew__pack_store_at(store, i), (size_t)matrix->bytes);
    }
}

/* The file could be filled but not kept: its matrices move to memory. */
static ew_status move_to_memory(struct ew__pack_store *store, uint8_t *from, const char *reason) {
    EW__TRY(begin_memory(store, reason));
    memcpy(store->memory, from + store->head.first,
           (size_t)(store->head.file_bytes - store->head.first));
    return EW_OK;
}

ew_status ew__pack_store_seal(struct ew__pack_store *store) {
    if (store->build.data == NULL)
        return EW_OK;
    write_digests(store);
    ew__pack_head_write(&store->head, store->build.data);
    ew_status status = ew__file_build_keep(&store->build, &store->map);
    if (status != EW_OK) {
        status = move_to_memory(store, store->build.data, ew_last_error());
        ew__file_build_drop(&store->build);
        return status;
    }
    store->base = (uint8_t *)(uintptr_t)store->map.data + store->head.first;
    ew__log(EW__LOG_INFO, "packed weights: %" PRIu64 " MB made in %.2f s and kept in \"%s\"",
            store->head.file_bytes >> 20, (double)(ew__now_ns() - store->begun_ns) * 1e-9,
            store->path);
    return EW_OK;
}

void ew__pack_store_close(struct ew__pack_store *store) {
    ew__file_build_drop(&store->build);
    ew__file_map_close(&store->map);
    ew__free_aligned(store->memory);
    ew__free(store->head.matrices);
    ew__free((void *)(uintptr_t)store->head.name.bytes);
    ew__free(store->path);
    *store = (struct ew__pack_store){0};
}

uint64_t ew__pack_store_bytes(const struct ew__pack_store *store) {
    return store->base != NULL ? store->head.file_bytes - store->head.first : 0;
}
