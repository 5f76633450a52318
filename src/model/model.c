// SPDX-License-Identifier: Apache-2.0
#include "model/model.h"

#include "model/bind.h"
#include "model/pack.h"

#include <string.h>

static ew_status load(struct ew__model *model, const char *path,
                      const struct ew__model_options *options) {
    if (options->no_weights)
        return EW_OK;
    EW__TRY(ew__bind_weights(model));
    if (options->check_finite)
        EW__TRY(ew__check_finite(model));
    if (!options->unpacked)
        EW__TRY(ew__pack_model(model, path, options->no_cache, options->check_finite));
    EW__TRY(ew__copies_make_unpacked(&model->copies));
    ew__copies_end(&model->copies);
    return EW_OK;
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
    ew_status status = load(out, path, options);
    if (status != EW_OK) {
        ew__fail_in(status, "%s", path);
        ew__model_close(out);
    }
    return status;
}

void ew__model_close(struct ew__model *model) {
    ew__pack_store_close(&model->packed);
    ew__copies_release(&model->copies);
    ew__arena_release(&model->arena);
    ew__checkpoint_close(&model->checkpoint);
    *model = (struct ew__model){0};
}

static uint64_t matrix_bytes(const struct ew__matrix *matrix) {
    return (uint64_t)matrix->rows * matrix->row_bytes;
}

#define MATRICES_MAX 8u

/* The matrices that every token of a layer meets. */
static size_t layer_matrices(const struct ew__layer_weights *layer,
                             const struct ew__matrix *out[MATRICES_MAX]) {
    const struct ew__matrix *const full[] = {
        &layer->gate,        &layer->up,          &layer->down,         &layer->attention.q,
        &layer->attention.k, &layer->attention.v, &layer->attention.out};
    const struct ew__matrix *const linear[] = {&layer->gate,      &layer->up,       &layer->down,
                                               &layer->delta.qkv, &layer->delta.z,  &layer->delta.a,
                                               &layer->delta.b,   &layer->delta.out};
    size_t count = (layer->is_full ? sizeof full : sizeof linear) / sizeof full[0];
    memcpy(out, layer->is_full ? full : linear, count * sizeof *out);
    return count;
}

/* Layers that are bound to weights. */
static uint32_t bound_layers(const struct ew__model *model) {
    return model->layers != NULL ? model->config->n_layer : 0;
}

static uint64_t layer_bytes(const struct ew__layer_weights *layer) {
    const struct ew__matrix *matrices[MATRICES_MAX];
    size_t count = layer_matrices(layer, matrices);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += matrix_bytes(matrices[i]);
    return bytes;
}

/* Adds the layer's multiply-adds to those of each type. */
static void count_macs(const struct ew__layer_weights *layer, uint64_t macs[EW__DTYPE_COUNT]) {
    const struct ew__matrix *matrices[MATRICES_MAX];
    size_t count = layer_matrices(layer, matrices);
    for (size_t i = 0; i < count; i++)
        macs[matrices[i]->type] += (uint64_t)matrices[i]->rows * matrices[i]->n;
}

static void count_prompt_macs(const struct ew__model *model, uint64_t macs[EW__DTYPE_COUNT]) {
    memset(macs, 0, EW__DTYPE_COUNT * sizeof *macs);
    for (uint32_t i = 0; i < bound_layers(model); i++)
        count_macs(&model->layers[i], macs);
}

uint64_t ew__model_prompt_macs(const struct ew__model *model) {
    uint64_t macs[EW__DTYPE_COUNT], sum = 0;
    count_prompt_macs(model, macs);
    for (size_t type = 0; type < EW__DTYPE_COUNT; type++)
        sum += macs[type];
    return sum;
}

ew__dtype ew__model_main_type(const struct ew__model *model) {
    uint64_t macs[EW__DTYPE_COUNT];
    size_t most = 0;
    count_prompt_macs(model, macs);
    for (size_t type = 1; type < EW__DTYPE_COUNT; type++)
        most = macs[type] > macs[most] ? type : most;
    return (ew__dtype)most;
}

uint64_t ew__model_bytes_per_token(const struct ew__model *model) {
    uint64_t bytes = matrix_bytes(&model->head);
    for (uint32_t i = 0; i < bound_layers(model); i++)
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

uint64_t ew__model_copied_bytes(const struct ew__model *model) {
    return model->arena.total + ew__copies_bytes(&model->copies);
}
