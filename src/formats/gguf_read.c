// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_read.h"
#include "base/limits.h"
#include "base/mem.h"
#include "formats/gguf_part.h"

#include <inttypes.h>
#include <string.h>

struct ew__gguf {
    struct ew__gguf_part *parts;
    uint32_t part_count;
    size_t tensor_count;
    const struct ew__tensor **tensors; /* of all parts, in file order */
    struct ew__map names;              /* tensor name -> index in tensors */
};

/* --- file names of split models: STEM-00001-of-00003.gguf --- */

enum { split_tail = 20 /* "-00001-of-00003.gguf" */ };

static bool five_digits(const char *text, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (uint32_t)(text[i] - '0');
    }
    return true;
}

/* True when the name has the form of a part; its number (from 1) and the count it claims. */
static bool split_name(const char *path, uint32_t *number, uint32_t *count) {
    size_t n = strlen(path);
    if (n < split_tail)
        return false;
    const char *tail = path + n - split_tail;
    return tail[0] == '-' && five_digits(tail + 1, number) && memcmp(tail + 6, "-of-", 4) == 0 &&
           five_digits(tail + 10, count) && strcmp(tail + 15, ".gguf") == 0;
}

/* Writes the five digits of a part's number: at most 1024. */
static void put_number(char *text, uint32_t number) {
    for (int i = 4; i >= 0; i--, number /= 10)
        text[i] = (char)('0' + number % 10);
}

static ew_status parse_path(struct ew__gguf_part *part, const char *path) {
    EW__TRY(ew__file_map_open(path, &part->map));
    part->bytes = part->map.data != NULL ? part->map.data : (const uint8_t *)"";
    part->size = part->map.size;
    return ew__fail_in(ew__gguf_part_parse(part), "%s", path);
}

/* --- what the keys of the parts must say --- */

/* Reads a split.* key of any integer type; `absent` without it. */
static ew_status split_key(const struct ew__gguf_part *part, const char *key, uint64_t absent,
                           uint64_t *out) {
    const struct ew__gguf_kv *kv = ew__gguf_part_find(part, key);
    *out = absent;
    return kv == NULL ? EW_OK : ew__gguf_kv_u64(kv, 0, UINT32_MAX, out);
}

/* A file that is not opened as a part must not be one. */
static ew_status check_whole(const struct ew__gguf_part *part) {
    uint64_t count;
    EW__TRY(split_key(part, "split.count", 0, &count));
    if (count > 1)
        return ew__fail(EW_FORMAT,
                        "one of the %" PRIu64
                        " parts of a split model; open the first, whose name must end in "
                        "-00001-of-%05" PRIu64 ".gguf",
                        count, count);
    return EW_OK;
}

/* An architecture may be absent from the later parts, but none may name another. */
static ew_status check_architecture(const struct ew__gguf_part *first,
                                    const struct ew__gguf_part *part) {
    const struct ew__gguf_kv *a = ew__gguf_part_find(first, "general.architecture");
    const struct ew__gguf_kv *b = ew__gguf_part_find(part, "general.architecture");
    if (b == NULL || (a != NULL && a->type == b->type && ew__str_equal(a->raw, b->raw)))
        return EW_OK;
    return ew__fail(EW_FORMAT, "its general.architecture differs from the first part's");
}

static ew_status check_part(const struct ew__gguf *gguf, uint32_t index) {
    const struct ew__gguf_part *part = &gguf->parts[index];
    uint64_t number, count, total, first_total;
    EW__TRY(split_key(part, "split.count", gguf->part_count == 1 ? 1 : 0, &count));
    EW__TRY(split_key(part, "split.no", gguf->part_count == 1 ? 0 : UINT64_MAX, &number));
    EW__TRY(split_key(&gguf->parts[0], "split.tensors.count", 0, &first_total));
    EW__TRY(split_key(part, "split.tensors.count", first_total, &total));
    if (count != gguf->part_count)
        return ew__fail(EW_FORMAT,
                        "its name says %" PRIu32 " parts, its key \"split.count\" %" PRIu64,
                        gguf->part_count, count);
    if (number == UINT64_MAX)
        return ew__fail(EW_FORMAT, "the key \"split.no\" is missing");
    if (number != index)
        return ew__fail(EW_FORMAT,
                        "its name says part %" PRIu32 ", its key \"split.no\" %" PRIu64
                        " (which counts from 0)",
                        index + 1, number);
    if (total != first_total)
        return ew__fail(EW_FORMAT,
                        "its key \"split.tensors.count\" is %" PRIu64 ", the first part's %" PRIu64,
                        total, first_total);
    return check_architecture(&gguf->parts[0], part);
}

static ew_status check_total(const struct ew__gguf *gguf) {
    uint64_t total;
    EW__TRY(split_key(&gguf->parts[0], "split.tensors.count", gguf->tensor_count, &total));
    if (gguf->part_count > 1 && total != gguf->tensor_count)
        return ew__fail(EW_FORMAT,
                        "the parts hold %zu tensors, the key \"split.tensors.count\" is %" PRIu64,
                        gguf->tensor_count, total);
    return EW_OK;
}

/* --- opening --- */

static ew_status index_tensors(struct ew__gguf *gguf) {
    size_t total = 0, at = 0;
    bool existed;
    for (uint32_t i = 0; i < gguf->part_count; i++)
        total += gguf->parts[i].tensor_count; // at most 1024 parts of 65536
    if (total > EW__TENSOR_COUNT_MAX)
        return ew__fail(EW_LIMIT, "%zu tensors, at most %u are allowed", total,
                        EW__TENSOR_COUNT_MAX);
    gguf->tensors = ew__calloc(total, sizeof *gguf->tensors);
    if (gguf->tensors == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__map_init(&gguf->names, total));
    for (uint32_t i = 0; i < gguf->part_count; i++) {
        const struct ew__gguf_part *part = &gguf->parts[i];
        for (size_t t = 0; t < part->tensor_count; t++, at++) {
            struct ew__str name = part->tensors[t].name;
            EW__TRY(ew__map_add(&gguf->names, name, (uint32_t)at, &existed));
            if (existed)
                return ew__fail(EW_FORMAT, "the tensor \"%s\" stands twice",
                                ew__quote(name.bytes, name.n));
            gguf->tensors[at] = &part->tensors[t];
        }
    }
    gguf->tensor_count = total;
    return EW_OK;
}

static ew_status new_gguf(uint32_t part_count, struct ew__gguf **out) {
    *out = ew__calloc(1, sizeof **out);
    if (*out == NULL)
        return EW_NO_MEMORY;
    (*out)->parts = ew__calloc(part_count, sizeof *(*out)->parts);
    if ((*out)->parts == NULL)
        return EW_NO_MEMORY;
    (*out)->part_count = part_count;
    return EW_OK;
}

static ew_status open_parts(struct ew__gguf *gguf, const char *path) {
    size_t n = strlen(path);
    char *name = ew__strndup(path, n);
    ew_status status = name != NULL ? EW_OK : EW_NO_MEMORY;
    for (uint32_t i = 0; i < gguf->part_count && status == EW_OK; i++) {
        put_number(name + n - split_tail + 1, i + 1);
        status = parse_path(&gguf->parts[i], name);
        if (status == EW_OK)
            status = ew__fail_in(check_part(gguf, i), "%s", name);
        else if (status == EW_IO)
            (void)ew__fail_in(status, "part %" PRIu32 " of %" PRIu32, i + 1, gguf->part_count);
    }
    ew__free(name);
    if (status == EW_OK)
        status = ew__fail_in(index_tensors(gguf), "%s", path);
    return status == EW_OK ? ew__fail_in(check_total(gguf), "%s", path) : status;
}

static ew_status open_single(struct ew__gguf *gguf, const char *path) {
    EW__TRY(parse_path(&gguf->parts[0], path));
    EW__TRY(ew__fail_in(check_whole(&gguf->parts[0]), "%s", path));
    return ew__fail_in(index_tensors(gguf), "%s", path);
}

static ew_status finish(ew_status status, struct ew__gguf *gguf, struct ew__gguf **out) {
    if (status != EW_OK) {
        ew__gguf_close(gguf);
        gguf = NULL;
    }
    *out = gguf;
    return status;
}

ew_status ew__gguf_open(const char *path, struct ew__gguf **out) {
    struct ew__gguf *gguf = NULL;
    uint32_t number, count;
    bool split = split_name(path, &number, &count);
    *out = NULL;
    if (split && (count == 0 || count > EW__GGUF_SPLIT_COUNT_MAX || number == 0 || number > count))
        return ew__fail(EW_FORMAT, "%s: no possible name of a part (1 to %u parts)", path,
                        EW__GGUF_SPLIT_COUNT_MAX);
    if (split && number != 1)
        return ew__fail(EW_ARGUMENT, "%s: part %" PRIu32 " of a split model; open the first part",
                        path, number);
    ew_status status = new_gguf(split ? count : 1, &gguf);
    if (status == EW_OK)
        status = split ? open_parts(gguf, path) : open_single(gguf, path);
    return finish(status, gguf, out);
}

ew_status ew__gguf_open_bytes(const void *bytes, size_t n, struct ew__gguf **out) {
    struct ew__gguf *gguf = NULL;
    ew_status status = new_gguf(1, &gguf);
    if (status == EW_OK) {
        gguf->parts[0].bytes = bytes;
        gguf->parts[0].size = n;
        status = ew__gguf_part_parse(&gguf->parts[0]);
    }
    if (status == EW_OK)
        status = check_whole(&gguf->parts[0]);
    if (status == EW_OK)
        status = index_tensors(gguf);
    return finish(status, gguf, out);
}

void ew__gguf_close(struct ew__gguf *gguf) {
    if (gguf == NULL)
        return;
    for (uint32_t i = 0; i < gguf->part_count; i++)
        ew__gguf_part_release(&gguf->parts[i]);
    ew__free(gguf->parts);
    ew__free(gguf->tensors);
    ew__map_release(&gguf->names);
    ew__free(gguf);
}

/* --- reading --- */

uint32_t ew__gguf_version(const struct ew__gguf *gguf) {
    return gguf->parts[0].version;
}

uint64_t ew__gguf_file_bytes(const struct ew__gguf *gguf) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < gguf->part_count; i++)
        total += gguf->parts[i].size;
    return total;
}

uint64_t ew__gguf_modified(const struct ew__gguf *gguf) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < gguf->part_count; i++)
        sum += gguf->parts[i].map.modified_ns;
    return sum;
}

void ew__gguf_give_back(const struct ew__gguf *gguf) {
    for (uint32_t i = 0; i < gguf->part_count; i++)
        ew__file_map_hint(gguf->parts[i].map.data, gguf->parts[i].map.size, EW__PAGES_DONE);
}

uint32_t ew__gguf_part_count(const struct ew__gguf *gguf) {
    return gguf->part_count;
}

size_t ew__gguf_kv_count(const struct ew__gguf *gguf) {
    return gguf->parts[0].kv_count;
}

const struct ew__gguf_kv *ew__gguf_kv_at(const struct ew__gguf *gguf, size_t index) {
    return &gguf->parts[0].kvs[index];
}

const struct ew__gguf_kv *ew__gguf_find(const struct ew__gguf *gguf, const char *key) {
    return ew__gguf_part_find(&gguf->parts[0], key);
}

size_t ew__gguf_tensor_count(const struct ew__gguf *gguf) {
    return gguf->tensor_count;
}

const struct ew__tensor *ew__gguf_tensor_at(const struct ew__gguf *gguf, size_t index) {
    return gguf->tensors[index];
}

const struct ew__tensor *ew__gguf_tensor(const struct ew__gguf *gguf, struct ew__str name) {
    uint32_t index;
    return ew__map_get(&gguf->names, name, &index) ? gguf->tensors[index] : NULL;
}
