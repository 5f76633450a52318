// SPDX-License-Identifier: Apache-2.0
#include "model/bind.h"

#include "base/mem.h"
#include "base/size.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static ew_status find(const struct ew__model *model, ew__role role, uint32_t layer,
                      const struct ew__tensor **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint64_t columns, rows;
    *out = ew__checkpoint_tensor(&model->checkpoint, role, layer, name);
    if (*out == NULL)
        return ew__fail(EW_FORMAT, "tensor \"%s\" is missing", name);
    if (!ew__dtype_decodable((ew__dtype)(*out)->type))
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" has type %s, which this build cannot decode",
                        name, ew__dtype_name((*out)->type));
    ew__role_shape(model->config, role, &columns, &rows);
    if (ew__roles[role].rank == 1 && (*out)->affine != NULL)
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" is quantised, vectors must not be", name);
    return ew__check_shape(*out, name, columns, rows);
}

static struct ew__matrix matrix_of(const struct ew__tensor *tensor) {
    uint64_t row_bytes = 0;
    (void)ew__dtype_row_bytes((ew__dtype)tensor->type, tensor->dims[0], &row_bytes);
    return (struct ew__matrix){.data = tensor->data,
                               .mapped = tensor->data != NULL,
                               .type = (ew__dtype)tensor->type,
                               .rows = (size_t)(ew__tensor_elements(tensor) / tensor->dims[0]),
                               .n = (size_t)tensor->dims[0],
                               .row_bytes = (size_t)row_bytes,
                               .decode = ew__dequantize_row};
}

static ew_status bind_matrix(struct ew__model *model, ew__role role, uint32_t layer,
                             struct ew__matrix *out) {
    const struct ew__tensor *tensor;
    EW__TRY(find(model, role, layer, &tensor));
    *out = matrix_of(tensor);
    return tensor->affine != NULL ? ew__copies_add(&model->copies, tensor->affine, NULL, out)
                                  : EW_OK;
}

/* A small float tensor as f32, with the change that GGUF conversion makes already made. */
static ew_status bind_vector(struct ew__model *model, ew__role role, uint32_t layer,
                             const float **out) {
    const struct ew__tensor *tensor;
    EW__TRY(find(model, role, layer, &tensor));
    uint64_t n = ew__tensor_elements(tensor);
    float *values = ew__arena_alloc(&model->arena, (size_t)n * sizeof *values);
    if (values == NULL)
        return EW_NO_MEMORY;
    if (!ew__dequantize_row((ew__dtype)tensor->type, tensor->data, values, n))
        return ew__fail(EW_INTERNAL, "a vector of type %s", ew__dtype_name(tensor->type));
    ew__transform transform = ew__checkpoint_transform(&model->checkpoint, role);
    for (uint64_t i = 0; i < n; i++) {
        if (transform == EW__ADD_ONE)
            values[i] += 1.0f;
        if (transform == EW__NEGATE_EXP)
            values[i] = -expf(values[i]);
    }
    *out = values;
    return EW_OK;
}

/* [C][4] as stored -> [4][C], so that channels are contiguous for the kernel. */
static ew_status bind_conv(struct ew__model *model, uint32_t layer, const float **out) {
    const float *stored;
    EW__TRY(bind_vector(model, EW__DELTA_CONV, layer, &stored));
    size_t width = ew__conv_width(model->config);
    float *taps = ew__arena_alloc(&model->arena, 4 * width * sizeof *taps);
    if (taps == NULL)
        return EW_NO_MEMORY;
    for (size_t c = 0; c < width; c++)
        for (size_t tap = 0; tap < 4; tap++)
            taps[tap * width + c] = stored[c * 4 + tap];
    *out = taps;
    return EW_OK;
}

/* ssm_out of a folder whose value heads are grouped: a copy with the columns in GGUF's tiled order,
 * so that a folder and the file converted from it sum in the same order, bit for bit. Only the 4B
 * and 9B need it; it costs 6% of the weights. */
static ew_status bind_delta_out(struct ew__model *model, uint32_t layer, struct ew__matrix *out) {
    const struct ew__config *c = model->config;
    const struct ew__tensor *tensor;
    if (!ew__v_heads_move(c))
        return bind_matrix(model, EW__DELTA_OUT, layer, out);
    EW__TRY(find(model, EW__DELTA_OUT, layer, &tensor));
    *out = matrix_of(tensor);
    if (tensor->affine != NULL) {
        out->type = ew__tiled_type(c, tensor);
        out->row_bytes = out->type == EW__F32 ? out->n * sizeof(float) : out->row_bytes;
        return ew__copies_add(&model->copies, tensor->affine, c, out);
    }
    uint8_t *copy = ew__arena_alloc(&model->arena, out->rows * out->row_bytes);
    if (copy == NULL)
        return EW_NO_MEMORY;
    for (size_t row = 0; row < out->rows; row++)
        ew__tile_v_heads(c, (const uint8_t *)out->data + row * out->row_bytes,
                         copy + row * out->row_bytes, out->row_bytes / c->n_v_head);
    out->data = copy;
    out->mapped = false;
    return EW_OK;
}

static ew_status bind_attention(struct ew__model *model, uint32_t layer,
                                struct ew__attention_weights *out) {
    EW__TRY(bind_matrix(model, EW__ATTN_Q, layer, &out->q));
    EW__TRY(bind_matrix(model, EW__ATTN_K, layer, &out->k));
    EW__TRY(bind_matrix(model, EW__ATTN_V, layer, &out->v));
    EW__TRY(bind_matrix(model, EW__ATTN_OUT, layer, &out->out));
    EW__TRY(bind_vector(model, EW__ATTN_Q_NORM, layer, &out->q_norm));
    return bind_vector(model, EW__ATTN_K_NORM, layer, &out->k_norm);
}

static ew_status bind_delta(struct ew__model *model, uint32_t layer,
                            struct ew__delta_weights *out) {
    EW__TRY(bind_matrix(model, EW__DELTA_QKV, layer, &out->qkv));
    EW__TRY(bind_matrix(model, EW__DELTA_Z, layer, &out->z));
    EW__TRY(bind_matrix(model, EW__DELTA_A, layer, &out->a));
    EW__TRY(bind_matrix(model, EW__DELTA_B, layer, &out->b));
    EW__TRY(bind_delta_out(model, layer, &out->out));
    EW__TRY(bind_conv(model, layer, &out->conv));
    EW__TRY(bind_vector(model, EW__DELTA_DECAY, layer, &out->decay));
    EW__TRY(bind_vector(model, EW__DELTA_DT_BIAS, layer, &out->dt_bias));
    return bind_vector(model, EW__DELTA_NORM, layer, &out->norm);
}

static ew_status bind_layer(struct ew__model *model, uint32_t layer,
                            struct ew__layer_weights *out) {
    out->is_full = layer >= model->config->n_layer || model->config->is_full[layer] != 0;
    EW__TRY(bind_vector(model, EW__ATTN_NORM, layer, &out->attn_norm));
    EW__TRY(bind_vector(model, EW__POST_NORM, layer, &out->post_norm));
    EW__TRY(bind_matrix(model, EW__FFN_GATE, layer, &out->gate));
    EW__TRY(bind_matrix(model, EW__FFN_UP, layer, &out->up));
    EW__TRY(bind_matrix(model, EW__FFN_DOWN, layer, &out->down));
    return out->is_full ? bind_attention(model, layer, &out->attention)
                        : bind_delta(model, layer, &out->delta);
}

/* The embedding decides the vocabulary where the metadata is silent. */
static ew_status bind_embedding(struct ew__model *model) {
    struct ew__config *config = &model->checkpoint.config;
    const struct ew__tensor *embd =
        ew__checkpoint_tensor(&model->checkpoint, EW__TOKEN_EMBD, 0, NULL);
    if (embd != NULL && config->n_vocab == 0 && embd->n_dims == 2 && embd->dims[1] <= EW__VOCAB_MAX)
        config->n_vocab = (uint32_t)embd->dims[1];
    EW__TRY(bind_matrix(model, EW__TOKEN_EMBD, 0, &model->embd));
    EW__TRY(ew__copies_make(&model->copies, &model->embd)); // its rows are read one by one
    model->head = model->embd;
    bool has_head = ew__checkpoint_tensor(&model->checkpoint, EW__OUTPUT, 0, NULL) != NULL;
    if (model->checkpoint.gguf != NULL)
        config->tied = !has_head;
    if (!config->tied)
        EW__TRY(bind_matrix(model, EW__OUTPUT, 0, &model->head));
    return bind_vector(model, EW__OUTPUT_NORM, 0, &model->out_norm);
}

/* Third-party files carry incomplete MTP blocks: then the block is dropped and the gap remembered.
 */
static const char *missing_mtp_role(const struct ew__model *model) {
    uint32_t layer = model->config->n_layer;
    for (ew__role role = 0; role < EW__ROLE_COUNT; role++)
        if (ew__role_in_layer(model->config, role, layer) &&
            ew__checkpoint_tensor(&model->checkpoint, role, layer, NULL) == NULL)
            return ew__roles[role].gguf;
    return NULL;
}

static ew_status bind_mtp(struct ew__model *model) {
    uint32_t layer = model->config->n_layer;
    if (model->config->n_mtp == 0)
        return EW_OK;
    model->mtp_missing = missing_mtp_role(model);
    if (model->mtp_missing != NULL)
        return EW_OK;
    struct ew__mtp_weights *mtp = ew__arena_alloc(&model->arena, sizeof *mtp);
    if (mtp == NULL)
        return EW_NO_MEMORY;
    EW__TRY(bind_matrix(model, EW__MTP_FC, layer, &mtp->fc));
    EW__TRY(bind_vector(model, EW__MTP_NORM_EMBD, layer, &mtp->norm_embd));
    EW__TRY(bind_vector(model, EW__MTP_NORM_HIDDEN, layer, &mtp->norm_hidden));
    EW__TRY(bind_vector(model, EW__MTP_NORM_OUT, layer, &mtp->norm_out));
    EW__TRY(bind_layer(model, layer, &mtp->layer));
    model->mtp = mtp;
    return EW_OK;
}

ew_status ew__bind_weights(struct ew__model *model) {
    EW__TRY(ew__copies_begin(&model->copies, &model->checkpoint.hf.affine));
    EW__TRY(bind_embedding(model));
    size_t bytes = model->config->n_layer * sizeof *model->layers;
    model->layers = ew__arena_alloc(&model->arena, bytes);
    if (model->layers == NULL)
        return EW_NO_MEMORY;
    for (uint32_t i = 0; i < model->config->n_layer; i++)
        EW__TRY(bind_layer(model, i, &model->layers[i]));
    return bind_mtp(model);
}

static ew_status check_tensor_finite(const struct ew__tensor *tensor) {
    uint64_t n = ew__tensor_elements(tensor);
    if (!ew__dtype_decodable((ew__dtype)tensor->type))
        return EW_OK;
    uint64_t block = ew__first_non_finite((ew__dtype)tensor->type, tensor->data, n);
    if (block == UINT64_MAX)
        return EW_OK;
    return ew__fail(EW_FORMAT, "tensor \"%s\" (%s) holds a NaN or infinity in block %" PRIu64,
                    ew__quote(tensor->name.bytes, tensor->name.n), ew__dtype_name(tensor->type),
                    block);
}

ew_status ew__check_finite(const struct ew__model *model) {
    const struct ew__checkpoint *checkpoint = &model->checkpoint;
    size_t n = checkpoint->gguf != NULL ? ew__gguf_tensor_count(checkpoint->gguf)
                                        : ew__safetensors_tensor_count(checkpoint->hf.tensors);
    for (size_t i = 0; i < n; i++)
        EW__TRY(check_tensor_finite(
            checkpoint->gguf != NULL ? ew__gguf_tensor_at(checkpoint->gguf, i)
                                     : ew__safetensors_tensor_at(checkpoint->hf.tensors, i, NULL)));
    return EW_OK;
}
