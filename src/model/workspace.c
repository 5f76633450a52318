// SPDX-License-Identifier: Apache-2.0
/* The buffers of a forward pass: sized from the shape before anything is taken. */
#include "model/blocks.h"

#include "base/size.h"
#include "model/head.h"

static size_t max3(size_t a, size_t b, size_t c) {
    return ew__max_size(a, ew__max_size(b, c));
}

/* The widest input of any projection. */
static size_t widest_input(const struct ew__config *c) {
    size_t attention = (size_t)c->n_head * c->head_dim;
    return ew__max_size(max3(2 * (size_t)c->n_embd, c->n_ff, attention), ew__value_width(c));
}

size_t ew__forward_scratch_bytes(const struct ew__model *model) {
    return max3(ew__matmul_scratch_bytes(widest_input(model->config)),
                ew__attention_scratch_bytes(model->config), ew__delta_scratch_bytes(model->config));
}

struct buffer {
    float **pointer;
    size_t row_floats, rows;
};

static ew_status take_buffers(struct ew__workspace *ws, const struct buffer *buffers, size_t n) {
    for (size_t i = 0; i < n; i++) {
        *buffers[i].pointer =
            ew__arena_alloc(&ws->arena, buffers[i].row_floats * buffers[i].rows * sizeof(float));
        if (*buffers[i].pointer == NULL)
            return EW_NO_MEMORY;
    }
    return EW_OK;
}

static ew_status take_all(struct ew__workspace *ws) {
    const struct ew__config *c = ws->model->config;
    size_t H = c->n_embd, T = ws->max_tokens, attention = (size_t)c->n_head * c->head_dim;
    size_t kv = (size_t)c->n_head_kv * c->head_dim, conv = ew__conv_width(c),
           V = ew__value_width(c);
    size_t n_pad = ew__round_up(widest_input(c), 64), half = c->n_rot / 2;
    /* one term of the widest input, or two of an input of the delta layers */
    size_t n_q = ew__max_size(n_pad, 2 * ew__round_up(ew__max_size(H, V), 64));
    float *q_bytes = NULL, *isum_words = NULL; // four int8, two int16 in the place of a float
    ws->q.n_pad = n_pad;
    const struct buffer buffers[] = {
        {&ws->x, H, T},
        {&ws->normed, H, T},
        {&ws->out, H, T},
        {&ws->wide, ew__max_size(max3(conv, 2 * attention, c->n_ff), 2 * H), T},
        {&ws->wide2, max3(conv, 2 * kv, c->n_ff), T},
        {&ws->narrow, ew__max_size(V, attention), T},
        {&ws->mixed, ew__max_size(V, attention), T},
        {&ws->heads, 4 * (size_t)c->n_v_head, T},
        {&ws->cosine, half, T},
        {&ws->sine, half, T},
        {&ws->inv_freq, half + 1, 1},
        {&ws->partial, (size_t)c->n_head * (c->head_dim + 2), ew__pages_for(ws->max_ctx)},
        {&q_bytes, n_q / 4, T},
        {&ws->q.d, n_q / 32, T},
        {&ws->q.sum, n_q / 16, T},
        {&ws->q.dsum, n_q / 32, T},
        {&isum_words, n_q / 32, T},
    };
    EW__TRY(take_buffers(ws, buffers, sizeof buffers / sizeof buffers[0]));
    ws->q.q = (int8_t *)q_bytes;
    ws->q.isum = (int16_t *)(void *)isum_words;
    return EW_OK;
}

ew_status ew__workspace_init(struct ew__workspace *ws, const struct ew__model *model,
                             struct ew__pool *pool, const struct ew__workspace_options *options) {
    *ws = (struct ew__workspace){.model = model,
                                 .pool = pool,
                                 .max_tokens = options->max_tokens,
                                 .max_ctx = options->max_ctx,
                                 .exact = options->exact};
    ew__memory_layout_init(&ws->layout, model->config, options->kv_type, options->with_mtp);
    ew_status status = take_all(ws);
    if (status == EW_OK && !options->plain_head)
        status = ew__head_screen_init(&ws->screen, &model->head, &ws->arena);
    if (status == EW_OK)
        ew__rope_init(ws);
    else
        ew__workspace_release(ws);
    return status;
}

void ew__workspace_release(struct ew__workspace *ws) {
    ew__arena_release(&ws->arena);
    *ws = (struct ew__workspace){0};
}
