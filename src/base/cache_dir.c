// SPDX-License-Identifier: Apache-2.0
#include "base/cache_dir.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What stays free on the disk beside a new file, so that others can go on. */
static const uint64_t disk_reserve = (uint64_t)64 << 20;
static const uint64_t default_budget = (uint64_t)20000 * 1000 * 1000;
static const uint64_t day_ns = (uint64_t)86400 * 1000 * 1000 * 1000;

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static ew_status join(const char *a, const char *b, char **out) {
    struct ew__buf text;
    ew__buf_init(&text, EW__PATH_BYTES_MAX);
    ew_status status = ew__buf_add_format(&text, "%s%s", a, b);
    *out = ew__buf_take(&text, NULL);
    return status;
}

ew_status ew__cache_dir_path(char **out) {
    const char *own = variable("EDGEWISE_CACHE_DIR"), *xdg = variable("XDG_CACHE_HOME"),
               *home = variable("HOME");
    *out = NULL;
    if (own != NULL)
        return join(own, "", out);
#if defined(__APPLE__)
    xdg = NULL;
    static const char below_home[] = "/Library/Caches/edgewise";
#else
    static const char below_home[] = "/.cache/edgewise";
#endif
    if (xdg != NULL && xdg[0] == '/')
        return join(xdg, "/edgewise", out);
    if (home != NULL)
        return join(home, below_home, out);
    return ew__fail(EW_NOT_FOUND, "none of EDGEWISE_CACHE_DIR, XDG_CACHE_HOME and HOME is set");
}

struct visit {
    const char *dir;
    ew__cache_visit_fn *visit;
    void *context;
    bool temporary; /* visits the files under a temporary name instead */
};

static ew_status visit_name(void *context, const char *name) {
    const struct visit *v = context;
    struct ew__cache_file file = {.name = name};
    const char *suffix = strstr(name, EW__CACHE_SUFFIX);
    char *path;
    if (suffix == NULL || v->temporary != (suffix[strlen(EW__CACHE_SUFFIX)] != '\0'))
        return EW_OK;
    struct ew__buf text;
    ew__buf_init(&text, EW__PATH_BYTES_MAX);
    EW__TRY(ew__buf_add_format(&text, "%s/%s", v->dir, name));
    path = ew__buf_take(&text, NULL);
    bool is_file = path != NULL && ew__file_facts(path, &file.bytes, &file.used_ns);
    ew__free(path);
    return is_file ? v->visit(v->context, &file) : EW_OK;
}

static ew_status visit_files(const char *dir, bool temporary, ew__cache_visit_fn *visit,
                             void *context) {
    struct visit v = {dir, visit, context, temporary};
    return ew__path_is_dir(dir) ? ew__list_dir(dir, visit_name, &v) : EW_OK;
}

ew_status ew__cache_dir_visit(const char *dir, ew__cache_visit_fn *visit, void *context) {
    return visit_files(dir, false, visit, context);
}

/* "20G" -> bytes; false for anything else than a number with one of the letters or none. */
static bool read_size(const char *text, uint64_t *out) {
    static const char units[] = "KMGT";
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    uint64_t number = strtoull(text, &end, 10), unit = 1;
    const char *letter = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
    if (letter != NULL) {
        unit <<= 10 * (letter - units + 1);
        end++;
    }
    return *end == '\0' && ew__mul_u64(number, unit, out);
}

uint64_t ew__cache_dir_budget(const char *dir, uint64_t used) {
    const char *text = variable("EDGEWISE_CACHE_MAX");
    uint64_t bytes, room;
    if (text != NULL && read_size(text, &bytes))
        return bytes;
    room = ew__disk_free(dir) / 4 + used / 4;
    return room < default_budget ? room : default_budget;
}

static ew_status add_bytes(void *context, const struct ew__cache_file *file) {
    *(uint64_t *)context += file->bytes;
    return EW_OK;
}

struct oldest {
    char name[EW__CACHE_NAME_MAX + 1]; /* empty: no file */
    uint64_t bytes, used_ns;
};

static ew_status keep_oldest(void *context, const struct ew__cache_file *file) {
    struct oldest *oldest = context;
    size_t n = strlen(file->name);
    if (n > EW__CACHE_NAME_MAX || (oldest->name[0] != '\0' && oldest->used_ns <= file->used_ns))
        return EW_OK;
    memcpy(oldest->name, file->name, n + 1);
    oldest->bytes = file->bytes;
    oldest->used_ns = file->used_ns;
    return EW_OK;
}

static ew_status remove_name(const char *dir, const char *name) {
    struct ew__buf path;
    ew__buf_init(&path, EW__PATH_BYTES_MAX);
    ew_status status = ew__buf_add_format(&path, "%s/%s", dir, name);
    if (status == EW_OK && !ew__file_remove(path.bytes) && ew__path_exists(path.bytes))
        status = ew__fail(EW_IO, "cannot remove \"%s\"", path.bytes);
    ew__buf_release(&path);
    return status;
}

static ew_status remove_stale(void *context, const struct ew__cache_file *file) {
    if (ew__time_ns() > file->used_ns && ew__time_ns() - file->used_ns > day_ns)
        (void)remove_name(context, file->name);
    return EW_OK;
}

static bool fits(const char *dir, uint64_t used, uint64_t budget, uint64_t need) {
    uint64_t sum;
    return ew__add_u64(used, need, &sum) && sum <= budget &&
           ew__disk_free(dir) >= need + disk_reserve;
}

ew_status ew__cache_dir_make_room(const char *dir, uint64_t need) {
    uint64_t used = 0;
    char *own = ew__strndup(dir, strlen(dir));
    if (own == NULL)
        return EW_NO_MEMORY;
    (void)visit_files(dir, true, remove_stale, own);
    ew__free(own);
    EW__TRY(visit_files(dir, false, add_bytes, &used));
    uint64_t budget = ew__cache_dir_budget(dir, used);
    if (need > budget || used + ew__disk_free(dir) < need + disk_reserve)
        return ew__fail(EW_LIMIT,
                        "%" PRIu64 " MB are needed, the cache may take %" PRIu64 " MB and %" PRIu64
                        " MB of the disk are free",
                        need >> 20, budget >> 20, ew__disk_free(dir) >> 20);
    while (!fits(dir, used, budget, need)) {
        struct oldest oldest = {.name = ""};
        EW__TRY(visit_files(dir, false, keep_oldest, &oldest));
        if (oldest.name[0] == '\0')
            return ew__fail(EW_LIMIT, "the disk is full");
        EW__TRY(remove_name(dir, oldest.name));
        used -= oldest.bytes < used ? oldest.bytes : used;
    }
    return EW_OK;
}
