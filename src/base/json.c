// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

/* Nesting depth of the text, quotes and escapes respected; stops counting above the maximum. */
static bool depth_fits(const char *bytes, size_t n, int max) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > max)
            return false;
    }
    return true;
}

/* jansson's lexer does not look at every failed allocation: a parse during which one failed may end
 * well with text missing, or badly without a reason, or in an assertion. So the failure is noted
 * here, and one more attempt is made, which lets the parse reach its end; its result is then
 * refused. */
static _Thread_local bool ran_out;

static void *noting_alloc(size_t size) {
    void *pointer = ew__alloc(size);
    if (pointer == NULL) {
        ran_out = true;
        pointer = ew__alloc(size);
    }
    return pointer;
}

static void set_allocator(void) {
    json_set_alloc_funcs(noting_alloc, ew__free);
}

ew_status ew__json_parse(const char *bytes, size_t n, const char *what, json_t **root) {
    json_error_t error;
    *root = NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
    ran_out = false;
    if (!depth_fits(bytes, n, EW__JSON_DEPTH_MAX))
        return ew__fail(EW_FORMAT, "%s: JSON nested deeper than %d", what, EW__JSON_DEPTH_MAX);
    *root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (*root != NULL && !ran_out)
        return EW_OK;
    json_decref(*root);
    *root = NULL;
    if (ran_out)
        return ew__fail(EW_NO_MEMORY, "%s: out of memory while reading JSON", what);
    return ew__fail(EW_FORMAT, "%s: not valid JSON: %s (line %d, column %d)", what,
                    ew__quote(error.text, strlen(error.text)), error.line, error.column);
}

ew_status ew__json_load(const char *path, size_t max_bytes, json_t **root) {
    struct ew__buf text;
    *root = NULL;
    EW__TRY(ew__file_read(path, max_bytes, &text));
    ew_status status = ew__json_parse(text.bytes != NULL ? text.bytes : "", text.n, path, root);
    ew__buf_release(&text);
    return status;
}

static ew_status wrong_kind(const char *key, const char *wanted) {
    return ew__fail(EW_FORMAT, "\"%s\" must be %s", key, wanted);
}

ew_status ew__json_u64(const json_t *object, const char *key, uint64_t min, uint64_t max,
                       uint64_t *out) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return EW_OK;
    double number = json_is_integer(value) ? 0 : json_real_value(value);
    if (!json_is_number(value) || number < 0 || number != floor(number) || number > 9e15)
        return wrong_kind(key, "a whole number");
    json_int_t integer = json_is_integer(value) ? json_integer_value(value) : (json_int_t)number;
    if (integer < 0 || (uint64_t)integer < min || (uint64_t)integer > max)
        return ew__fail(EW_FORMAT,
                        "\"%s\" is %" JSON_INTEGER_FORMAT ", allowed are %" PRIu64 " to %" PRIu64,
                        key, integer, min, max);
    *out = (uint64_t)integer;
    return EW_OK;
}

ew_status ew__json_u32(const json_t *object, const char *key, uint32_t min, uint32_t max,
                       uint32_t *out) {
    uint64_t wide = *out;
    EW__TRY(ew__json_u64(object, key, min, max, &wide));
    *out = (uint32_t)wide;
    return EW_OK;
}

ew_status ew__json_f64(const json_t *object, const char *key, double *out) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return EW_OK;
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return wrong_kind(key, "a finite number");
    *out = json_number_value(value);
    return EW_OK;
}

ew_status ew__json_bool(const json_t *object, const char *key, bool *out) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return EW_OK;
    if (!json_is_boolean(value))
        return wrong_kind(key, "true or false");
    *out = json_is_true(value);
    return EW_OK;
}

ew_status ew__json_str(const json_t *object, const char *key, struct ew__str *out) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return EW_OK;
    if (!json_is_string(value))
        return wrong_kind(key, "a string");
    *out = ew__str_of(json_string_value(value), json_string_length(value));
    return EW_OK;
}
