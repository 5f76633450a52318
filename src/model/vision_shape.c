// SPDX-License-Identifier: Apache-2.0
/* Names and shapes of the vision tower: config.json's vision_config, or the clip.* keys that
 * llama.cpp's conversion writes (tools/mtmd at 156ce1c1). */
#include "model/vision.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

const struct ew__vision_role_info ew__vision_roles[EW__VISION_ROLE_COUNT] = {
#define ROLE_ROW(role, per_block, gguf, hf, columns, rows, bias)                                   \
    [EW__##role] = {gguf, hf, EW__W_##columns, EW__W_##rows, per_block, bias},
    EW__VISION_ROLE_MAP(ROLE_ROW)
#undef ROLE_ROW
};

uint64_t ew__vision_width_of(const struct ew__vision_shape *shape, ew__vision_width width) {
    switch (width) {
    case EW__W_ONE:
        return 1;
    case EW__W_EMBD:
        return shape->n_embd;
    case EW__W_QKV:
        return 3 * (uint64_t)shape->n_embd;
    case EW__W_FF:
        return shape->n_ff;
    case EW__W_MERGED:
        return EW__TOKEN_PATCHES * (uint64_t)shape->n_embd;
    case EW__W_OUT:
        return shape->n_out;
    case EW__W_POSITIONS:
        return (uint64_t)shape->side * shape->side;
    case EW__W_PATCH:
        return EW__PATCH_VALUES;
    }
    return 0;
}

const char *ew__vision_hf_prefix(const struct ew__hf_folder *hf) {
    static const char *const prefixes[] = {"model.visual.", "visual.", "vision_tower."};
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        snprintf(name, sizeof name, "%spatch_embed.proj.weight", prefixes[i]);
        if (ew__safetensors_tensor(hf->tensors, ew__str(name)) != NULL)
            return prefixes[i];
    }
    return NULL;
}

void ew__vision_tensor_name(const struct ew__vision_source *source, ew__vision_role role,
                            uint32_t block, const char *suffix,
                            char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    const struct ew__vision_role_info *info = &ew__vision_roles[role];
    char layer[32] = "";
    size_t max = EW__TENSOR_NAME_BYTES_MAX + 1;
    if (source->gguf != NULL) {
        if (info->per_block)
            snprintf(layer, sizeof layer, "v.blk.%u.", block);
        snprintf(name, max, "%s%s%s", layer, info->gguf, suffix);
        return;
    }
    const char *prefix = ew__vision_hf_prefix(source->hf);
    if (info->per_block)
        snprintf(layer, sizeof layer, "blocks.%u.", block);
    snprintf(name, max, "%s%s%s%s", prefix != NULL ? prefix : "model.visual.", layer, info->hf,
             suffix);
}

/* ---- checks ---- */

/* What the code below takes for granted, as the file states it. */
struct geometry {
    uint32_t patch, frames, merge, channels;
};

static ew_status check_geometry(const struct geometry *g) {
    if (g->patch != EW__PATCH_SIDE || g->frames != EW__PATCH_FRAMES ||
        g->merge != EW__PATCH_MERGE || g->channels != 3)
        return ew__fail(EW_UNSUPPORTED,
                        "a vision tower with %u channels, patches of %u x %u x %u and merge %u; "
                        "supported are 3, 2 x 16 x 16 and 2",
                        g->channels, g->frames, g->patch, g->patch, g->merge);
    return EW_OK;
}

static ew_status check_shape(const struct ew__vision_shape *s) {
    const struct {
        const char *name;
        uint32_t value, max;
    } fields[] = {
        {"number of blocks", s->depth, EW__LAYERS_MAX},
        {"hidden size", s->n_embd, EW__WIDTH_MAX / EW__TOKEN_PATCHES},
        {"feed-forward size", s->n_ff, EW__WIDTH_MAX},
        {"output width", s->n_out, EW__WIDTH_MAX},
        {"number of heads", s->n_head, EW__HEADS_MAX},
        {"side of the position table", s->side, 4096},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value == 0 || fields[i].value > fields[i].max)
            return ew__fail(EW_FORMAT, "the vision tower's %s is %u, allowed are 1 to %u",
                            fields[i].name, fields[i].value, fields[i].max);
    if (s->n_embd % s->n_head != 0 || s->n_embd / s->n_head % 4 != 0 ||
        s->n_embd / s->n_head > EW__HEAD_DIM_MAX)
        return ew__fail(EW_FORMAT,
                        "a vision width of %u cannot have %u heads: their width must be a multiple "
                        "of 4, at most %u",
                        s->n_embd, s->n_head, EW__HEAD_DIM_MAX);
    if (!(s->norm_eps > 0 && s->norm_eps < 1))
        return ew__fail(EW_FORMAT, "the vision tower's norm epsilon is %g", (double)s->norm_eps);
    return EW_OK;
}

/* ---- config.json ---- */

struct json_field {
    const char *key;
    uint32_t *out;
    bool required;
};

static ew_status read_json_fields(const json_t *vision, const struct json_field *fields, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (fields[i].required && json_object_get(vision, fields[i].key) == NULL)
            return ew__fail(EW_FORMAT, "\"vision_config\": \"%s\" is missing", fields[i].key);
        EW__TRY(ew__fail_in(ew__json_u32(vision, fields[i].key, 0, UINT32_MAX, fields[i].out),
                            "\"vision_config\""));
    }
    return EW_OK;
}

/* The table is square; its side from the number of its rows. */
static ew_status side_of(uint32_t positions, uint32_t *side) {
    *side = 0;
    while ((uint64_t)*side * *side < positions)
        ++*side;
    if ((uint64_t)*side * *side != positions)
        return ew__fail(EW_UNSUPPORTED, "%u vision positions are no square table", positions);
    return EW_OK;
}

static ew_status check_json_options(const json_t *vision) {
    struct ew__str act = ew__str("gelu_pytorch_tanh");
    EW__TRY(ew__json_str(vision, "hidden_act", &act));
    if (!ew__str_is(act, "gelu_pytorch_tanh"))
        return ew__fail(EW_UNSUPPORTED, "the vision activation \"%s\" is not gelu_pytorch_tanh",
                        ew__quote(act.bytes, act.n));
    if (json_array_size(json_object_get(vision, "deepstack_visual_indexes")) != 0)
        return ew__fail(EW_UNSUPPORTED, "a vision tower with deep-stack layers");
    return EW_OK;
}

static ew_status shape_from_hf(const struct ew__hf_folder *hf, struct ew__vision_shape *s) {
    const json_t *vision = json_object_get(hf->config, "vision_config");
    if (ew__vision_hf_prefix(hf) == NULL)
        return ew__fail(EW_NOT_FOUND, "the checkpoint has no vision tower");
    if (!json_is_object(vision))
        return ew__fail(EW_FORMAT, "vision tensors without \"vision_config\"");
    uint32_t positions = 0;
    struct geometry g = {.channels = 3};
    const struct json_field fields[] = {
        {"depth", &s->depth, true},
        {"hidden_size", &s->n_embd, true},
        {"num_heads", &s->n_head, true},
        {"intermediate_size", &s->n_ff, true},
        {"out_hidden_size", &s->n_out, true},
        {"num_position_embeddings", &positions, true},
        {"patch_size", &g.patch, true},
        {"temporal_patch_size", &g.frames, true},
        {"spatial_merge_size", &g.merge, true},
        {"in_channels", &g.channels, false},
    };
    EW__TRY(read_json_fields(vision, fields, sizeof fields / sizeof fields[0]));
    EW__TRY(check_geometry(&g));
    EW__TRY(check_json_options(vision));
    s->norm_eps = 1e-6f; // a constant of the reference, not in the file
    return side_of(positions, &s->side);
}

/* ---- clip.* keys ---- */

static ew_status required(const struct ew__gguf *gguf, const char *key, uint32_t *out) {
    if (ew__gguf_find(gguf, key) == NULL)
        return ew__fail(EW_FORMAT, "the metadata lacks \"%s\"", key);
    return ew__gguf_u32(gguf, key, 0, UINT32_MAX, out);
}

static ew_status check_projector(const struct ew__gguf *gguf) {
    struct ew__str kind = ew__str("qwen3vl_merger");
    EW__TRY(ew__gguf_str(gguf, "clip.projector_type", &kind));
    EW__TRY(ew__gguf_str(gguf, "clip.vision.projector_type", &kind));
    if (!ew__str_is(kind, "qwen3vl_merger"))
        return ew__fail(EW_UNSUPPORTED, "the vision projector \"%s\" is not qwen3vl_merger",
                        ew__quote(kind.bytes, kind.n));
    const struct ew__gguf_kv *deepstack = ew__gguf_find(gguf, "clip.vision.is_deepstack_layers");
    for (uint64_t i = 0; deepstack != NULL && i < deepstack->count; i++) {
        int64_t is_deep;
        if (!ew__gguf_element_i64(deepstack, i, &is_deep))
            return ew__fail(EW_FORMAT, "\"clip.vision.is_deepstack_layers\" must hold booleans");
        if (is_deep != 0)
            return ew__fail(EW_UNSUPPORTED, "a vision tower with deep-stack layers");
    }
    return EW_OK;
}

static ew_status shape_from_gguf(const struct ew__gguf *gguf, struct ew__vision_shape *s) {
    if (ew__gguf_tensor(gguf, ew__str("v.patch_embd.weight")) == NULL)
        return ew__fail(EW_NOT_FOUND, "the file has no vision tower");
    EW__TRY(check_projector(gguf));
    uint32_t image_size = 0;
    double eps = 1e-6;
    struct geometry g = {.frames = EW__PATCH_FRAMES, .merge = EW__PATCH_MERGE, .channels = 3};
    const struct {
        const char *key;
        uint32_t *out;
    } fields[] = {
        {"clip.vision.block_count", &s->depth},
        {"clip.vision.embedding_length", &s->n_embd},
        {"clip.vision.attention.head_count", &s->n_head},
        {"clip.vision.feed_forward_length", &s->n_ff},
        {"clip.vision.projection_dim", &s->n_out},
        {"clip.vision.image_size", &image_size},
        {"clip.vision.patch_size", &g.patch},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        EW__TRY(required(gguf, fields[i].key, fields[i].out));
    EW__TRY(ew__gguf_u32(gguf, "clip.vision.spatial_merge_size", 0, UINT32_MAX, &g.merge));
    EW__TRY(ew__gguf_f64(gguf, "clip.vision.attention.layer_norm_epsilon", &eps));
    EW__TRY(check_geometry(&g));
    s->norm_eps = (float)eps;
    s->side = image_size / EW__PATCH_SIDE;
    return EW_OK;
}

ew_status ew__vision_shape_read(const struct ew__vision_source *source,
                                struct ew__vision_shape *out) {
    *out = (struct ew__vision_shape){0};
    if (source->gguf != NULL)
        EW__TRY(shape_from_gguf(source->gguf, out));
    else
        EW__TRY(shape_from_hf(source->hf, out));
    return check_shape(out);
}
