// SPDX-License-Identifier: Apache-2.0
/* What lies between two products: a token's row goes through all its steps in one parallel region,
 * while it is in the first-level cache. Each step is the kernel that would do it alone, on the same
 * row, so that fusing them changes no bit. */
#include "model/blocks.h"

/* Steps of a row of n floats, in this order; NULL or false leaves one out. */
struct steps {
    struct ew__workspace *ws;
    const float *add;  /* [t][n]: x += add */
    const float *norm; /* [n]: y = rms_norm(x) * norm */
    const float *up;   /* [t][n]: y = silu(y) * up */
    bool quantise;     /* in -> ws->q */
    bool refine;       /* what that left over -> the second terms of ws->q */
    float *x, *y;      /* [t][n] */
    const float *in;   /* [t][ld]: y, or rows that are read only */
    size_t n, ld;
};

static void take_row(const struct steps *steps, size_t j, float *scratch) {
    const struct ew__kernels *kernels = steps->ws->model->kernels;
    size_t n = steps->n;
    size_t at = j * n;
    if (steps->add != NULL)
        kernels->add(steps->x + at, steps->add + at, n);
    if (steps->norm != NULL)
        kernels->rms_norm(steps->x + at, steps->norm, steps->y + at, n,
                          steps->ws->model->config->rms_eps);
    if (steps->up != NULL)
        kernels->silu_mul(steps->y + at, steps->up + at, steps->y + at, n);
    if (steps->quantise)
        ew__quantise_row(kernels, steps->in + j * steps->ld, n, &steps->ws->q, j);
    if (steps->refine)
        ew__quantise_row_rest(kernels, steps->in + j * steps->ld, n, &steps->ws->q, j, scratch);
}

static void take_rows(void *context, size_t begin, size_t end, void *scratch) {
    for (size_t j = begin; j < end; j++)
        take_row(context, j, scratch);
}

static bool reads_q8(const struct ew__workspace *ws, const struct ew__inputs *inputs) {
    for (size_t i = 0; i < inputs->n && !ws->exact; i++)
        if (ew__matmul_wants_q8(ws->model->kernels, inputs->w[i]))
            return true;
    return false;
}

/* Runs the steps for t rows and says what the matrices then read. */
static struct ew__acts run_steps(struct steps *steps, const struct ew__inputs *inputs, size_t t) {
    struct ew__workspace *ws = steps->ws;
    steps->quantise = reads_q8(ws, inputs);
    steps->refine = steps->quantise && inputs->refine;
    if (steps->quantise)
        ew__qact_begin(&ws->q, steps->n, steps->refine ? t : 0);
    ew__pool_run(ws->pool, t, 4, take_rows, steps);
    return (struct ew__acts){
        .x = steps->in, .ldx = steps->ld, .t = t, .q = ws->q, .quantised = steps->quantise};
}

struct ew__acts ew__prepare_acts(struct ew__workspace *ws, const float *x, size_t ldx, size_t t,
                                 const struct ew__inputs *inputs) {
    struct steps steps = {.ws = ws, .in = x, .n = inputs->w[0]->n, .ld = ldx};
    if (reads_q8(ws, inputs))
        return run_steps(&steps, inputs, t);
    return (struct ew__acts){.x = x, .ldx = ldx, .t = t, .q = ws->q};
}

struct ew__acts ew__norm_acts(struct ew__workspace *ws, const float *add, const float *w, size_t t,
                              const struct ew__inputs *inputs) {
    size_t H = ws->model->config->n_embd;
    struct steps steps = {.ws = ws,
                          .add = add,
                          .norm = w,
                          .x = ws->x,
                          .y = ws->normed,
                          .in = ws->normed,
                          .n = H,
                          .ld = H};
    return run_steps(&steps, inputs, t);
}

struct ew__acts ew__silu_acts(struct ew__workspace *ws, float *gate, const float *up, size_t n,
                              size_t t, const struct ew__inputs *inputs) {
    struct steps steps = {.ws = ws, .up = up, .y = gate, .in = gate, .n = n, .ld = n};
    return run_steps(&steps, inputs, t);
}

void ew__norm_rows(struct ew__workspace *ws, const float *w, float *y, size_t t) {
    size_t H = ws->model->config->n_embd;
    struct steps steps = {.ws = ws, .norm = w, .x = ws->x, .y = y, .n = H};
    ew__pool_run(ws->pool, t, 4, take_rows, &steps);
}

void ew__add_out(struct ew__workspace *ws, size_t t) {
    size_t H = ws->model->config->n_embd;
    struct steps steps = {.ws = ws, .add = ws->out, .x = ws->x, .n = H};
    ew__pool_run(ws->pool, t, 16, take_rows, &steps);
}
