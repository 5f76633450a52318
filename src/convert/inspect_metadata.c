// SPDX-License-Identifier: Apache-2.0
/* Metadata values as text that a terminal can show. */
#include "convert/inspection.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/cursor.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SHOWN = 160, ELEMENTS_SHOWN = 6, VALUE_MAX = 4096 };

static ew_status add(struct ew_inspection *inspection, struct ew__str key, const char *type,
                     const struct ew__buf *value) {
    char *copies[3];
    if (inspection->n_metadata == inspection->metadata_capacity) {
        size_t capacity = 2 * inspection->metadata_capacity + 64;
        ew_metadata *grown = ew__realloc(inspection->metadata, capacity * sizeof *grown);
        if (grown == NULL)
            return EW_NO_MEMORY;
        inspection->metadata = grown;
        inspection->metadata_capacity = capacity;
    }
    EW__TRY(ew__buf_status(value));
    EW__TRY(ew__inspection_text(inspection, key.bytes, key.n, &copies[0]));
    EW__TRY(ew__inspection_text(inspection, type, strlen(type), &copies[1]));
    EW__TRY(ew__inspection_text(inspection, ew__buf_str(value).bytes, value->n, &copies[2]));
    inspection->metadata[inspection->n_metadata++] = (ew_metadata){copies[0], copies[1], copies[2]};
    return EW_OK;
}

/* Well-formed UTF-8 as it is; control characters and ill-formed bytes escaped. */
static void add_printable(struct ew__buf *out, struct ew__str text) {
    size_t shown = text.n < TEXT_SHOWN ? text.n : TEXT_SHOWN, i = 0;
    while (i < shown) {
        uint32_t code;
        bool valid;
        size_t n = ew__utf8_decode(text.bytes + i, text.n - i, &code, &valid);
        if (code == '\n')
            (void)ew__buf_add_text(out, "\\n");
        else if (!valid || code < 0x20 || (code >= 0x7f && code < 0xa0))
            for (size_t j = 0; j < n; j++)
                (void)ew__buf_add_format(out, "\\x%02x", (unsigned char)text.bytes[i + j]);
        else
            (void)ew__buf_add(out, text.bytes + i, n);
        i += n;
    }
    if (i < text.n)
        (void)ew__buf_add_format(out, "... (%zu bytes)", text.n);
}

static const char *type_name(ew__gguf_type type) {
    static const char *const names[EW__GGUF_TYPE_COUNT] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                           "i32", "f32", "bool", "string", "array",
                                                           "u64", "i64", "f64"};
    return type < EW__GGUF_TYPE_COUNT ? names[type] : "?";
}

static void add_number(struct ew__buf *out, const struct ew__gguf_kv *kv, uint64_t index) {
    int64_t integer;
    double number;
    if (kv->element == EW__GGUF_BOOL && ew__gguf_element_i64(kv, index, &integer))
        (void)ew__buf_add_text(out, integer != 0 ? "true" : "false");
    else if (kv->element == EW__GGUF_U64)
        (void)ew__buf_add_format(out, "%" PRIu64, ew__load_u64(kv->raw.bytes + 8 * index));
    else if (ew__gguf_element_i64(kv, index, &integer))
        (void)ew__buf_add_format(out, "%" PRId64, integer);
    else if (ew__gguf_element_f64(kv, index, &number))
        (void)ew__buf_add_format(out, kv->element == EW__GGUF_F32 ? "%.7g" : "%.15g", number);
    else
        (void)ew__buf_add_text(out, "?");
}

static void add_value(struct ew__buf *out, const struct ew__gguf_kv *kv) {
    bool is_array = kv->type == EW__GGUF_ARRAY;
    uint64_t shown = kv->count < ELEMENTS_SHOWN ? kv->count : ELEMENTS_SHOWN;
    struct ew__str text;
    size_t at = 0;
    (void)ew__buf_add_text(out, is_array ? "[" : "");
    for (uint64_t i = 0; i < shown; i++) {
        (void)ew__buf_add_text(out, i != 0 ? ", " : "");
        if (kv->element != EW__GGUF_STRING)
            add_number(out, kv, i);
        else if (ew__gguf_next_string(kv, &at, &text))
            add_printable(out, text);
    }
    if (shown < kv->count)
        (void)ew__buf_add_format(out, ", ... (%" PRIu64 ")", kv->count);
    (void)ew__buf_add_text(out, is_array ? "]" : "");
}

ew_status ew__inspect_gguf_metadata(struct ew_inspection *inspection, const struct ew__gguf *gguf) {
    for (size_t i = 0; i < ew__gguf_kv_count(gguf); i++) {
        const struct ew__gguf_kv *kv = ew__gguf_kv_at(gguf, i);
        char type[32];
        struct ew__buf value;
        snprintf(type, sizeof type, "%s%s", kv->type == EW__GGUF_ARRAY ? "array of " : "",
                 type_name(kv->element));
        ew__buf_init(&value, VALUE_MAX);
        add_value(&value, kv);
        ew_status status = add(inspection, kv->key, type, &value);
        ew__buf_release(&value);
        EW__TRY(status);
    }
    return EW_OK;
}

/* ---- config.json ---- */

static const char *json_kind(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_ARRAY:
        return "array";
    case JSON_OBJECT:
        return "object";
    case JSON_NULL:
        return "null";
    }
    return "?";
}

static void add_json(struct ew__buf *out, const json_t *value) {
    if (json_is_string(value))
        add_printable(out, ew__str_of(json_string_value(value), json_string_length(value)));
    else if (json_is_integer(value))
        (void)ew__buf_add_format(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        (void)ew__buf_add_format(out, "%.15g", json_real_value(value));
    else if (json_is_array(value) || json_is_object(value))
        (void)ew__buf_add_text(out, json_is_array(value) ? "[...]" : "{...}");
    else
        (void)ew__buf_add_text(out, json_is_null(value)   ? "null"
                                    : json_is_true(value) ? "true"
                                                          : "false");
}

static void add_json_list(struct ew__buf *out, const json_t *list) {
    size_t n = json_array_size(list), shown = n < ELEMENTS_SHOWN ? n : ELEMENTS_SHOWN;
    (void)ew__buf_add_text(out, "[");
    for (size_t i = 0; i < shown; i++) {
        (void)ew__buf_add_text(out, i != 0 ? ", " : "");
        add_json(out, json_array_get(list, i));
    }
    if (shown < n)
        (void)ew__buf_add_format(out, ", ... (%zu)", n);
    (void)ew__buf_add_text(out, "]");
}

static ew_status add_member(struct ew_inspection *inspection, struct ew__str key,
                            const json_t *value) {
    struct ew__buf text;
    ew__buf_init(&text, VALUE_MAX);
    if (json_is_array(value))
        add_json_list(&text, value);
    else
        add_json(&text, value);
    ew_status status = add(inspection, key, json_kind(value), &text);
    ew__buf_release(&text);
    return status;
}

ew_status ew__inspect_json_metadata(struct ew_inspection *inspection, const char *prefix,
                                    const json_t *object, unsigned depth) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        struct ew__buf path;
        ew__buf_init(&path, EW__GGUF_KEY_BYTES_MAX);
        ew_status status = ew__buf_add_format(&path, "%s%s", prefix, key);
        bool deeper = json_is_object(value) && depth < 8;
        if (status == EW_OK && deeper)
            status = ew__buf_add_text(&path, ".");
        if (status == EW_OK && deeper)
            status = ew__inspect_json_metadata(inspection, path.bytes, value, depth + 1);
        else if (status == EW_OK)
            status = add_member(inspection, ew__buf_str(&path), value);
        ew__buf_release(&path);
        EW__TRY(status);
    }
    return EW_OK;
}
