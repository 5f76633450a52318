// SPDX-License-Identifier: Apache-2.0
#include "formats/hf_folder.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/utf8.h"

#include <string.h>

/* folder/name, freed with ew__free; NULL without memory. */
static char *join(const struct ew__hf_folder *folder, const char *name) {
    struct ew__buf path;
    ew__buf_init(&path, SIZE_MAX);
    (void)ew__buf_add_format(&path, "%s/%s", folder->path, name);
    return ew__buf_take(&path, NULL);
}

static ew_status load_object(const char *path, json_t **out) {
    EW__TRY(ew__json_load(path, EW__JSON_CONFIG_BYTES_MAX, out));
    if (json_is_object(*out))
        return EW_OK;
    return ew__fail(EW_FORMAT, "%s: must be a JSON object", path);
}

/* *out stays NULL when an optional document is absent. */
static ew_status load_document(const struct ew__hf_folder *folder, const char *name, bool required,
                               json_t **out) {
    char *path = join(folder, name);
    if (path == NULL)
        return EW_NO_MEMORY;
    bool there = ew__path_exists(path);
    ew_status status = EW_OK;
    if (there)
        status = load_object(path, out);
    else if (required)
        status =
            ew__fail(EW_NOT_FOUND, "%s: no checkpoint folder, there is no %s", folder->path, name);
    ew__free(path);
    return status;
}

/* --- the chat template --- */

static ew_status keep_template(struct ew__str text, const char *source, char **out) {
    if (!ew__utf8_valid(text) || memchr(text.bytes, 0, text.n) != NULL)
        return ew__fail(EW_FORMAT, "%s: the chat template must be UTF-8 without NUL", source);
    *out = ew__strndup(text.bytes, text.n);
    return *out != NULL ? EW_OK : EW_NO_MEMORY;
}

static ew_status load_template_file(const char *path, char **out) {
    struct ew__buf text;
    EW__TRY(ew__file_read(path, EW__JSON_CONFIG_BYTES_MAX, &text));
    ew_status status = keep_template(ew__buf_str(&text), path, out);
    ew__buf_release(&text);
    return status;
}

/* Of a list of {"name", "template"} the one named "default"; *found stays empty without it. */
static ew_status find_default(const json_t *list, struct ew__str *found) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        struct ew__str name = {"", 0}, text = {NULL, 0};
        if (!json_is_object(item))
            return ew__fail(EW_FORMAT, "a chat_template of the list must be an object");
        EW__TRY(ew__json_str(item, "name", &name));
        EW__TRY(ew__json_str(item, "template", &text));
        if (text.bytes == NULL)
            return ew__fail(EW_FORMAT, "a chat_template of the list has no \"template\"");
        if (ew__str_is(name, "default"))
            *found = text;
    }
    return EW_OK;
}

static ew_status template_of_config(const json_t *config, char **out) {
    const json_t *value = json_object_get(config, "chat_template"); // NULL for a NULL config
    struct ew__str text = {NULL, 0};
    if (value == NULL || json_is_null(value))
        return EW_OK;
    if (json_is_string(value))
        text = ew__str_of(json_string_value(value), json_string_length(value));
    else if (json_is_array(value))
        EW__TRY(find_default(value, &text));
    else
        return ew__fail(EW_FORMAT, "\"chat_template\" must be a string or a list");
    return text.bytes != NULL ? keep_template(text, "\"chat_template\"", out) : EW_OK;
}

static ew_status load_template(struct ew__hf_folder *folder) {
    char *path = join(folder, "chat_template.jinja");
    if (path == NULL)
        return EW_NO_MEMORY;
    ew_status status =
        ew__path_exists(path)
            ? load_template_file(path, &folder->chat_template)
            : ew__fail_in(template_of_config(folder->tokenizer_config, &folder->chat_template),
                          "%s/tokenizer_config.json", folder->path);
    ew__free(path);
    return status;
}

/* --- the folder --- */

static ew_status open_parts(struct ew__hf_folder *folder) {
    EW__TRY(load_document(folder, "config.json", true, &folder->config));
    EW__TRY(load_document(folder, "generation_config.json", false, &folder->generation_config));
    EW__TRY(load_document(folder, "preprocessor_config.json", false, &folder->preprocessor_config));
    EW__TRY(load_document(folder, "tokenizer_config.json", false, &folder->tokenizer_config));
    EW__TRY(load_template(folder));
    return ew__safetensors_open_dir(folder->path, &folder->tensors);
}

ew_status ew__hf_folder_open(const char *path, struct ew__hf_folder *out) {
    *out = (struct ew__hf_folder){0};
    if (!ew__path_is_dir(path))
        return ew__fail(EW_IO, "\"%s\" is no folder", path);
    out->path = ew__strndup(path, strlen(path));
    ew_status status = out->path != NULL ? open_parts(out) : EW_NO_MEMORY;
    if (status != EW_OK)
        ew__hf_folder_close(out);
    return status;
}

ew_status ew__hf_folder_read_affine(struct ew__hf_folder *folder) {
    ew__affine_set_release(&folder->affine);
    return ew__affine_set_read(folder->config, folder->tensors, &folder->affine);
}

const struct ew__tensor *ew__hf_folder_tensor(const struct ew__hf_folder *folder,
                                              struct ew__str name) {
    enum ew__affine_part part;
    const struct ew__affine *affine = ew__affine_find(&folder->affine, name, &part);
    return affine != NULL && part == EW__AFFINE_WEIGHT
               ? &affine->tensor
               : ew__safetensors_tensor(folder->tensors, name);
}

void ew__hf_folder_close(struct ew__hf_folder *folder) {
    ew__affine_set_release(&folder->affine);
    ew__safetensors_close(folder->tensors);
    json_decref(folder->config);
    json_decref(folder->generation_config);
    json_decref(folder->preprocessor_config);
    json_decref(folder->tokenizer_config);
    ew__free(folder->chat_template);
    ew__free(folder->path);
    *folder = (struct ew__hf_folder){0};
}
