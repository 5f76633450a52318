// SPDX-License-Identifier: Apache-2.0
/* Activations in the form that quantised weights meet (docs/kernels.md, "Activations"). */
#include "base/size.h"
#include "kernels/matmul.h"

void ew__qact_begin(struct ew__qact *q, size_t n, size_t t) {
    q->n_pad = ew__round_up(n, 64);
    q->rest = t;
}

void ew__quantise_row(const struct ew__kernels *kernels, const float *x, size_t n,
                      const struct ew__qact *q, size_t j) {
    size_t blocks = q->n_pad / 32;
    kernels->quantise_act(x, n, q->n_pad, q->q + j * q->n_pad, q->d + j * blocks,
                          q->sum + j * 2 * blocks, q->isum + j * 2 * blocks, q->dsum + j * blocks);
}

void ew__quantise_row_rest(const struct ew__kernels *kernels, const float *x, size_t n,
                           const struct ew__qact *q, size_t j, float *left) {
    kernels->quantise_left(x, q->q + j * q->n_pad, q->d + j * (q->n_pad / 32), left, n);
    ew__quantise_row(kernels, left, n, q, j + q->rest);
}

struct quantise_job {
    const struct ew__kernels *kernels;
    const float *x;
    size_t ldx, n;
    const struct ew__qact *q;
};

static void quantise_tokens(void *context, size_t begin, size_t end, void *scratch) {
    const struct quantise_job *job = context;
    (void)scratch;
    for (size_t j = begin; j < end; j++)
        ew__quantise_row(job->kernels, job->x + j * job->ldx, job->n, job->q, j);
}

void ew__quantise_acts(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q) {
    struct quantise_job job = {kernels, x, ldx, n, q};
    ew__qact_begin(q, n, 0);
    ew__pool_run(pool, t, 8, quantise_tokens, &job);
}

static void quantise_rests(void *context, size_t begin, size_t end, void *scratch) {
    const struct quantise_job *job = context;
    for (size_t j = begin; j < end; j++)
        ew__quantise_row_rest(job->kernels, job->x + j * job->ldx, job->n, job->q, j, scratch);
}

void ew__quantise_rest(const struct ew__kernels *kernels, struct ew__pool *pool, const float *x,
                       size_t ldx, size_t n, size_t t, struct ew__qact *q) {
    struct quantise_job job = {kernels, x, ldx, n, q};
    q->rest = t;
    ew__pool_run(pool, t, 8, quantise_rests, &job);
}
