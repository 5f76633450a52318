// SPDX-License-Identifier: Apache-2.0
#include "convert/text_plan.h"

#include "base/log.h"

#include <inttypes.h>

/* ---- value heads: checkpoints keep them by key head, GGUF tiled (docs/formats.md) ---- */

static uint64_t head_row(const struct ew__config *c, uint64_t row) {
    return (uint64_t)ew__v_head_at(c, (uint32_t)(row / c->v_head_dim)) * c->v_head_dim +
           row % c->v_head_dim;
}

static uint64_t row_of_heads(const struct ew__planned_tensor *tensor, uint64_t row) {
    const struct ew__config *c = tensor->config;
    uint64_t before = 2 * (uint64_t)ew__key_width(c); // rows of queries and keys
    switch (tensor->v_axis) {
    case EW__V_ROWS:
        return head_row(c, row);
    case EW__V_ROWS_TAIL:
        return row < before ? row : before + head_row(c, row - before);
    case EW__V_ELEMENTS:
        return ew__v_head_at(c, (uint32_t)row);
    default:
        return row;
    }
}

static void gather_heads(const struct ew__planned_tensor *tensor, const float *in, float *out) {
    ew__tile_v_heads(tensor->config, in, out, tensor->config->v_head_dim * sizeof *out);
}

static void plan_heads(const struct ew__config *c, ew__role role, bool own_type,
                       struct ew__planned_tensor *tensor) {
    tensor->config = c;
    tensor->v_axis = ew__roles[role].v_axis;
    if (!ew__v_heads_move(c) || tensor->v_axis == EW__V_NONE)
        return;
    if (tensor->v_axis == EW__V_COLUMNS) {
        tensor->gather = gather_heads;
        tensor->tile_blocks = true;
        if (own_type && tensor->source->affine != NULL)
            tensor->type = ew__tiled_type(c, tensor->source);
    } else
        tensor->row_source = row_of_heads;
    if (tensor->v_axis == EW__V_ELEMENTS && tensor->rows == 1) { // a vector: each element a row
        tensor->rows = tensor->columns;
        tensor->columns = tensor->source_columns = 1;
    }
}

/* ---- roles ---- */

static ew_status plan_role(const struct ew__checkpoint *checkpoint, const struct ew__config *config,
                           ew__dtype type, ew__role role, uint32_t layer,
                           struct ew__tensor_plan *plan) {
    char hf_name[EW__TENSOR_NAME_BYTES_MAX + 1], name[EW__TENSOR_NAME_BYTES_MAX + 1];
    const struct ew__tensor *source = ew__checkpoint_tensor(checkpoint, role, layer, hf_name);
    struct ew__planned_tensor tensor = {
        .name = name, .source = source, .transform = ew__checkpoint_transform(checkpoint, role)};
    if (source == NULL)
        return ew__fail(EW_FORMAT, "tensor \"%s\" is missing", hf_name);
    ew__role_shape(config, role, &tensor.columns, &tensor.rows);
    EW__TRY(ew__check_shape(source, hf_name, tensor.columns, tensor.rows));
    if (ew__roles[role].rank == 1 && source->affine != NULL)
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" is quantised, vectors must not be", hf_name);
    ew__gguf_tensor_name(role, layer, name);
    tensor.source_columns = tensor.dims[0] = tensor.columns;
    tensor.dims[1] = tensor.rows;
    tensor.n_dims = ew__roles[role].rank == 1 && tensor.rows == 1 ? 1 : 2;
    tensor.type =
        ew__roles[role].rank == 1 ? EW__F32 : ew__matrix_type(type, source, tensor.columns);
    plan_heads(config, role, type == EW__OWN_TYPE, &tensor);
    return ew__plan_add(plan, &tensor);
}

static const char *missing_mtp_tensor(const struct ew__checkpoint *checkpoint,
                                      const struct ew__config *config,
                                      char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    for (int role = 0; role < EW__ROLE_COUNT; role++)
        if (ew__role_in_layer(config, (ew__role)role, config->n_layer) &&
            ew__checkpoint_tensor(checkpoint, (ew__role)role, config->n_layer, name) == NULL)
            return name;
    return NULL;
}

ew_status ew__plan_text(const struct ew__checkpoint *checkpoint, struct ew__config *config,
                        ew__dtype type, struct ew__tensor_plan *plan) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    if (config->n_mtp != 0 && missing_mtp_tensor(checkpoint, config, name) != NULL) {
        ew__log(EW__LOG_WARNING, "the MTP block lacks \"%s\" and is left out", name);
        config->n_mtp = 0;
    }
    EW__TRY(plan_role(checkpoint, config, type, EW__TOKEN_EMBD, 0, plan));
    if (!config->tied)
        EW__TRY(plan_role(checkpoint, config, type, EW__OUTPUT, 0, plan));
    EW__TRY(plan_role(checkpoint, config, type, EW__OUTPUT_NORM, 0, plan));
    for (uint32_t layer = 0; layer < config->n_layer + config->n_mtp; layer++)
        for (int role = 0; role < EW__ROLE_COUNT; role++)
            if (ew__role_in_layer(config, (ew__role)role, layer))
                EW__TRY(plan_role(checkpoint, config, type, (ew__role)role, layer, plan));
    return EW_OK;
}
