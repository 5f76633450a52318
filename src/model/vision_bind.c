// SPDX-License-Identifier: Apache-2.0
/* Names -> typed fields of struct ew__vision: every tensor found, its type decodable, its shape
 * right. */
#include "model/vision.h"

#include "base/os.h"
#include "base/size.h"
#include "model/copies.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <string.h>

struct binding {
    struct ew__vision *vision;
    const struct ew__vision_source *source;
};

static ew_status check_shape(const struct ew__tensor *tensor, const char *name, uint64_t columns,
                             uint64_t rows) {
    /* The patch kernel has 4 or 5 dimensions, all but the last of them a row. */
    uint64_t elements = ew__tensor_elements(tensor);
    uint64_t have_rows = tensor->n_dims > 1 ? tensor->dims[tensor->n_dims - 1] : 1;
    uint64_t have_columns = have_rows != 0 ? elements / have_rows : 0;
    if (have_columns != columns || have_rows != rows)
        return ew__fail(EW_FORMAT,
                        "tensor \"%s\" has shape [%" PRIu64 ", %" PRIu64
                        "], the metadata asks for [%" PRIu64 ", %" PRIu64 "]",
                        name, have_rows, have_columns, rows, columns);
    return EW_OK;
}

static const struct ew__tensor *tensor_named(const struct ew__vision_source *source,
                                             struct ew__str name) {
    if (source->gguf != NULL)
        return ew__gguf_tensor(source->gguf, name);
    return source->hf != NULL ? ew__hf_folder_tensor(source->hf, name) : NULL;
}

static ew_status find(const struct binding *b, ew__vision_role role, uint32_t block,
                      const char *suffix, uint64_t columns, uint64_t rows,
                      const struct ew__tensor **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    ew__vision_tensor_name(b->source, role, block, suffix, name);
    *out = tensor_named(b->source, ew__str(name));
    if (*out == NULL)
        return ew__fail(EW_FORMAT, "tensor \"%s\" is missing", name);
    if (!ew__dtype_decodable((ew__dtype)(*out)->type))
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" has type %s, which this build cannot decode",
                        name, ew__dtype_name((*out)->type));
    return check_shape(*out, name, columns, rows);
}

/* Conversions of MLX leave the tower alone, but nothing keeps a folder from having it quantised. */
static ew_status make_rows(const struct binding *b, const struct ew__affine *affine,
                           struct ew__matrix *out) {
    struct ew__pool *pool;
    uint8_t *rows = ew__arena_alloc(&b->vision->arena, out->rows * out->row_bytes);
    if (rows == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__pool_new(1, ew__affine_fill_scratch(&b->source->hf->affine), &pool));
    ew_status status = ew__affine_fill(affine, out->type, NULL, pool, rows);
    ew__pool_free(pool);
    out->data = rows;
    return status;
}

static ew_status bind_matrix(const struct binding *b, ew__vision_role role, uint32_t block,
                             struct ew__matrix *out) {
    const struct ew__vision_role_info *info = &ew__vision_roles[role];
    uint64_t columns = ew__vision_width_of(&b->vision->shape, info->columns), row_bytes;
    uint64_t rows = ew__vision_width_of(&b->vision->shape, info->rows);
    const struct ew__tensor *tensor;
    EW__TRY(find(b, role, block, ".weight", columns, rows, &tensor));
    ew__dtype type = (ew__dtype)tensor->type;
    if (!ew__dtype_row_bytes(type, columns, &row_bytes))
        return ew__fail(EW_FORMAT, "rows of %" PRIu64 " values are no whole blocks of %s", columns,
                        ew__dtype_name(tensor->type));
    *out = (struct ew__matrix){.data = tensor->data,
                               .type = type,
                               .rows = (size_t)rows,
                               .n = (size_t)columns,
                               .row_bytes = (size_t)row_bytes,
                               .decode = ew__dequantize_row};
    return tensor->affine != NULL ? make_rows(b, tensor->affine, out) : EW_OK;
}

static ew_status bind_vector(const struct binding *b, ew__vision_role role, uint32_t block,
                             const char *suffix, uint64_t n, const float **out) {
    const struct ew__tensor *tensor;
    EW__TRY(find(b, role, block, suffix, n, 1, &tensor));
    if (tensor->affine != NULL)
        return ew__fail(EW_UNSUPPORTED, "a vector of the vision tower is quantised");
    float *values = ew__arena_alloc(&b->vision->arena, (size_t)n * sizeof *values);
    if (values == NULL)
        return EW_NO_MEMORY;
    if (!ew__dequantize_row((ew__dtype)tensor->type, tensor->data, values, n))
        return ew__fail(EW_INTERNAL, "a vector of type %s", ew__dtype_name(tensor->type));
    *out = values;
    return EW_OK;
}

static ew_status bind_bias(const struct binding *b, ew__vision_role role, uint32_t block,
                           struct ew__vision_linear *out) {
    return bind_vector(b, role, block, ".bias", out->w.rows, &out->b);
}

static ew_status bind_linear(const struct binding *b, ew__vision_role role, uint32_t block,
                             struct ew__vision_linear *out) {
    EW__TRY(bind_matrix(b, role, block, &out->w));
    return bind_bias(b, role, block, out);
}

static ew_status bind_norm(const struct binding *b, ew__vision_role role, uint32_t block,
                           struct ew__vision_norm *out) {
    EW__TRY(bind_vector(b, role, block, ".weight", b->vision->shape.n_embd, &out->w));
    return bind_vector(b, role, block, ".bias", b->vision->shape.n_embd, &out->b);
}

/* ---- the patch kernel ---- */

bool ew__patch_channels_last(const struct ew__tensor *kernel) {
    return kernel->n_dims == 5 && kernel->dims[0] == 3 && kernel->dims[1] == EW__PATCH_SIDE &&
           kernel->dims[2] == EW__PATCH_SIDE && kernel->dims[3] == EW__PATCH_FRAMES;
}

/* Channels before rows and columns. */
static ew_status check_order(const struct ew__tensor *tensor) {
    if (tensor->dims[0] != EW__PATCH_SIDE || tensor->dims[1] != EW__PATCH_SIDE)
        return ew__fail(EW_UNSUPPORTED,
                        "the vision patch kernel ends in %" PRIu64 " x %" PRIu64 ", not in 16 x 16",
                        tensor->dims[1], tensor->dims[0]);
    return EW_OK;
}

/* One picture's slice [h][3][16][16] into its place of [h][3][2][16][16]. */
static void interleave(const float *slice, float *kernel, size_t rows, size_t frame) {
    const size_t area = EW__PATCH_SIDE * EW__PATCH_SIDE;
    for (size_t plane = 0; plane < 3 * rows; plane++)
        memcpy(kernel + (plane * EW__PATCH_FRAMES + frame) * area, slice + plane * area,
               area * sizeof *kernel);
}

/* GGUF keeps the pictures of a pair in two tensors: an f32 copy in the order of the patches. */
static ew_status bind_split_patch(const struct binding *b, struct ew__matrix *out) {
    static const char *const suffixes[EW__PATCH_FRAMES] = {".weight", ".weight.1"};
    const size_t rows = b->vision->shape.n_embd, half = EW__PATCH_VALUES / EW__PATCH_FRAMES;
    float *kernel = ew__arena_alloc(&b->vision->arena, rows * EW__PATCH_VALUES * sizeof *kernel);
    if (kernel == NULL)
        return EW_NO_MEMORY;
    for (size_t frame = 0; frame < EW__PATCH_FRAMES; frame++) {
        const struct ew__tensor *tensor;
        EW__TRY(find(b, EW__VISION_PATCH, 0, suffixes[frame], half, rows, &tensor));
        EW__TRY(check_order(tensor));
        struct ew__arena scratch = {0};
        float *slice = ew__arena_alloc(&scratch, rows * half * sizeof *slice);
        if (slice == NULL)
            return EW_NO_MEMORY;
        bool decoded =
            ew__dequantize_row((ew__dtype)tensor->type, tensor->data, slice, rows * half);
        if (decoded)
            interleave(slice, kernel, rows, frame);
        ew__arena_release(&scratch);
        if (!decoded)
            return ew__fail(EW_INTERNAL, "a patch kernel of type %s", ew__dtype_name(tensor->type));
    }
    *out = (struct ew__matrix){.data = kernel,
                               .type = EW__F32,
                               .rows = rows,
                               .n = EW__PATCH_VALUES,
                               .row_bytes = EW__PATCH_VALUES * sizeof *kernel};
    return EW_OK;
}

/* MLX's kernel with the channels last: a copy of its elements in the order of the patches,
 * [h][2][16][16][3] -> [h][3][2][16][16]. */
static ew_status bind_channels_last(const struct binding *b, struct ew__matrix *out) {
    EW__TRY(bind_matrix(b, EW__VISION_PATCH, 0, out));
    const struct ew__dtype_info *info = ew__dtype_info((uint32_t)out->type);
    size_t element = info->block_bytes, pixels = EW__PATCH_VALUES / 3;
    uint8_t *kernel = ew__arena_alloc(&b->vision->arena, out->rows * out->row_bytes);
    if (kernel == NULL)
        return EW_NO_MEMORY;
    if (info->block_elements != 1)
        return ew__fail(EW_UNSUPPORTED, "a quantised vision patch kernel");
    for (size_t row = 0; row < out->rows; row++) {
        const uint8_t *from = (const uint8_t *)out->data + row * out->row_bytes;
        for (size_t channel = 0; channel < 3; channel++)
            for (size_t pixel = 0; pixel < pixels; pixel++)
                memcpy(kernel + row * out->row_bytes + (channel * pixels + pixel) * element,
                       from + (pixel * 3 + channel) * element, element);
    }
    out->data = kernel;
    return EW_OK;
}

static ew_status bind_patch(const struct binding *b) {
    struct ew__vision_linear *patch = &b->vision->patch;
    if (b->source->gguf != NULL) {
        EW__TRY(bind_split_patch(b, &patch->w));
    } else {
        const struct ew__tensor *tensor;
        EW__TRY(find(b, EW__VISION_PATCH, 0, ".weight", EW__PATCH_VALUES, b->vision->shape.n_embd,
                     &tensor));
        if (ew__patch_channels_last(tensor)) {
            EW__TRY(bind_channels_last(b, &patch->w));
        } else {
            EW__TRY(check_order(tensor));
            EW__TRY(bind_matrix(b, EW__VISION_PATCH, 0, &patch->w));
        }
    }
    return bind_bias(b, EW__VISION_PATCH, 0, patch);
}

/* ---- all ---- */

static ew_status bind_block(const struct binding *b, uint32_t i, struct ew__vision_block *out) {
    EW__TRY(bind_norm(b, EW__VISION_NORM1, i, &out->norm1));
    EW__TRY(bind_norm(b, EW__VISION_NORM2, i, &out->norm2));
    EW__TRY(bind_linear(b, EW__VISION_QKV, i, &out->qkv));
    EW__TRY(bind_linear(b, EW__VISION_ATTN_OUT, i, &out->out));
    EW__TRY(bind_linear(b, EW__VISION_FC1, i, &out->fc1));
    return bind_linear(b, EW__VISION_FC2, i, &out->fc2);
}

static ew_status bind_all(const struct binding *b) {
    struct ew__vision *v = b->vision;
    EW__TRY(ew__vision_shape_read(b->source, &v->shape));
    EW__TRY(bind_patch(b));
    EW__TRY(bind_matrix(b, EW__VISION_POSITION, 0, &v->positions));
    v->blocks = ew__arena_alloc(&v->arena, v->shape.depth * sizeof *v->blocks);
    if (v->blocks == NULL)
        return EW_NO_MEMORY;
    for (uint32_t i = 0; i < v->shape.depth; i++)
        EW__TRY(bind_block(b, i, &v->blocks[i]));
    EW__TRY(bind_norm(b, EW__MERGER_NORM, 0, &v->merger_norm));
    EW__TRY(bind_linear(b, EW__MERGER_FC1, 0, &v->merger_fc1));
    return bind_linear(b, EW__MERGER_FC2, 0, &v->merger_fc2);
}

ew_status ew__vision_bind(const struct ew__vision_source *source, const struct ew__kernels *kernels,
                          struct ew__vision *out) {
    *out = (struct ew__vision){.kernels = kernels};
    const struct binding binding = {out, source};
    ew_status status = bind_all(&binding);
    if (status != EW_OK)
        ew__vision_close(out);
    return status;
}

ew_status ew__vision_open(const char *path, const struct ew__kernels *kernels,
                          struct ew__vision *out) {
    struct ew__gguf *gguf = NULL;
    struct ew__hf_folder hf = {0};
    struct ew__vision_source source = {0};
    *out = (struct ew__vision){0};
    ew_status status;
    if (ew__path_is_dir(path)) {
        status = ew__hf_folder_open(path, &hf);
        if (status == EW_OK)
            status = ew__hf_folder_read_affine(&hf);
        source.hf = &hf;
    } else {
        status = ew__gguf_open(path, &gguf);
        source.gguf = gguf;
    }
    if (status == EW_OK)
        status = ew__vision_bind(&source, kernels, out);
    if (status != EW_OK) {
        if (strstr(ew_last_error(), path) == NULL)
            ew__fail_in(status, "%s", path);
        ew__gguf_close(gguf);
        ew__hf_folder_close(&hf);
        return status;
    }
    out->gguf = gguf;
    out->hf = hf;
    return EW_OK;
}

void ew__vision_close(struct ew__vision *vision) {
    ew__arena_release(&vision->arena);
    ew__gguf_close(vision->gguf);
    ew__hf_folder_close(&vision->hf);
    *vision = (struct ew__vision){0};
}
