// SPDX-License-Identifier: Apache-2.0
#include "convert/vision_plan.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

#define CHANNELS 3u

static const struct ew__tensor *find(const struct ew__hf_folder *folder, const char *prefix,
                                     const char *stem, const char *part,
                                     char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    snprintf(name, EW__TENSOR_NAME_BYTES_MAX + 1, "%s%s%s", prefix, stem, part);
    return ew__safetensors_tensor(folder->tensors, ew__str(name));
}

static const char *find_prefix(const struct ew__hf_folder *folder) {
    static const char *const prefixes[] = {"model.visual.", "visual."};
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (find(folder, prefixes[i], "patch_embed.proj", ".weight", name) != NULL)
            return prefixes[i];
    return NULL;
}

bool ew__has_vision(const struct ew__hf_folder *folder) {
    return find_prefix(folder) != NULL;
}

/* ---- configuration ---- */

static ew_status read_numbers(const json_t *vision, struct ew__vision_config *c) {
    const struct {
        const char *key;
        uint32_t *out;
        uint32_t max;
    } fields[] = {
        {"depth", &c->depth, EW__LAYERS_MAX},
        {"hidden_size", &c->hidden_size, EW__WIDTH_MAX},
        {"num_heads", &c->num_heads, EW__HEADS_MAX},
        {"intermediate_size", &c->intermediate_size, EW__WIDTH_MAX},
        {"out_hidden_size", &c->out_hidden_size, EW__WIDTH_MAX},
        {"patch_size", &c->patch_size, 256},
        {"temporal_patch_size", &c->temporal_patch_size, 2},
        {"spatial_merge_size", &c->spatial_merge_size, 16},
        {"num_position_embeddings", &c->num_position_embeddings, EW__WIDTH_MAX},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (json_object_get(vision, fields[i].key) == NULL)
            return ew__fail(EW_FORMAT, "\"vision_config\": \"%s\" is missing", fields[i].key);
        EW__TRY(ew__fail_in(ew__json_u32(vision, fields[i].key, 1, fields[i].max, fields[i].out),
                            "\"vision_config\""));
    }
    return EW_OK;
}

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

static ew_status check_shape(const json_t *vision, struct ew__vision_config *c) {
    uint32_t side = 1;
    while ((uint64_t)(side + 1) * (side + 1) <= c->num_position_embeddings)
        side++;
    if (side * side != c->num_position_embeddings)
        return ew__fail(EW_UNSUPPORTED, "%u vision positions are no square grid",
                        c->num_position_embeddings);
    c->image_size = side * c->patch_size;
    if (c->temporal_patch_size != 2 || c->spatial_merge_size != 2)
        return ew__fail(EW_UNSUPPORTED,
                        "a vision tower with temporal patch %u and merge %u, only 2",
                        c->temporal_patch_size, c->spatial_merge_size);
    if (c->hidden_size % c->num_heads != 0)
        return ew__fail(EW_FORMAT, "a vision width of %u cannot have %u heads", c->hidden_size,
                        c->num_heads);
    if (json_array_size(json_object_get(vision, "deepstack_visual_indexes")) != 0)
        return ew__fail(EW_UNSUPPORTED, "a vision tower with deep-stack layers");
    return EW_OK;
}

ew_status ew__vision_config_read(const struct ew__hf_folder *folder,
                                 struct ew__vision_config *out) {
    const json_t *vision = json_object_get(folder->config, "vision_config");
    *out = (struct ew__vision_config){.prefix = find_prefix(folder)};
    if (out->prefix == NULL)
        return ew__fail(EW_NOT_FOUND, "the checkpoint has no vision tower");
    if (!json_is_object(vision))
        return ew__fail(EW_FORMAT, "the checkpoint has vision tensors without \"vision_config\"");
    EW__TRY(read_numbers(vision, out));
    EW__TRY(check_shape(vision, out));
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
        {"clip.vision.image_size", c->image_size},
        {"clip.vision.patch_size", c->patch_size},
        {"clip.vision.embedding_length", c->hidden_size},
        {"clip.vision.feed_forward_length", c->intermediate_size},
        {"clip.vision.block_count", c->depth},
        {"clip.vision.projection_dim", c->out_hidden_size},
        {"clip.vision.attention.head_count", c->num_heads},
        {"clip.vision.spatial_merge_size", c->spatial_merge_size},
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
                              no_deepstack, config->depth);
}

/* ---- tensors ---- */

struct vision_job {
    const struct ew__hf_folder *folder;
    const struct ew__vision_config *config;
    ew__dtype type;
    struct ew__tensor_plan *plan;
};

static ew_status need(const struct vision_job *job, const char *stem, const char *part,
                      const struct ew__tensor **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    *out = find(job->folder, job->config->prefix, stem, part, name);
    return *out != NULL ? EW_OK : ew__fail(EW_FORMAT, "tensor \"%s\" is missing", name);
}

static ew_status plan_matrix(const struct vision_job *job, const char *stem, const char *part,
                             const char *gguf, ew__dtype type, uint64_t columns, uint64_t rows) {
    struct ew__planned_tensor tensor = {.name = gguf,
                                        .type = type,
                                        .n_dims = rows == 1 ? 1 : 2,
                                        .dims = {columns, rows},
                                        .columns = columns,
                                        .source_columns = columns,
                                        .rows = rows};
    EW__TRY(need(job, stem, part, &tensor.source));
    if (tensor.source->dims[0] != columns)
        return ew__fail(EW_FORMAT, "tensor \"%s%s%s\" has rows of %" PRIu64 " values, not %" PRIu64,
                        job->config->prefix, stem, part, tensor.source->dims[0], columns);
    return ew__plan_add(job->plan, &tensor);
}

/* A linear layer, or with columns 0 a layer norm: "<stem>.weight" and "<stem>.bias". */
static ew_status plan_layer(const struct vision_job *job, const char *stem, const char *gguf,
                            uint64_t columns, uint64_t rows) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, "%s.weight", gguf);
    if (columns == 0)
        EW__TRY(plan_matrix(job, stem, ".weight", name, EW__F32, rows, 1));
    else
        EW__TRY(plan_matrix(job, stem, ".weight", name, ew__matrix_type(job->type, columns),
                            columns, rows));
    snprintf(name, sizeof name, "%s.bias", gguf);
    return plan_matrix(job, stem, ".bias", name, EW__F32, rows, 1);
}

/* [out][channel][time][y][x] -> [out][channel][y][x] of one time slice. */
static void gather_slice(const struct ew__planned_tensor *tensor, const float *in, float *out) {
    uint64_t area = tensor->dims[0] * tensor->dims[1];
    for (uint64_t channel = 0; channel < CHANNELS; channel++)
        memcpy(out + channel * area, in + (2 * channel + tensor->slice) * area,
               (size_t)area * sizeof *out);
}

static ew_status plan_patch_kernel(const struct vision_job *job) {
    const uint64_t side = job->config->patch_size, area = side * side;
    struct ew__planned_tensor tensor = {.type = job->type == EW__F16 ? EW__F16 : EW__F32,
                                        .n_dims = 4,
                                        .dims = {side, side, CHANNELS, job->config->hidden_size},
                                        .columns = CHANNELS * area,
                                        .source_columns = 2 * CHANNELS * area,
                                        .rows = job->config->hidden_size,
                                        .gather = gather_slice};
    EW__TRY(need(job, "patch_embed.proj", ".weight", &tensor.source));
    const uint64_t *dims = tensor.source->dims;
    if (tensor.source->n_dims != 5 || dims[0] != side || dims[1] != side || dims[2] != 2 ||
        dims[3] != CHANNELS)
        return ew__fail(EW_FORMAT, "the vision patch kernel must be [%u, 3, 2, %u, %u]",
                        job->config->hidden_size, job->config->patch_size, job->config->patch_size);
    tensor.name = "v.patch_embd.weight";
    EW__TRY(ew__plan_add(job->plan, &tensor));
    tensor.name = "v.patch_embd.weight.1";
    tensor.slice = 1;
    return ew__plan_add(job->plan, &tensor);
}

static ew_status plan_block(const struct vision_job *job, uint32_t block) {
    const uint64_t h = job->config->hidden_size, i = job->config->intermediate_size;
    const struct {
        const char *hf, *gguf;
        uint64_t columns, rows;
    } layers[] = {
        {"norm1", "ln1", 0, h},
        {"norm2", "ln2", 0, h},
        {"attn.qkv", "attn_qkv", h, 3 * h},
        {"attn.proj", "attn_out", h, h},
        {"mlp.linear_fc1", "ffn_up", h, i},
        {"mlp.linear_fc2", "ffn_down", i, h},
    };
    for (size_t n = 0; n < sizeof layers / sizeof layers[0]; n++) {
        char stem[64], gguf[64];
        snprintf(stem, sizeof stem, "blocks.%u.%s", block, layers[n].hf);
        snprintf(gguf, sizeof gguf, "v.blk.%u.%s", block, layers[n].gguf);
        EW__TRY(plan_layer(job, stem, gguf, layers[n].columns, layers[n].rows));
    }
    return EW_OK;
}

ew_status ew__plan_vision(const struct ew__hf_folder *folder,
                          const struct ew__vision_config *config, ew__dtype type,
                          struct ew__tensor_plan *plan) {
    const struct vision_job job = {folder, config, type, plan};
    const uint64_t h = config->hidden_size, merged = 4 * h;
    EW__TRY(plan_patch_kernel(&job));
    EW__TRY(plan_matrix(&job, "patch_embed.proj", ".bias", "v.patch_embd.bias", EW__F32, h, 1));
    EW__TRY(plan_matrix(&job, "pos_embed", ".weight", "v.position_embd.weight", EW__F32, h,
                        config->num_position_embeddings));
    for (uint32_t block = 0; block < config->depth; block++)
        EW__TRY(plan_block(&job, block));
    EW__TRY(plan_layer(&job, "merger.norm", "v.post_ln", 0, h));
    EW__TRY(plan_layer(&job, "merger.linear_fc1", "mm.0", merged, merged));
    return plan_layer(&job, "merger.linear_fc2", "mm.2", merged, config->out_hidden_size);
}
