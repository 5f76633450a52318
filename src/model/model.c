// SPDX-License-Identifier: Apache-2.0
#include "model/model.h"

#include "model/bind.h"

static ew_status load(struct ew__model *model, const struct ew__model_options *options) {
    EW__TRY(ew__bind_weights(model));
    return options->check_finite ? ew__check_finite(model) : EW_OK;
}

ew_status ew__model_open(const char *path, const struct ew__model_options *options,
                         struct ew__model *out) {
    *out = (struct ew__model){0};
    out->kernels = ew__kernels_select(options->isa);
    if (out->kernels == NULL)
        return ew__fail(EW_ARGUMENT, "instruction set \"%s\" is unknown or cannot run here",
                        options->isa != NULL ? options->isa : "from EDGEWISE_ISA");
    EW__TRY(ew__checkpoint_open(path, &out->checkpoint));
    out->config = &out->checkpoint.config;
    ew_status status = load(out, options);
    if (status != EW_OK) {
        ew__fail_in(status, "%s", path);
        ew__model_close(out);
    }
    return status;
}

void ew__model_close(struct ew__model *model) {
    ew__arena_release(&model->arena);
    ew__checkpoint_close(&model->checkpoint);
    *model = (struct ew__model){0};
}

static uint64_t matrix_bytes(const struct ew__matrix *matrix) {
    return (uint64_t)matrix->rows * matrix->row_bytes;
}

static uint64_t layer_bytes(const struct ew__layer_weights *layer) {
    uint64_t bytes =
        matrix_bytes(&layer->gate) + matrix_bytes(&layer->up) + matrix_bytes(&layer->down);
    if (layer->is_full)
        return bytes + matrix_bytes(&layer->attention.q) + matrix_bytes(&layer->attention.k) +
               matrix_bytes(&layer->attention.v) + matrix_bytes(&layer->attention.out);
    return bytes + matrix_bytes(&layer->delta.qkv) + matrix_bytes(&layer->delta.z) +
           matrix_bytes(&layer->delta.a) + matrix_bytes(&layer->delta.b) +
           matrix_bytes(&layer->delta.out);
}

uint64_t ew__model_bytes_per_token(const struct ew__model *model) {
    uint64_t bytes = matrix_bytes(&model->head);
    for (uint32_t i = 0; i < model->config->n_layer; i++)
        bytes += layer_bytes(&model->layers[i]);
    return bytes;
}

uint64_t ew__model_weight_bytes(const struct ew__model *model) {
    uint64_t bytes = ew__model_bytes_per_token(model) + model->arena.total;
    if (!model->config->tied)
        bytes += matrix_bytes(&model->embd);
    if (model->mtp != NULL)
        bytes += matrix_bytes(&model->mtp->fc) + layer_bytes(&model->mtp->layer);
    return bytes;
}
