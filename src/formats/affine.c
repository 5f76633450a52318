// SPDX-License-Identifier: Apache-2.0
#include "formats/affine.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char weight_suffix[] = ".weight";
static const char scales_suffix[] = ".scales";
static const char biases_suffix[] = ".biases";

/* What config.json says of a module. */
struct setting {
    uint32_t bits, group;
    bool off; /* the module is said to be not quantised */
};

/* ---- config.json ---- */

/* Formats of other quantisers, as "quant_method" names them. */
static ew_status refuse_method(struct ew__str method) {
    static const struct {
        const char *method, *name;
    } known[] = {{"gptq", "GPTQ"},
                 {"awq", "AWQ"},
                 {"compressed-tensors", "compressed-tensors"},
                 {"bitsandbytes", "bitsandbytes"},
                 {"fp8", "FP8"},
                 {"mxfp4", "MXFP4"}};
    const char *name = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        name = ew__str_is(method, known[i].method) ? known[i].name : name;
    return ew__fail(EW_UNSUPPORTED,
                    "a checkpoint quantised by %s: quantised folders load in MLX's affine form "
                    "only; take the unquantised checkpoint or a GGUF file",
                    name != NULL ? name : ew__quote(method.bytes, method.n));
}

/* *out stays NULL for a folder that is not quantised. Older conversions of MLX have only the copy
 * called "quantization_config", which other formats use with a "quant_method". */
static ew_status find_settings(const json_t *config, const json_t **out) {
    const json_t *own = json_object_get(config, "quantization");
    const json_t *other = json_object_get(config, "quantization_config");
    struct ew__str method = ew__str_of(NULL, 0);
    *out = own != NULL && !json_is_null(own) ? own : other;
    if (*out == NULL || json_is_null(*out)) {
        *out = NULL;
        return EW_OK;
    }
    if (!json_is_object(*out))
        return ew__fail(EW_FORMAT, "\"quantization\" must be an object");
    EW__TRY(ew__json_str(*out, "quant_method", &method));
    return method.bytes != NULL ? refuse_method(method) : EW_OK;
}

static ew_status check_mode(const json_t *object) {
    struct ew__str mode = ew__str("affine");
    EW__TRY(ew__json_str(object, "mode", &mode));
    if (ew__str_is(mode, "affine"))
        return EW_OK;
    return ew__fail(EW_UNSUPPORTED, "MLX quantisation mode \"%s\" is not supported, only affine",
                    ew__quote(mode.bytes, mode.n));
}

/* bits and group_size of an object; what it does not name stays. */
static ew_status read_setting(const json_t *object, struct setting *out) {
    EW__TRY(check_mode(object));
    EW__TRY(ew__json_u32(object, "bits", 0, UINT32_MAX, &out->bits));
    EW__TRY(ew__json_u32(object, "group_size", 0, UINT32_MAX, &out->group));
    if (out->bits < 2 || out->bits > 8 || out->bits == 7)
        return ew__fail(EW_UNSUPPORTED, "%u bits; there are 2, 3, 4, 5, 6 and 8", out->bits);
    if (out->group != 32 && out->group != 64 && out->group != 128)
        return ew__fail(EW_UNSUPPORTED, "groups of %u; there are 32, 64 and 128", out->group);
    return EW_OK;
}

/* An entry of the module's name overrides: an object, or false for "not quantised". */
static ew_status setting_of(const json_t *settings, struct ew__str module, struct setting *out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)module.n, module.bytes);
    const json_t *own = json_object_get(settings, name);
    *out = (struct setting){0};
    EW__TRY(ew__fail_in(read_setting(settings, out), "\"quantization\""));
    out->off = json_is_false(own);
    if (own == NULL || json_is_boolean(own))
        return EW_OK;
    if (!json_is_object(own))
        return ew__fail(EW_FORMAT, "the entry must be an object or a boolean");
    return read_setting(own, out);
}

/* ---- tensors ---- */

static struct ew__str module_of(struct ew__str name) {
    return ew__str_of(name.bytes, name.n - (sizeof scales_suffix - 1));
}

static ew_status find_part(const struct ew__safetensors *tensors, struct ew__str module,
                           const char *suffix, const struct ew__tensor **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    int n = snprintf(name, sizeof name, "%.*s%s", (int)module.n, module.bytes, suffix);
    *out = n > 0 && (size_t)n < sizeof name
               ? ew__safetensors_tensor(tensors, ew__str_of(name, (size_t)n))
               : NULL;
    if (*out == NULL)
        return ew__fail(EW_FORMAT, "there are scales, but no \"%s\"", suffix + 1);
    return EW_OK;
}

static bool is_scale_type(uint32_t type) {
    return type == EW__BF16 || type == EW__F16 || type == EW__F32;
}

static ew_status check_types(const struct ew__affine *a) {
    if (a->weight->type != EW__U32)
        return ew__fail(EW_FORMAT, "the weight is %s, packed integers are U32",
                        ew__dtype_name(a->weight->type));
    if (!is_scale_type(a->scales->type) || a->biases->type != a->scales->type)
        return ew__fail(EW_FORMAT, "scales are %s and biases %s; both must be BF16, F16 or F32",
                        ew__dtype_name(a->scales->type), ew__dtype_name(a->biases->type));
    if (a->weight->n_dims != 2 || a->scales->n_dims != 2 || a->biases->n_dims != 2)
        return ew__fail(EW_UNSUPPORTED, "only matrices can be quantised");
    return EW_OK;
}

/* The number of columns follows from the weight's width and the bits, and again from the scales'
 * and the group: so wrong bits or a wrong group show here, or as a shape that the model refuses. */
static ew_status check_widths(const struct ew__affine *a, uint64_t *columns) {
    uint64_t words = a->weight->dims[0], groups = a->scales->dims[0], rows = a->weight->dims[1];
    if (a->bits == 0 || a->group == 0)
        return ew__fail(EW_INTERNAL, "a quantised module without bits or group");
    *columns = words * 32 / a->bits; // cannot overflow: words * 4 bytes lie in the file
    if (a->scales->dims[1] != rows || a->biases->dims[1] != rows || a->biases->dims[0] != groups)
        return ew__fail(EW_FORMAT,
                        "%" PRIu64 " rows of weights, but scales of [%" PRIu64 ", %" PRIu64
                        "] and biases of [%" PRIu64 ", %" PRIu64 "]",
                        rows, a->scales->dims[1], groups, a->biases->dims[1], a->biases->dims[0]);
    if (words * 32 % a->bits != 0 || *columns % a->group != 0 || *columns / a->group != groups)
        return ew__fail(EW_FORMAT,
                        "%" PRIu64 " words and %" PRIu64
                        " scales a row do not fit %u bits in groups of %u",
                        words, groups, a->bits, a->group);
    return EW_OK;
}

/* The smallest type with room for q * scale + bias: exact for up to 5 bits where scales are halves
 * or bfloat16. The offset of 6 and 8 bits has no place in any type of GGUF; and scales of 24 bits
 * in none. */
static ew__dtype type_for(const struct ew__affine *a) {
    if (a->scales->type == EW__F32)
        return EW__F32;
    return a->bits <= 4 ? EW__Q4_1 : a->bits == 5 ? EW__Q5_1 : EW__Q8_0;
}

static void describe(struct ew__affine *a, uint64_t columns) {
    uint64_t rows = a->weight->dims[1], row_bytes = 0;
    a->tensor = *a->weight;
    a->tensor.type = type_for(a);
    a->tensor.dims[0] = columns;
    (void)ew__dtype_row_bytes((ew__dtype)a->tensor.type, columns, &row_bytes);
    a->tensor.bytes = rows * row_bytes; // at most 16 times what lies in the file
    a->tensor.data = NULL;
    a->tensor.affine = a;
}

static ew_status fill(const json_t *settings, const struct ew__safetensors *tensors,
                      const struct ew__tensor *scales, struct ew__affine *a) {
    struct setting setting;
    uint64_t columns;
    struct ew__str module = module_of(scales->name);
    if (settings == NULL)
        return ew__fail(EW_FORMAT, "there are scales, but config.json has no \"quantization\"");
    a->scales = scales;
    EW__TRY(setting_of(settings, module, &setting));
    if (setting.off)
        return ew__fail(EW_FORMAT, "there are scales, but config.json says it is not quantised");
    EW__TRY(find_part(tensors, module, weight_suffix, &a->weight));
    EW__TRY(find_part(tensors, module, biases_suffix, &a->biases));
    a->bits = setting.bits;
    a->group = setting.group;
    EW__TRY(check_types(a));
    EW__TRY(check_widths(a, &columns));
    describe(a, columns);
    return EW_OK;
}

static ew_status add_parts(struct ew__affine_set *set, uint32_t index) {
    const struct ew__affine *a = &set->matrices[index];
    if (a->weight == NULL || a->scales == NULL || a->biases == NULL)
        return ew__fail(EW_INTERNAL, "a quantised module without all its parts");
    EW__TRY(ew__map_add(&set->parts, a->weight->name, 3 * index + EW__AFFINE_WEIGHT, NULL));
    EW__TRY(ew__map_add(&set->parts, a->scales->name, 3 * index + EW__AFFINE_SCALES, NULL));
    return ew__map_add(&set->parts, a->biases->name, 3 * index + EW__AFFINE_BIASES, NULL);
}

static bool is_scales(const struct ew__tensor *tensor) {
    return tensor->name.n > sizeof scales_suffix - 1 && ew__str_ends(tensor->name, scales_suffix);
}

/* Packed integers that belong to no module would go unread, or be taken for something else. */
static ew_status check_orphans(const struct ew__affine_set *set,
                               const struct ew__safetensors *tensors) {
    for (size_t i = 0; i < ew__safetensors_tensor_count(tensors); i++) {
        const struct ew__tensor *tensor = ew__safetensors_tensor_at(tensors, i, NULL);
        if (tensor->type == EW__U32 && ew__str_ends(tensor->name, weight_suffix) &&
            ew__affine_find(set, tensor->name, NULL) == NULL)
            return ew__fail(EW_FORMAT, "tensor \"%s\" is U32, but there are no scales for it",
                            ew__quote(tensor->name.bytes, tensor->name.n));
    }
    return EW_OK;
}

ew_status ew__affine_set_read(const json_t *config, const struct ew__safetensors *tensors,
                              struct ew__affine_set *out) {
    const json_t *settings;
    size_t total = ew__safetensors_tensor_count(tensors), n = 0;
    *out = (struct ew__affine_set){0};
    EW__TRY(find_settings(config, &settings));
    if (settings != NULL)
        EW__TRY(ew__fail_in(check_mode(settings), "\"quantization\""));
    for (size_t i = 0; i < total; i++)
        n += is_scales(ew__safetensors_tensor_at(tensors, i, NULL));
    out->matrices = ew__calloc(n, sizeof *out->matrices);
    if (out->matrices == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__map_init(&out->parts, 3 * n));
    for (size_t i = 0; i < total; i++) {
        const struct ew__tensor *tensor = ew__safetensors_tensor_at(tensors, i, NULL);
        if (!is_scales(tensor))
            continue;
        struct ew__str module = module_of(tensor->name);
        EW__TRY(ew__fail_in(fill(settings, tensors, tensor, &out->matrices[out->count]),
                            "module \"%s\"", ew__quote(module.bytes, module.n)));
        EW__TRY(add_parts(out, (uint32_t)out->count));
        out->count++;
    }
    return check_orphans(out, tensors);
}

void ew__affine_set_release(struct ew__affine_set *set) {
    ew__free(set->matrices);
    ew__map_release(&set->parts);
    *set = (struct ew__affine_set){0};
}

const struct ew__affine *ew__affine_find(const struct ew__affine_set *set, struct ew__str name,
                                         enum ew__affine_part *part) {
    uint32_t value;
    if (!ew__map_get(&set->parts, name, &value))
        return NULL;
    if (part != NULL)
        *part = (enum ew__affine_part)(value % 3);
    return &set->matrices[value / 3];
}
