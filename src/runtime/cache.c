// SPDX-License-Identifier: Apache-2.0
/* What the cache folder holds. */
#include "edgewise/edgewise.h"

#include "base/buf.h"
#include "base/cache_dir.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "model/pack_head.h"

#include <stdio.h>
#include <string.h>

static ew_status count_file(void *context, const struct ew__cache_file *file) {
    ew_cache_info *info = context;
    info->n_files++;
    info->bytes += file->bytes;
    return EW_OK;
}

ew_status ew_cache_get_info(ew_cache_info *out) {
    static _Thread_local char folder[EW__PATH_BYTES_MAX + 1];
    char *dir;
    if (out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT, "ew_cache_get_info needs a struct with its size set");
    ew_cache_info info = {.size = out->size, .folder = folder};
    ew_status status = ew__cache_dir_path(&dir);
    snprintf(folder, sizeof folder, "%s", status == EW_OK ? dir : "");
    if (status == EW_OK) {
        status = ew__cache_dir_visit(dir, count_file, &info);
        info.budget_bytes = ew__cache_dir_budget(dir, info.bytes);
    }
    ew__free(dir);
    memcpy(out, &info, ew__min_size(out->size, sizeof info));
    return status == EW_NOT_FOUND ? EW_OK : status;
}

struct listing {
    const char *dir;
    ew_cache_file_fn *each;
    void *context;
};

/* The name that a file's head gives, cut to its place; "" for a file that cannot be read. */
static void read_model_name(const char *path, char name[EW__PACK_NAME_MAX + 1]) {
    struct ew__file_map map;
    struct ew__pack_head head;
    name[0] = '\0';
    if (ew__file_map_open(path, &map) != EW_OK)
        return;
    if (ew__pack_head_read(map.data, map.size, &head) == EW_OK) {
        memcpy(name, head.name.bytes, head.name.n);
        name[head.name.n] = '\0';
        ew__free(head.matrices);
    }
    ew__file_map_close(&map);
}

static ew_status list_file(void *context, const struct ew__cache_file *file) {
    const struct listing *listing = context;
    char model[EW__PACK_NAME_MAX + 1];
    struct ew__buf path;
    ew__buf_init(&path, EW__PATH_BYTES_MAX);
    EW__TRY(ew__buf_add_format(&path, "%s/%s", listing->dir, file->name));
    read_model_name(path.bytes, model);
    ew__buf_release(&path);
    const ew_cache_file told = {.name = file->name,
                                .model = model,
                                .bytes = file->bytes,
                                .used_seconds = (int64_t)(file->used_ns / 1000000000u)};
    listing->each(listing->context, &told);
    return EW_OK;
}

ew_status ew_cache_list(ew_cache_file_fn *each, void *context) {
    char *dir;
    if (each == NULL)
        return ew__fail(EW_ARGUMENT, "ew_cache_list needs a function to call");
    ew_status status = ew__cache_dir_path(&dir);
    struct listing listing = {dir, each, context};
    if (status == EW_OK)
        status = ew__cache_dir_visit(dir, list_file, &listing);
    ew__free(dir);
    return status == EW_NOT_FOUND ? EW_OK : status;
}
