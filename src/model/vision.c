// SPDX-License-Identifier: Apache-2.0
/* The vision tower's forward pass. Every step works on rows of patches that do not see each other,
 * but attention, which stays inside a temporal patch: so a call goes through whole temporal patches
 * in passes of bounded size, and through the wide layers in chunks. */
#include "model/vision_pass.h"

#include "base/limits.h"
#include "base/size.h"
#include "quant/quant.h"

/* ---- steps over rows ---- */

struct rows_task {
    struct ew__vision_pass *pass;
    const struct ew__vision_norm *norm;
    const float *x, *b;
    float *y;
    size_t n; /* width of a row */
};

static void norm_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct rows_task *task = context;
    const struct ew__vision *v = task->pass->vision;
    for (size_t i = begin; i < end; i++)
        v->kernels->layer_norm(task->x + i * task->n, task->norm->w, task->norm->b,
                               task->y + i * task->n, task->n, v->shape.norm_eps);
}

static void layer_norm(struct ew__vision_pass *pass, const struct ew__vision_norm *norm,
                       const float *x, float *y, size_t t) {
    struct rows_task task = {
        .pass = pass, .norm = norm, .x = x, .y = y, .n = pass->vision->shape.n_embd};
    ew__pool_run(pass->pool, t, 8, norm_task, &task);
}

static void bias_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct rows_task *task = context;
    for (size_t i = begin; i < end; i++)
        task->pass->vision->kernels->add(task->y + i * task->n, task->b, task->n);
}

/* y[t][rows] = W x + b */
static void linear(struct ew__vision_pass *pass, const struct ew__vision_linear *layer,
                   const float *x, float *y, size_t t) {
    const struct ew__acts acts = {.x = x, .ldx = layer->w.n, .t = t};
    ew__matmul(pass->vision->kernels, pass->pool, &layer->w, &acts, true, y, layer->w.rows);
    struct rows_task task = {.pass = pass, .b = layer->b, .y = y, .n = layer->w.rows};
    ew__pool_run(pass->pool, t, 8, bias_task, &task);
}

static void add_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct rows_task *task = context;
    task->pass->vision->kernels->add(task->y + begin * task->n, task->x + begin * task->n,
                                     (end - begin) * task->n);
}

/* y += x over t rows of h */
static void add_rows(struct ew__vision_pass *pass, float *y, const float *x, size_t t) {
    struct rows_task task = {.pass = pass, .x = x, .y = y, .n = pass->vision->shape.n_embd};
    ew__pool_run(pass->pool, t, 16, add_task, &task);
}

struct gelu_task {
    ew__gelu_tanh_fn *gelu; /* of either form */
    float *y;
    size_t n;
};

static void gelu_task(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct gelu_task *task = context;
    task->gelu(task->y + begin * task->n, task->y + begin * task->n, (end - begin) * task->n);
}

static void gelu_rows(struct ew__vision_pass *pass, ew__gelu_tanh_fn *gelu, float *y, size_t n,
                      size_t t) {
    struct gelu_task task = {gelu, y, n};
    ew__pool_run(pass->pool, t, 4, gelu_task, &task);
}

/* ---- patches ---- */

void ew__vision_axis(uint32_t side, uint32_t n, uint32_t i, uint32_t *low, uint32_t *high,
                     float *fraction) {
    double place = n > 1 ? (double)i * (side - 1) / (n - 1) : 0;
    *low = (uint32_t)place;
    *high = *low + 1 < side ? *low + 1 : side - 1;
    *fraction = (float)(place - *low);
}

/* Bilinear mean of four rows of the position table, for every patch of one frame. */
static void position_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct rows_task *task = context;
    const struct ew__vision *v = task->pass->vision;
    const struct ew__grid grid = task->pass->input->grid;
    const uint32_t side = v->shape.side;
    float *entry = scratch;
    for (size_t i = begin; i < end; i++) {
        uint32_t at[2], rows[2], columns[2];
        float down, right, *out = task->y + i * task->n;
        ew__patch_at(grid.w, (uint32_t)i, &at[0], &at[1]);
        ew__vision_axis(side, grid.h, at[0], &rows[0], &rows[1], &down);
        ew__vision_axis(side, grid.w, at[1], &columns[0], &columns[1], &right);
        const float weights[4] = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
                                  down * right};
        for (size_t corner = 0; corner < 4; corner++) {
            size_t index = (size_t)rows[corner / 2] * side + columns[corner % 2];
            const char *row = (const char *)v->positions.data + index * v->positions.row_bytes;
            (void)ew__dequantize_row(v->positions.type, row, entry, task->n); // checked at binding
            v->kernels->scale(entry, weights[corner], corner == 0 ? out : entry, task->n);
            if (corner > 0)
                v->kernels->add(out, entry, task->n);
        }
    }
}

/* Patch embedding plus learned positions, which are the same for every temporal patch. */
static void embed(struct ew__vision_pass *pass) {
    const size_t h = pass->vision->shape.n_embd;
    linear(pass, &pass->vision->patch, pass->patches, pass->x, pass->n);
    ew__vision_trace(pass, "patch_embed", 0, pass->x, pass->n, h);
    struct rows_task task = {.pass = pass, .y = pass->mixed, .n = h};
    ew__pool_run(pass->pool, pass->frame, 4, position_task, &task);
    ew__vision_trace(pass, "pos_embed", 0, pass->mixed, pass->frame, h);
    for (size_t frame = 0; frame < pass->frames; frame++)
        add_rows(pass, pass->x + frame * pass->frame * h, pass->mixed, pass->frame);
}

/* ---- blocks ---- */

static size_t chunk_at(const struct ew__vision_pass *pass, size_t first) {
    return ew__min_size(EW__VISION_CHUNK, pass->n - first);
}

/* x += out( attend( qkv( norm1(x) ) ) ); x += fc2( gelu_tanh( fc1( norm2(x) ) ) ) */
static void block(struct ew__vision_pass *pass, const struct ew__vision_block *w, uint32_t layer) {
    const struct ew__vision_shape *shape = &pass->vision->shape;
    const size_t h = shape->n_embd;
    for (size_t i = 0; i < pass->n; i += EW__VISION_CHUNK) {
        size_t t = chunk_at(pass, i);
        layer_norm(pass, &w->norm1, pass->x + i * h, pass->normed, t);
        linear(pass, &w->qkv, pass->normed, pass->wide, t);
        ew__vision_place_heads(pass, i, t);
    }
    ew__vision_attend(pass);
    for (size_t i = 0; i < pass->n; i += EW__VISION_CHUNK) {
        size_t t = chunk_at(pass, i);
        float *x = pass->x + i * h;
        linear(pass, &w->out, pass->mixed + i * h, pass->normed, t);
        add_rows(pass, x, pass->normed, t);
        layer_norm(pass, &w->norm2, x, pass->normed, t);
        linear(pass, &w->fc1, pass->normed, pass->wide, t);
        gelu_rows(pass, pass->vision->kernels->gelu_tanh, pass->wide, shape->n_ff, t);
        linear(pass, &w->fc2, pass->wide, pass->normed, t);
        add_rows(pass, x, pass->normed, t);
    }
    ew__vision_trace(pass, "blocks", layer, pass->x, pass->n, h);
}

/* features = fc2( gelu_erf( fc1( the four normed patches of a token ) ) ) */
static void merge(struct ew__vision_pass *pass) {
    const struct ew__vision *v = pass->vision;
    const size_t h = v->shape.n_embd, merged = EW__TOKEN_PATCHES * h;
    for (size_t i = 0; i < pass->n; i += EW__VISION_CHUNK) {
        size_t t = chunk_at(pass, i), tokens = t / EW__TOKEN_PATCHES;
        float *features = pass->features + i / EW__TOKEN_PATCHES * v->shape.n_out;
        layer_norm(pass, &v->merger_norm, pass->x + i * h, pass->normed, t);
        linear(pass, &v->merger_fc1, pass->normed, pass->wide, tokens);
        gelu_rows(pass, v->kernels->gelu_erf, pass->wide, merged, tokens);
        linear(pass, &v->merger_fc2, pass->wide, features, tokens);
    }
    ew__vision_trace(pass, "features", 0, pass->features, pass->n / EW__TOKEN_PATCHES,
                     v->shape.n_out);
}

static void run_pass(struct ew__vision_pass *pass) {
    embed(pass);
    for (uint32_t i = 0; i < pass->vision->shape.depth; i++)
        block(pass, &pass->vision->blocks[i], i);
    merge(pass);
}

/* ---- memory ---- */

size_t ew__vision_scratch_bytes(const struct ew__vision *vision) {
    const struct ew__vision_shape *s = &vision->shape;
    size_t widest = ew__max_size(EW__TOKEN_PATCHES * (size_t)s->n_embd,
                                 ew__max_size(s->n_ff, EW__PATCH_VALUES));
    return ew__max_size(ew__matmul_scratch_bytes(widest),
                        ew__vision_attention_scratch_bytes(vision));
}

static ew_status check_grid(struct ew__grid grid) {
    uint64_t frame = (uint64_t)grid.h * grid.w, patches;
    if (frame == 0 || grid.t == 0 || grid.h % EW__PATCH_MERGE != 0 ||
        grid.w % EW__PATCH_MERGE != 0 || !ew__mul_u64(frame, grid.t, &patches) ||
        patches > EW__VISION_PATCHES_MAX)
        return ew__fail(EW_LIMIT,
                        "a grid of %u x %u x %u patches: height and width must be even, at most %u "
                        "patches in all",
                        grid.t, grid.h, grid.w, EW__VISION_PATCHES_MAX);
    return EW_OK;
}

/* Temporal patches that one pass takes. */
static uint32_t frames_per_pass(struct ew__grid grid) {
    uint32_t fit = EW__VISION_PASS_PATCHES / (grid.h * grid.w);
    fit = fit == 0 ? 1 : fit;
    return fit < grid.t ? fit : grid.t;
}

#define BUFFERS 7

struct buffer {
    float **pointer;
    uint64_t rows, width;
};

static void list_buffers(struct ew__vision_pass *pass, struct buffer out[BUFFERS]) {
    const struct ew__vision_shape *s = &pass->vision->shape;
    const struct ew__grid grid = pass->input->grid;
    const uint64_t h = s->n_embd, n = (uint64_t)grid.h * grid.w * frames_per_pass(grid);
    const uint64_t chunk = n < EW__VISION_CHUNK ? n : EW__VISION_CHUNK;
    const uint64_t places = grid.h > grid.w ? grid.h : grid.w, m = h / s->n_head / 4;
    const struct buffer buffers[BUFFERS] = {
        {&pass->x, n, h},
        {&pass->mixed, n, h},
        {&pass->heads, n, 3 * h},
        {&pass->normed, chunk, h},
        {&pass->wide, chunk, 3 * h > s->n_ff ? 3 * h : s->n_ff},
        {&pass->cosine, places, m},
        {&pass->sine, places, m},
    };
    for (size_t i = 0; i < BUFFERS; i++)
        out[i] = buffers[i];
}

static bool buffer_bytes(const struct buffer *buffer, uint64_t *bytes) {
    return ew__mul_u64(buffer->rows, buffer->width, bytes) &&
           ew__mul_u64(*bytes, sizeof(float), bytes) && *bytes <= SIZE_MAX / 2;
}

ew_status ew__vision_call_bytes(const struct ew__vision *vision, struct ew__grid grid,
                                size_t *bytes) {
    const struct ew__vision_input input = {.grid = grid};
    struct ew__vision_pass pass = {.vision = vision, .input = &input};
    struct buffer buffers[BUFFERS];
    EW__TRY(check_grid(grid));
    list_buffers(&pass, buffers);
    *bytes = 0;
    for (size_t i = 0; i < BUFFERS; i++) {
        uint64_t one;
        if (!buffer_bytes(&buffers[i], &one) ||
            !ew__add_size(*bytes, ew__round_up((size_t)one, 64), bytes))
            return ew__fail(EW_LIMIT, "a picture of %u x %u patches needs too much memory", grid.w,
                            grid.h);
    }
    return EW_OK;
}

static ew_status take_buffers(struct ew__vision_pass *pass, struct ew__arena *arena) {
    struct buffer buffers[BUFFERS];
    list_buffers(pass, buffers);
    for (size_t i = 0; i < BUFFERS; i++) {
        *buffers[i].pointer =
            ew__arena_alloc(arena, (size_t)(buffers[i].rows * buffers[i].width * sizeof(float)));
        if (*buffers[i].pointer == NULL)
            return EW_NO_MEMORY;
    }
    return EW_OK;
}

ew_status ew__vision_forward(const struct ew__vision *vision, struct ew__pool *pool,
                             const struct ew__vision_input *input, float *features) {
    struct ew__vision_pass pass = {.vision = vision, .pool = pool, .input = input};
    struct ew__arena arena = {0};
    size_t bytes;
    EW__TRY(ew__vision_call_bytes(vision, input->grid, &bytes));
    ew_status status = take_buffers(&pass, &arena);
    if (status == EW_OK) {
        const uint32_t most = frames_per_pass(input->grid);
        pass.frame = input->grid.h * input->grid.w;
        ew__vision_rope_tables(&pass);
        for (uint32_t t = 0; t < input->grid.t; t += most) {
            size_t before = (size_t)t * pass.frame;
            pass.frames = most < input->grid.t - t ? most : input->grid.t - t;
            pass.n = (size_t)pass.frame * pass.frames;
            pass.patches = input->patches + before * EW__PATCH_VALUES;
            pass.features = features + before / EW__TOKEN_PATCHES * vision->shape.n_out;
            run_pass(&pass);
        }
    }
    ew__arena_release(&arena);
    return status;
}
