// SPDX-License-Identifier: Apache-2.0
#include "bench_batch.h"

#include "measure.h"

#include <string.h>

ew_status bench_batch_open(bench_batch *batch, ew_model *model, size_t n, size_t n_ctx) {
    ew_session_options options = EW_INIT(ew_session_options);
    ew_status status = EW_OK;
    options.n_ctx = (uint32_t)n_ctx;
    for (batch->n = 0; batch->n < n && status == EW_OK; batch->n++)
        status = ew_session_new(model, &options, &batch->sessions[batch->n]);
    return status;
}

void bench_batch_close(bench_batch *batch) {
    for (size_t i = 0; i < batch->n; i++)
        ew_session_free(batch->sessions[i]);
    batch->n = 0;
}

ew_status bench_batch_start(bench_batch *batch, const ew_snapshot *at, const int32_t *first) {
    ew_status status = EW_OK;
    memcpy(batch->next, first, batch->n * sizeof(*first));
    for (size_t i = 0; i < batch->n && status == EW_OK; i++) {
        if (at == NULL)
            ew_session_clear(batch->sessions[i]);
        else
            status = ew_session_restore(batch->sessions[i], at);
    }
    return status;
}

ew_status bench_batch_step(bench_batch *batch) {
    const int32_t *tokens[BENCH_SEQUENCES_MAX];
    size_t ones[BENCH_SEQUENCES_MAX];
    for (size_t i = 0; i < batch->n; i++) {
        tokens[i] = &batch->next[i];
        ones[i] = 1;
    }
    ew_status status = ew_session_eval_batch(batch->sessions, tokens, ones, batch->n);
    for (size_t i = 0; i < batch->n && status == EW_OK; i++)
        batch->next[i] = measure_greedy(batch->sessions[i]);
    return status;
}
