// SPDX-License-Identifier: Apache-2.0
#include "convert/vision_plan.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

#define CHANNELS 3u

/* ---- configuration ---- */

static ew_status read_triple(const json_t *object, const char *key, double out[3]) {
    const json_t *list = json_object_get(object, key);
    if (list == NULL)
        return EW_OK;
    if (json_array_size(list) != 3)
        return ew__fail(EW_FORMAT, "preprocessor_config.json: \"%s\" must have 3 numbers", key);
    for (size_t i = 0; i < 3; i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_number(number))
            return ew__fail(EW_FORMAT, "preprocessor_config.json: \"%s\" must have 3 numbers", key);
        out[i] = json_number_value(number);
    }
    return EW_OK;
}

/* "size" counts pixels, whatever its members are called. */
static ew_status read_preprocessor(const json_t *preprocessor, struct ew__vision_config *c) {
    for (size_t i = 0; i < 3; i++)
        c->mean[i] = c->deviation[i] = 0.5;
    if (preprocessor == NULL)
        return EW_OK;
    EW__TRY(read_triple(preprocessor, "image_mean", c->mean));
    EW__TRY(read_triple(preprocessor, "image_std", c->deviation));
    const json_t *size = json_object_get(preprocessor, "size");
    if (!json_is_object(size))
        return EW_OK;
    EW__TRY(ew__json_u32(size, "shortest_edge", 0, EW__IMAGE_PIXELS_MAX, &c->min_pixels));
    return ew__json_u32(size, "longest_edge", 0, EW__IMAGE_PIXELS_MAX, &c->max_pixels);
}

ew_status ew__vision_config_read(const struct ew__hf_folder *folder,
                                 struct ew__vision_config *out) {
    const struct ew__vision_source source = {.hf = folder};
    *out = (struct ew__vision_config){0};
    EW__TRY(ew__vision_shape_read(&source, &out->shape));
    return read_preprocessor(folder->preprocessor_config, out);
}

/* ---- metadata ---- */

static ew_status add_floats(struct ew__gguf_writer *writer, const char *key, const double in[3]) {
    const float values[3] = {(float)in[0], (float)in[1], (float)in[2]};
    return ew__gguf_add_array(writer, key, EW__GGUF_F32, values, 3);
}

static ew_status add_numbers(struct ew__gguf_writer *writer, const struct ew__vision_config *c) {
    const struct {
        const char *key;
        uint32_t value;
    } fields[] = {
        {"clip.vision.image_size", c->shape.side * EW__PATCH_SIDE},
        {"clip.vision.patch_size", EW__PATCH_SIDE},
        {"clip.vision.embedding_length", c->shape.n_embd},
        {"clip.vision.feed_forward_length", c->shape.n_ff},
        {"clip.vision.block_count", c->shape.depth},
        {"clip.vision.projection_dim", c->shape.n_out},
        {"clip.vision.attention.head_count", c->shape.n_head},
        {"clip.vision.spatial_merge_size", EW__PATCH_MERGE},
        {"clip.vision.image_min_pixels", c->min_pixels},
        {"clip.vision.image_max_pixels", c->max_pixels},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value != 0)
            EW__TRY(ew__gguf_add_u32(writer, fields[i].key, fields[i].value));
    return EW_OK;
}

ew_status ew__add_vision_keys(struct ew__gguf_writer *writer,
                              const struct ew__vision_config *config, struct ew__str name,
                              ew__file_type file_type) {
    static const bool no_deepstack[EW__LAYERS_MAX] = {false};
    EW__TRY(ew__gguf_add_str(writer, "general.architecture", ew__str("clip")));
    EW__TRY(ew__gguf_add_str(writer, "general.type", ew__str("mmproj")));
    EW__TRY(ew__gguf_add_str(writer, "general.name", name));
    EW__TRY(ew__gguf_add_u32(writer, "general.file_type", file_type));
    if (file_type == EW__FILE_Q8_0)
        EW__TRY(ew__gguf_add_u32(writer, "general.quantization_version", 2));
    EW__TRY(ew__gguf_add_bool(writer, "clip.has_vision_encoder", true));
    EW__TRY(ew__gguf_add_str(writer, "clip.projector_type", ew__str("qwen3vl_merger")));
    EW__TRY(ew__gguf_add_bool(writer, "clip.use_gelu", true));
    EW__TRY(add_numbers(writer, config));
    EW__TRY(ew__gguf_add_f32(writer, "clip.vision.attention.layer_norm_epsilon", 1e-6f));
    EW__TRY(add_floats(writer, "clip.vision.image_mean", config->mean));
    EW__TRY(add_floats(writer, "clip.vision.image_std", config->deviation));
    return ew__gguf_add_array(writer, "clip.vision.is_deepstack_layers", EW__GGUF_BOOL,
                              no_deepstack, config->shape.depth);
}

/* ---- tensors ---- */

struct vision_job {
    struct ew__vision_source source;
    const struct ew__vision_shape *shape;
    ew__dtype type;
    struct ew__tensor_plan *plan;
};

static ew_status need(const struct vision_job *job, ew__vision_role role, uint32_t block,
                      const char *suffix, const struct ew__tensor **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    ew__vision_tensor_name(&job->source, role, block, suffix, name);
    *out = ew__hf_folder_tensor(job->source.hf, ew__str(name));
    return *out != NULL ? EW_OK : ew__fail(EW_FORMAT, "tensor \"%s\" is missing", name);
}

static void gguf_name(ew__vision_role role, uint32_t block, const char *suffix,
                      char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    char layer[32] = "";
    if (ew__vision_roles[role].per_block)
        snprintf(layer, sizeof layer, "v.blk.%u.", block);
    snprintf(name, EW__TENSOR_NAME_BYTES_MAX + 1, "%s%s%s", layer, ew__vision_roles[role].gguf,
             suffix);
}

/* A matrix, or a vector with rows 1. type: EW__OWN_TYPE is possible. */
static ew_status plan_one(const struct vision_job *job, ew__vision_role role, uint32_t block,
                          const char *suffix, ew__dtype type, uint64_t columns, uint64_t rows) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct ew__planned_tensor tensor = {.name = name,
                                        .n_dims = rows == 1 ? 1 : 2,
                                        .dims = {columns, rows},
                                        .columns = columns,
                                        .source_columns = columns,
                                        .rows = rows};
    gguf_name(role, block, suffix, name);
    EW__TRY(need(job, role, block, suffix, &tensor.source));
    tensor.type = ew__matrix_type(type, tensor.source, columns);
    if (tensor.source->dims[0] != columns)
        return ew__fail(EW_FORMAT, "tensor \"%s\" has rows of %" PRIu64 " values, not %" PRIu64,
                        ew__quote(tensor.source->name.bytes, tensor.source->name.n),
                        tensor.source->dims[0], columns);
    return ew__plan_add(job->plan, &tensor);
}

/* [out][channel][time][y][x] -> [out][channel][y][x] of one time slice. */
static void gather_slice(const struct ew__planned_tensor *tensor, const float *in, float *out) {
    uint64_t area = tensor->dims[0] * tensor->dims[1];
    for (uint64_t channel = 0; channel < CHANNELS; channel++)
        memcpy(out + channel * area, in + (2 * channel + tensor->slice) * area,
               (size_t)area * sizeof *out);
}

/* [out][time][y][x][channel], as MLX has it, -> the same. */
static void gather_slice_of_last(const struct ew__planned_tensor *tensor, const float *in,
                                 float *out) {
    uint64_t area = tensor->dims[0] * tensor->dims[1];
    for (uint64_t channel = 0; channel < CHANNELS; channel++)
        for (uint64_t pixel = 0; pixel < area; pixel++)
            out[channel * area + pixel] = in[(tensor->slice * area + pixel) * CHANNELS + channel];
}

static ew_status plan_patch_kernel(const struct vision_job *job) {
    const uint64_t side = EW__PATCH_SIDE;
    struct ew__planned_tensor tensor = {.type = job->type == EW__F16 ? EW__F16 : EW__F32,
                                        .n_dims = 4,
                                        .dims = {side, side, CHANNELS, job->shape->n_embd},
                                        .columns = CHANNELS * side * side,
                                        .source_columns = 2 * CHANNELS * side * side,
                                        .rows = job->shape->n_embd,
                                        .gather = gather_slice};
    EW__TRY(need(job, EW__VISION_PATCH, 0, ".weight", &tensor.source));
    const uint64_t *dims = tensor.source->dims;
    if (ew__patch_channels_last(tensor.source))
        tensor.gather = gather_slice_of_last;
    else if (tensor.source->n_dims != 5 || dims[0] != side || dims[1] != side || dims[2] != 2 ||
             dims[3] != CHANNELS)
        return ew__fail(EW_FORMAT, "the vision patch kernel must be [%u, 3, 2, %u, %u]",
                        job->shape->n_embd, EW__PATCH_SIDE, EW__PATCH_SIDE);
    tensor.name = "v.patch_embd.weight";
    EW__TRY(ew__plan_add(job->plan, &tensor));
    tensor.name = "v.patch_embd.weight.1";
    tensor.slice = 1;
    return ew__plan_add(job->plan, &tensor);
}

static ew_status plan_role(const struct vision_job *job, ew__vision_role role, uint32_t block) {
    const struct ew__vision_role_info *info = &ew__vision_roles[role];
    uint64_t columns = ew__vision_width_of(job->shape, info->columns);
    uint64_t rows = ew__vision_width_of(job->shape, info->rows);
    bool is_plain = info->rows == EW__W_ONE || role == EW__VISION_POSITION;
    if (role == EW__VISION_PATCH)
        EW__TRY(plan_patch_kernel(job));
    else
        EW__TRY(
            plan_one(job, role, block, ".weight", is_plain ? EW__F32 : job->type, columns, rows));
    if (!info->has_bias)
        return EW_OK;
    return plan_one(job, role, block, ".bias", EW__F32, info->rows == EW__W_ONE ? columns : rows,
                    1);
}

ew_status ew__plan_vision(const struct ew__hf_folder *folder,
                          const struct ew__vision_config *config, ew__dtype type,
                          struct ew__tensor_plan *plan) {
    const struct vision_job job = {{.hf = folder}, &config->shape, type, plan};
    for (ew__vision_role role = 0; role < EW__VISION_ROLE_COUNT; role++)
        if (!ew__vision_roles[role].per_block)
            EW__TRY(plan_role(&job, role, 0));
    for (uint32_t block = 0; block < config->shape.depth; block++)
        for (ew__vision_role role = 0; role < EW__VISION_ROLE_COUNT; role++)
            if (ew__vision_roles[role].per_block)
                EW__TRY(plan_role(&job, role, block));
    return EW_OK;
}
