// SPDX-License-Identifier: Apache-2.0
/* A recurrent state cannot be rolled back, so going back means having kept a copy. */
#include "runtime/engine.h"

#include "base/mem.h"

#include <string.h>

struct ew_snapshot {
    const ew_model *model;
    uint32_t n_past;
    bool has_logits;
    char *kv; /* the pages in use */
    float *state;
    float *logits;
};

static size_t kv_bytes(const ew_session *session) {
    return ew__pages_for(session->n_past) * session->model->ws.layout.page_bytes;
}

ew_status ew_session_snapshot(const ew_session *session, ew_snapshot **out) {
    if (session == NULL || out == NULL)
        return ew__fail(EW_ARGUMENT, "ew_session_snapshot needs a session and a place");
    *out = NULL;
    (void)ew_session_logits(session); // all of them
    size_t state = session->model->ws.layout.state_floats * sizeof(float);
    size_t logits = session->model->model.config->n_vocab * sizeof(float);
    ew_snapshot *snapshot = ew__calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return EW_NO_MEMORY;
    snapshot->kv = ew__alloc(kv_bytes(session));
    snapshot->state = ew__alloc(state);
    snapshot->logits = ew__alloc(logits);
    if (snapshot->kv == NULL || snapshot->state == NULL || snapshot->logits == NULL) {
        ew_snapshot_free(snapshot);
        return EW_NO_MEMORY;
    }
    snapshot->model = session->model;
    snapshot->n_past = session->n_past;
    snapshot->has_logits = session->has_logits;
    memcpy(snapshot->kv, session->kv, kv_bytes(session));
    memcpy(snapshot->state, session->state, state);
    memcpy(snapshot->logits, session->logits, logits);
    *out = snapshot;
    return EW_OK;
}

ew_status ew_session_restore(ew_session *session, const ew_snapshot *snapshot) {
    if (session == NULL || snapshot == NULL || snapshot->model != session->model)
        return ew__fail(EW_ARGUMENT,
                        "a snapshot fits only sessions of the model it was taken from");
    if (snapshot->n_past > session->n_ctx)
        return ew__fail(EW_LIMIT, "a snapshot of %u tokens does not fit %u positions",
                        snapshot->n_past, session->n_ctx);
    session->n_past = snapshot->n_past;
    session->has_logits = snapshot->has_logits;
    session->has_best = 0;
    memcpy(session->kv, snapshot->kv, kv_bytes(session));
    memcpy(session->state, snapshot->state, session->model->ws.layout.state_floats * sizeof(float));
    memcpy(session->logits, snapshot->logits,
           session->model->model.config->n_vocab * sizeof(float));
    return EW_OK;
}

void ew_snapshot_free(ew_snapshot *snapshot) {
    if (snapshot == NULL)
        return;
    ew__free(snapshot->kv);
    ew__free(snapshot->state);
    ew__free(snapshot->logits);
    ew__free(snapshot);
}
