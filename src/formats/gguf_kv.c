// SPDX-License-Identifier: Apache-2.0
/* Typed reads of metadata values; every raw value was measured when the file was opened. */
#include "formats/gguf_part.h"
#include "base/cursor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes;
} types[EW__GGUF_TYPE_COUNT] = {
    [EW__GGUF_U8] = {"u8", 1},         [EW__GGUF_I8] = {"i8", 1},
    [EW__GGUF_U16] = {"u16", 2},       [EW__GGUF_I16] = {"i16", 2},
    [EW__GGUF_U32] = {"u32", 4},       [EW__GGUF_I32] = {"i32", 4},
    [EW__GGUF_F32] = {"f32", 4},       [EW__GGUF_BOOL] = {"bool", 1},
    [EW__GGUF_STRING] = {"string", 0}, [EW__GGUF_ARRAY] = {"array", 0},
    [EW__GGUF_U64] = {"u64", 8},       [EW__GGUF_I64] = {"i64", 8},
    [EW__GGUF_F64] = {"f64", 8},
};

size_t ew__gguf_type_bytes(uint32_t type) {
    return type < EW__GGUF_TYPE_COUNT ? types[type].bytes : 0;
}

const char *ew__gguf_type_name(uint32_t type) {
    static _Thread_local char text[24];
    if (type < EW__GGUF_TYPE_COUNT)
        return types[type].name;
    snprintf(text, sizeof text, "type %" PRIu32, type);
    return text;
}

/* The integer at p as 64 bits: sign-extended, and *is_signed tells how to read them. */
static bool load_integer(ew__gguf_type type, const char *p, uint64_t *bits, bool *is_signed) {
    *is_signed =
        type == EW__GGUF_I8 || type == EW__GGUF_I16 || type == EW__GGUF_I32 || type == EW__GGUF_I64;
    switch (type) {
    case EW__GGUF_U8:
    case EW__GGUF_BOOL:
        *bits = (uint8_t)*p;
        return true;
    case EW__GGUF_I8:
        *bits = (uint64_t)(int64_t)(int8_t)*p;
        return true;
    case EW__GGUF_U16:
        *bits = ew__load_u16(p);
        return true;
    case EW__GGUF_I16:
        *bits = (uint64_t)(int64_t)(int16_t)ew__load_u16(p);
        return true;
    case EW__GGUF_U32:
        *bits = ew__load_u32(p);
        return true;
    case EW__GGUF_I32:
        *bits = (uint64_t)(int64_t)(int32_t)ew__load_u32(p);
        return true;
    case EW__GGUF_U64:
    case EW__GGUF_I64:
        *bits = ew__load_u64(p);
        return true;
    default:
        return false;
    }
}

/* Where element `index` stands; NULL when there is none or its size varies. */
static const char *element_at(const struct ew__gguf_kv *kv, uint64_t index) {
    size_t bytes = ew__gguf_type_bytes(kv->element);
    if (bytes == 0 || index >= kv->count)
        return NULL;
    return kv->raw.bytes + (size_t)index * bytes;
}

bool ew__gguf_element_i64(const struct ew__gguf_kv *kv, uint64_t index, int64_t *out) {
    const char *p = element_at(kv, index);
    uint64_t bits;
    bool is_signed;
    if (p == NULL || !load_integer(kv->element, p, &bits, &is_signed))
        return false;
    if (!is_signed && bits > INT64_MAX)
        return false;
    *out = (int64_t)bits;
    return true;
}

bool ew__gguf_element_f64(const struct ew__gguf_kv *kv, uint64_t index, double *out) {
    const char *p = element_at(kv, index);
    if (p == NULL)
        return false;
    if (kv->element == EW__GGUF_F32) {
        uint32_t bits = ew__load_u32(p);
        float value;
        memcpy(&value, &bits, sizeof value);
        *out = (double)value;
    } else if (kv->element == EW__GGUF_F64) {
        uint64_t bits = ew__load_u64(p);
        memcpy(out, &bits, sizeof *out);
    } else {
        return false;
    }
    return true;
}

bool ew__gguf_next_string(const struct ew__gguf_kv *kv, size_t *at, struct ew__str *out) {
    if (kv->element != EW__GGUF_STRING || *at >= kv->raw.n)
        return false;
    size_t n = (size_t)ew__load_u64(kv->raw.bytes + *at);
    *out = ew__str_of(kv->raw.bytes + *at + 8, n);
    *at += 8 + n;
    return true;
}

static ew_status wrong_kind(const struct ew__gguf_kv *kv, const char *wanted) {
    const char *key = ew__quote(kv->key.bytes, kv->key.n);
    if (kv->type == EW__GGUF_ARRAY)
        return ew__fail(EW_FORMAT, "key \"%s\" must be %s, it is an array of %" PRIu64 " %s", key,
                        wanted, kv->count, ew__gguf_type_name(kv->element));
    return ew__fail(EW_FORMAT, "key \"%s\" must be %s, it is a %s", key, wanted,
                    ew__gguf_type_name(kv->type));
}

ew_status ew__gguf_kv_u64(const struct ew__gguf_kv *kv, uint64_t min, uint64_t max, uint64_t *out) {
    uint64_t bits;
    bool is_signed;
    if (kv->type == EW__GGUF_ARRAY || kv->type == EW__GGUF_BOOL || kv->type == EW__GGUF_STRING ||
        !load_integer(kv->type, kv->raw.bytes, &bits, &is_signed))
        return wrong_kind(kv, "a whole number");
    const char *key = ew__quote(kv->key.bytes, kv->key.n);
    if (is_signed && (int64_t)bits < 0)
        return ew__fail(EW_FORMAT, "key \"%s\" is %" PRId64 ", allowed are %" PRIu64 " to %" PRIu64,
                        key, (int64_t)bits, min, max);
    if (bits < min || bits > max)
        return ew__fail(EW_FORMAT, "key \"%s\" is %" PRIu64 ", allowed are %" PRIu64 " to %" PRIu64,
                        key, bits, min, max);
    *out = bits;
    return EW_OK;
}

ew_status ew__gguf_u64(const struct ew__gguf *gguf, const char *key, uint64_t min, uint64_t max,
                       uint64_t *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    return kv == NULL ? EW_OK : ew__gguf_kv_u64(kv, min, max, out);
}

ew_status ew__gguf_u32(const struct ew__gguf *gguf, const char *key, uint32_t min, uint32_t max,
                       uint32_t *out) {
    uint64_t wide = *out;
    EW__TRY(ew__gguf_u64(gguf, key, min, max, &wide));
    *out = (uint32_t)wide;
    return EW_OK;
}

ew_status ew__gguf_f64(const struct ew__gguf *gguf, const char *key, double *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    double value;
    if (kv == NULL)
        return EW_OK;
    if (kv->type == EW__GGUF_ARRAY || !ew__gguf_element_f64(kv, 0, &value))
        return wrong_kind(kv, "a floating-point number");
    if (!isfinite(value))
        return ew__fail(EW_FORMAT, "key \"%s\" is not a finite number", key);
    *out = value;
    return EW_OK;
}

ew_status ew__gguf_bool(const struct ew__gguf *gguf, const char *key, bool *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    if (kv == NULL)
        return EW_OK;
    if (kv->type != EW__GGUF_BOOL)
        return wrong_kind(kv, "a bool");
    *out = kv->raw.bytes[0] != 0;
    return EW_OK;
}

ew_status ew__gguf_str(const struct ew__gguf *gguf, const char *key, struct ew__str *out) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    size_t at = 0;
    if (kv == NULL)
        return EW_OK;
    if (kv->type != EW__GGUF_STRING || !ew__gguf_next_string(kv, &at, out))
        return wrong_kind(kv, "a string");
    return EW_OK;
}
