// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint.h"

#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>

const struct ew__role_info ew__roles[EW__ROLE_COUNT] = {
#define ROLE_ROW(role, scope, gguf, hf, rank, transform, axis)                                     \
    [EW__##role] = {gguf, hf, EW__##scope, rank, EW__##transform, EW__##axis},
    EW__ROLE_MAP(ROLE_ROW)
#undef ROLE_ROW
};

/* Text-model prefixes of published folders: multimodal and text-only; the third is MLX's. */
static const char mlx_prefix[] = "language_model.model.";
static const char *const text_prefixes[] = {"model.language_model.", "model.", mlx_prefix, ""};

static const char *find_text_prefix(const struct ew__safetensors *tensors) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof text_prefixes / sizeof text_prefixes[0]; i++) {
        int n = snprintf(name, sizeof name, "%sembed_tokens.weight", text_prefixes[i]);
        if (ew__safetensors_tensor(tensors, ew__str_of(name, (size_t)n)) != NULL)
            return text_prefixes[i];
    }
    return NULL;
}

/* MLX adds 1 to the norms when it swaps the last axes of the convolutions, [C, 1, 4] -> [C, 4, 1],
 * and leaves the names of some folders alone: so its axes tell, not the prefix. */
static ew_status find_norm_shift(struct ew__checkpoint *c) {
    c->hf_norms_shifted = strcmp(c->hf_text_prefix, mlx_prefix) == 0; // without a convolution
    bool seen = false;
    for (uint32_t layer = 0; layer < c->config.n_layer; layer++) {
        char name[EW__TENSOR_NAME_BYTES_MAX + 1];
        const struct ew__tensor *conv = c->config.is_full[layer] != 0
                                            ? NULL
                                            : ew__checkpoint_tensor(c, EW__DELTA_CONV, layer, name);
        if (conv == NULL)
            continue;
        bool swapped = conv->n_dims == 3 && conv->dims[0] == 1;
        if (seen && swapped != c->hf_norms_shifted)
            return ew__fail(EW_FORMAT, "tensor \"%s\" has other axes than those before it", name);
        c->hf_norms_shifted = swapped;
        seen = true;
    }
    return EW_OK;
}

static ew_status open_folder(const char *path, struct ew__checkpoint *out) {
    EW__TRY(ew__hf_folder_open(path, &out->hf));
    EW__TRY(ew__hf_folder_read_affine(&out->hf));
    EW__TRY(ew__config_from_hf(out->hf.config, &out->config));
    out->hf_text_prefix = find_text_prefix(out->hf.tensors);
    if (out->hf_text_prefix == NULL)
        return ew__fail(EW_FORMAT, "no tensor \"model.language_model.embed_tokens.weight\"");
    return find_norm_shift(out);
}

ew_status ew__checkpoint_open(const char *path, struct ew__checkpoint *out) {
    *out = (struct ew__checkpoint){0};
    ew_status status;
    if (ew__path_is_dir(path)) {
        status = open_folder(path, out);
    } else {
        status = ew__gguf_open(path, &out->gguf);
        if (status == EW_OK)
            status = ew__config_from_gguf(out->gguf, &out->config);
    }
    if (status != EW_OK) {
        if (strstr(ew_last_error(), path) == NULL)
            ew__fail_in(status, "%s", path);
        ew__checkpoint_close(out);
    }
    return status;
}

void ew__checkpoint_close(struct ew__checkpoint *checkpoint) {
    ew__gguf_close(checkpoint->gguf);
    ew__hf_folder_close(&checkpoint->hf);
    *checkpoint = (struct ew__checkpoint){0};
}

void ew__gguf_tensor_name(ew__role role, uint32_t layer, char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    if (ew__roles[role].scope == EW__PER_MODEL)
        snprintf(name, EW__TENSOR_NAME_BYTES_MAX + 1, "%s", ew__roles[role].gguf);
    else
        snprintf(name, EW__TENSOR_NAME_BYTES_MAX + 1, "blk.%u.%s", layer, ew__roles[role].gguf);
}

static void hf_name(const struct ew__checkpoint *checkpoint, ew__role role, uint32_t layer,
                    char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    const struct ew__role_info *info = &ew__roles[role];
    const char *prefix = checkpoint->hf_text_prefix;
    size_t max = EW__TENSOR_NAME_BYTES_MAX + 1;
    if (role == EW__OUTPUT && strcmp(prefix, mlx_prefix) == 0)
        snprintf(name, max, "language_model.%s", info->hf);
    else if (role == EW__OUTPUT || info->scope == EW__PER_MTP)
        snprintf(name, max, "%s", info->hf);
    else if (info->scope == EW__PER_MODEL)
        snprintf(name, max, "%s%s", prefix, info->hf);
    else if (layer >= checkpoint->config.n_layer)
        snprintf(name, max, "mtp.layers.%u.%s", layer - checkpoint->config.n_layer, info->hf);
    else
        snprintf(name, max, "%slayers.%u.%s", prefix, layer, info->hf);
}

const struct ew__tensor *ew__checkpoint_tensor(const struct ew__checkpoint *checkpoint,
                                               ew__role role, uint32_t layer,
                                               char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    char own[EW__TENSOR_NAME_BYTES_MAX + 1];
    if (name == NULL)
        name = own;
    if (checkpoint->gguf != NULL) {
        ew__gguf_tensor_name(role, layer, name);
        return ew__gguf_tensor(checkpoint->gguf, ew__str(name));
    }
    hf_name(checkpoint, role, layer, name);
    return ew__hf_folder_tensor(&checkpoint->hf, ew__str(name));
}

ew__transform ew__checkpoint_transform(const struct ew__checkpoint *checkpoint, ew__role role) {
    ew__transform transform = ew__roles[role].transform;
    bool done =
        checkpoint->gguf != NULL || (transform == EW__ADD_ONE && checkpoint->hf_norms_shifted);
    return done ? EW__KEEP : transform;
}

ew_status ew__check_shape(const struct ew__tensor *tensor, const char *name, uint64_t columns,
                          uint64_t rows) {
    uint32_t first = 0;
    while (first + 1 < tensor->n_dims && tensor->dims[first] == 1)
        first++;
    uint64_t have_columns = tensor->dims[first], have_rows = 1;
    for (uint32_t i = first + 1; i < tensor->n_dims; i++)
        have_rows *= tensor->dims[i];
    if (have_columns == columns && have_rows == rows)
        return EW_OK;
    return ew__fail(EW_FORMAT,
                    "tensor \"%s\" has shape [%" PRIu64 ", %" PRIu64
                    "], the metadata asks for [%" PRIu64 ", %" PRIu64 "]",
                    name, have_rows, have_columns, rows, columns);
}

ew__dtype ew__tiled_type(const struct ew__config *config, const struct ew__tensor *tensor) {
    bool whole = config->v_head_dim % ew__dtype_info(tensor->type)->block_elements == 0;
    return whole ? (ew__dtype)tensor->type : EW__F32;
}

void ew__tile_v_heads(const struct ew__config *config, const void *from, void *to,
                      size_t head_bytes) {
    for (uint32_t tiled = 0; tiled < config->n_v_head; tiled++)
        memcpy((uint8_t *)to + tiled * head_bytes,
               (const uint8_t *)from + ew__v_head_at(config, tiled) * head_bytes, head_bytes);
}

bool ew__role_in_layer(const struct ew__config *config, ew__role role, uint32_t layer) {
    bool is_mtp = layer >= config->n_layer;
    bool is_full = is_mtp || config->is_full[layer] != 0;
    switch (ew__roles[role].scope) {
    case EW__PER_MODEL:
        return false;
    case EW__PER_LAYER:
        return true;
    case EW__PER_FULL_LAYER:
        return is_full;
    case EW__PER_DELTA_LAYER:
        return !is_full;
    case EW__PER_MTP:
        return is_mtp;
    }
    return false;
}

void ew__role_shape(const struct ew__config *c, ew__role role, uint64_t *columns, uint64_t *rows) {
    const uint64_t H = c->n_embd, I = c->n_ff, D = c->head_dim;
    const uint64_t conv = ew__conv_width(c), V = ew__value_width(c), nv = c->n_v_head;
    const struct {
        uint64_t columns, rows;
    } shapes[EW__ROLE_COUNT] = {
        [EW__TOKEN_EMBD] = {H, c->n_vocab},
        [EW__OUTPUT] = {H, c->n_vocab},
        [EW__OUTPUT_NORM] = {H, 1},
        [EW__ATTN_NORM] = {H, 1},
        [EW__POST_NORM] = {H, 1},
        [EW__FFN_GATE] = {H, I},
        [EW__FFN_UP] = {H, I},
        [EW__FFN_DOWN] = {I, H},
        [EW__ATTN_Q] = {H, 2 * D * c->n_head},
        [EW__ATTN_K] = {H, D * c->n_head_kv},
        [EW__ATTN_V] = {H, D * c->n_head_kv},
        [EW__ATTN_OUT] = {D * c->n_head, H},
        [EW__ATTN_Q_NORM] = {D, 1},
        [EW__ATTN_K_NORM] = {D, 1},
        [EW__DELTA_QKV] = {H, conv},
        [EW__DELTA_Z] = {H, V},
        [EW__DELTA_A] = {H, nv},
        [EW__DELTA_B] = {H, nv},
        [EW__DELTA_CONV] = {4, conv},
        [EW__DELTA_DECAY] = {nv, 1},
        [EW__DELTA_DT_BIAS] = {nv, 1},
        [EW__DELTA_NORM] = {c->v_head_dim, 1},
        [EW__DELTA_OUT] = {V, H},
        [EW__MTP_FC] = {2 * H, H},
        [EW__MTP_NORM_EMBD] = {H, 1},
        [EW__MTP_NORM_HIDDEN] = {H, 1},
        [EW__MTP_NORM_OUT] = {H, 1},
    };
    *columns = shapes[role].columns;
    *rows = shapes[role].rows;
}
