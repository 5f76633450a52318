// SPDX-License-Identifier: Apache-2.0
#include "convert/inspection.h"

#include "base/mem.h"
#include "base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ew_status ew__inspection_text(struct ew_inspection *inspection, const char *bytes, size_t n,
                              char **out) {
    *out = ew__arena_alloc(&inspection->arena, n + 1); // zeroed: the terminator is there
    if (*out == NULL)
        return EW_NO_MEMORY;
    memcpy(*out, bytes, n);
    return EW_OK;
}

ew_status ew__inspection_problem(struct ew_inspection *inspection, const char *format, ...) {
    char text[EW__MESSAGE_MAX];
    va_list arguments;
    if (inspection->n_problems == EW__PROBLEMS_MAX) {
        inspection->n_untold++;
        return EW_OK;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    EW__TRY(ew__inspection_text(inspection, text, strlen(text),
                                &inspection->problems[inspection->n_problems]));
    inspection->n_problems++;
    return EW_OK;
}

size_t ew__inspected_count(const struct ew__inspected *file) {
    return file->gguf != NULL ? ew__gguf_tensor_count(file->gguf)
                              : ew__safetensors_tensor_count(file->tensors);
}

const struct ew__tensor *ew__inspected_tensor(const struct ew__inspected *file, size_t index,
                                              const char **dtype_name) {
    static _Thread_local char own_word[32];
    struct ew__str word = ew__str("");
    const struct ew__tensor *tensor = file->gguf != NULL
                                          ? ew__gguf_tensor_at(file->gguf, index)
                                          : ew__safetensors_tensor_at(file->tensors, index, &word);
    if (dtype_name == NULL)
        return tensor;
    *dtype_name = ew__dtype_name(tensor->type);
    if (tensor->type == UINT32_MAX && word.n != 0) {
        snprintf(own_word, sizeof own_word, "%s", ew__quote(word.bytes, word.n));
        *dtype_name = own_word;
    }
    return tensor;
}

/* A quantised matrix is listed once, with its true shape, "affine4/64" as its type (4 bits, groups
 * of 64), and the bytes of all its parts. False: not listed. */
static bool describe_affine(const struct ew__inspected *file, const struct ew__tensor **tensor,
                            const char **type, uint64_t *bytes) {
    static _Thread_local char name[32];
    enum ew__affine_part part;
    const struct ew__affine *a =
        file->folder != NULL ? ew__affine_find(&file->folder->affine, (*tensor)->name, &part)
                             : NULL;
    if (a == NULL)
        return true;
    snprintf(name, sizeof name, "affine%u/%u", a->bits, a->group);
    *tensor = &a->tensor;
    *type = name;
    *bytes = a->weight->bytes + a->scales->bytes + a->biases->bytes;
    return part == EW__AFFINE_WEIGHT;
}

static ew_status list_tensors(struct ew_inspection *inspection, const struct ew__inspected *file) {
    size_t n = ew__inspected_count(file);
    inspection->tensors = ew__arena_alloc(&inspection->arena, n * sizeof *inspection->tensors + 1);
    if (inspection->tensors == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const char *type_name;
        const struct ew__tensor *tensor = ew__inspected_tensor(file, i, &type_name);
        uint64_t bytes = tensor->bytes;
        ew_tensor_info *info = &inspection->tensors[inspection->n_tensors];
        char *name, *type;
        if (!describe_affine(file, &tensor, &type_name, &bytes))
            continue;
        EW__TRY(ew__inspection_text(inspection, tensor->name.bytes, tensor->name.n, &name));
        EW__TRY(ew__inspection_text(inspection, type_name, strlen(type_name), &type));
        *info =
            (ew_tensor_info){.name = name, .type = type, .n_dims = tensor->n_dims, .bytes = bytes};
        memcpy(info->dims, tensor->dims, sizeof info->dims);
        inspection->n_tensors++;
    }
    return EW_OK;
}

static ew_status describe(struct ew_inspection *inspection, const char *container, uint32_t parts) {
    char text[80];
    int n = snprintf(text, sizeof text, "%s", container);
    if (parts > 1)
        snprintf(text + n, sizeof text - (size_t)n, " in %u files", parts);
    return ew__inspection_text(inspection, text, strlen(text), &inspection->container);
}

static ew_status look(struct ew_inspection *inspection, const struct ew__inspected *file,
                      bool check_values) {
    EW__TRY(list_tensors(inspection, file));
    EW__TRY(ew__inspect_problems(inspection, file, check_values));
    if (inspection->n_untold == 0)
        return EW_OK;
    char text[64];
    snprintf(text, sizeof text, "%zu further problems of these kinds", inspection->n_untold);
    return ew__inspection_text(inspection, text, strlen(text),
                               &inspection->problems[inspection->n_problems++]);
}

static ew_status inspect_folder(const char *path, bool check_values, struct ew_inspection *out) {
    struct ew__hf_folder folder;
    EW__TRY(ew__hf_folder_open(path, &folder));
    const struct ew__inspected file = {.path = path, .tensors = folder.tensors, .folder = &folder};
    out->file_bytes = ew__safetensors_file_bytes(folder.tensors);
    (void)ew__hf_folder_read_affine(&folder); // a failure is one of the problems
    bool is_mlx = folder.affine.count != 0 ||
                  ew__str_is(ew__safetensors_metadata(folder.tensors, "format"), "mlx");
    const char *kind = is_mlx ? "MLX folder" : "Hugging Face folder";
    ew_status status = describe(out, kind, ew__safetensors_part_count(folder.tensors));
    if (status == EW_OK)
        status = ew__inspect_json_metadata(out, "", folder.config, 0);
    if (status == EW_OK)
        status = look(out, &file, check_values);
    ew__hf_folder_close(&folder);
    return status;
}

static ew_status inspect_gguf(const char *path, bool check_values, struct ew_inspection *out) {
    struct ew__gguf *gguf;
    EW__TRY(ew__gguf_open(path, &gguf));
    const struct ew__inspected file = {.path = path, .gguf = gguf};
    out->file_bytes = ew__gguf_file_bytes(gguf);
    char container[32];
    snprintf(container, sizeof container, "GGUF v%u", ew__gguf_version(gguf));
    ew_status status = describe(out, container, ew__gguf_part_count(gguf));
    if (status == EW_OK)
        status = ew__inspect_gguf_metadata(out, gguf);
    if (status == EW_OK)
        status = look(out, &file, check_values);
    ew__gguf_close(gguf);
    return status;
}

static ew_status inspect_safetensors(const char *path, bool check_values,
                                     struct ew_inspection *out) {
    struct ew__safetensors *tensors;
    EW__TRY(ew__safetensors_open(path, &tensors));
    const struct ew__inspected file = {.path = path, .tensors = tensors};
    out->file_bytes = ew__safetensors_file_bytes(tensors);
    ew_status status = describe(out, "safetensors", 1);
    if (status == EW_OK)
        status = look(out, &file, check_values);
    ew__safetensors_close(tensors);
    return status;
}

static ew_status inspect(const char *path, bool check_values, struct ew_inspection *out) {
    if (ew__path_is_dir(path))
        return inspect_folder(path, check_values, out);
    if (ew__str_ends(ew__str(path), ".safetensors"))
        return inspect_safetensors(path, check_values, out);
    return inspect_gguf(path, check_values, out);
}

ew_status ew_inspect(const char *path, bool check_values, ew_inspection **out) {
    if (path == NULL || out == NULL)
        return ew__fail(EW_ARGUMENT, "an inspection needs a path");
    *out = ew__calloc(1, sizeof **out);
    if (*out == NULL)
        return EW_NO_MEMORY;
    ew_status status = inspect(path, check_values, *out);
    if (status == EW_OK)
        return EW_OK;
    ew_inspection_free(*out);
    *out = NULL;
    return strstr(ew_last_error(), path) == NULL ? ew__fail_in(status, "%s", path) : status;
}

void ew_inspection_free(ew_inspection *inspection) {
    if (inspection == NULL)
        return;
    ew__free(inspection->metadata);
    ew__arena_release(&inspection->arena);
    ew__free(inspection);
}

const char *ew_inspection_container(const ew_inspection *inspection) {
    return inspection->container;
}

uint64_t ew_inspection_file_bytes(const ew_inspection *inspection) {
    return inspection->file_bytes;
}

size_t ew_inspection_metadata_count(const ew_inspection *inspection) {
    return inspection->n_metadata;
}

ew_metadata ew_inspection_metadata(const ew_inspection *inspection, size_t index) {
    return index < inspection->n_metadata ? inspection->metadata[index] : (ew_metadata){"", "", ""};
}

size_t ew_inspection_tensor_count(const ew_inspection *inspection) {
    return inspection->n_tensors;
}

ew_tensor_info ew_inspection_tensor(const ew_inspection *inspection, size_t index) {
    return index < inspection->n_tensors ? inspection->tensors[index]
                                         : (ew_tensor_info){.name = "", .type = ""};
}

size_t ew_inspection_problem_count(const ew_inspection *inspection) {
    return inspection->n_problems;
}

const char *ew_inspection_problem(const ew_inspection *inspection, size_t index) {
    return index < inspection->n_problems ? inspection->problems[index] : "";
}
