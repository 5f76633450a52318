// SPDX-License-Identifier: Apache-2.0
/* Sessions: one timeline of tokens each, alone or several in one pass. */
#include "runtime/engine.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "model/head.h"

#include <string.h>

enum { default_ctx_max = 32768 };

static ew_status take_memory(ew_session *session) {
    const ew_model *model = session->model;
    const struct ew__memory_layout *layout = &model->ws.layout;
    size_t n_pages = ew__pages_for(session->n_ctx), bytes;
    if (!ew__mul_size(n_pages, layout->page_bytes, &bytes))
        return ew__fail(EW_NO_MEMORY, "%u positions need more memory than can be addressed",
                        session->n_ctx);
    session->kv = ew__alloc_aligned(bytes);
    session->pages = ew__calloc(n_pages, sizeof *session->pages);
    session->state = ew__alloc_aligned(layout->state_floats * sizeof(float));
    session->logits = ew__alloc_aligned(model->model.config->n_vocab * sizeof(float));
    session->last_hidden = ew__calloc(model->model.config->n_embd, sizeof(float));
    if (session->kv == NULL || session->pages == NULL || session->state == NULL ||
        session->logits == NULL || session->last_hidden == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i < n_pages; i++)
        session->pages[i] = session->kv + i * layout->page_bytes;
    return ew__candidates_init(&session->candidates, model->n_usable);
}

ew_status ew_session_new(ew_model *model, const ew_session_options *options, ew_session **out) {
    if (model == NULL || out == NULL || (options != NULL && options->size < sizeof options->size))
        return ew__fail(EW_ARGUMENT,
                        "ew_session_new needs a model, a place for the session, and the "
                        "size set in its options");
    *out = NULL;
    EW__TRY(ew__model_needs_weights(model));
    uint32_t n_ctx = 0, n_ctx_train = model->model.config->n_ctx_train;
    if (options != NULL && options->size >= offsetof(ew_session_options, n_ctx) + sizeof n_ctx)
        n_ctx = options->n_ctx;
    if (n_ctx > n_ctx_train)
        return ew__fail(EW_ARGUMENT, "n_ctx %u is over the model's %u positions", n_ctx,
                        n_ctx_train);
    if (n_ctx == 0)
        n_ctx = n_ctx_train < default_ctx_max ? n_ctx_train : default_ctx_max;
    ew_session *session = ew__calloc(1, sizeof *session);
    if (session == NULL)
        return EW_NO_MEMORY;
    session->model = model;
    session->n_ctx = n_ctx;
    ew_status status = take_memory(session);
    if (status != EW_OK) {
        ew_session_free(session);
        return status;
    }
    *out = session;
    return EW_OK;
}

void ew_session_free(ew_session *session) {
    if (session == NULL)
        return;
    ew__candidates_release(&session->candidates);
    ew__free_aligned(session->kv);
    ew__free(session->pages);
    ew__free_aligned(session->state);
    ew__free_aligned(session->logits);
    ew__free(session->last_hidden);
    ew__free(session);
}

void ew_session_clear(ew_session *session) {
    session->n_past = 0;
    session->has_logits = false;
    memset(session->state, 0, session->model->ws.layout.state_floats * sizeof(float));
}

void ew__session_complete_logits(ew_session *session) {
    ew_model *model = session->model;
    if (!session->has_logits || session->has_best == 0)
        return;
    pthread_mutex_lock(&model->compute);
    ew__pool_use(model->pool, model->n_threads);
    ew__head(&model->ws, session->last_hidden, 1, session->logits);
    pthread_mutex_unlock(&model->compute);
    session->has_best = 0;
}

const float *ew_session_logits(const ew_session *session) {
    ew__session_complete_logits((ew_session *)(uintptr_t)session); // what is told does not change
    return session->has_logits ? session->logits : NULL;
}

size_t ew_session_length(const ew_session *session) {
    return session->n_past;
}

size_t ew_session_capacity(const ew_session *session) {
    return session->n_ctx;
}

void ew_session_cancel(ew_session *session) {
    atomic_store(&session->cancel, true);
}

bool ew__session_take_cancel(ew_session *session) {
    return atomic_exchange_explicit(&session->cancel, false, memory_order_relaxed);
}

ew_status ew_session_footprint(const ew_session *session, ew_footprint *out) {
    if (session == NULL || out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT,
                        "ew_session_footprint needs a session and a struct with its size");
    const ew_model *model = session->model;
    const struct ew__memory_layout *layout = &model->ws.layout;
    ew_footprint footprint = {
        .size = out->size,
        .weight_bytes = ew__model_weight_bytes(&model->model),
        .kv_bytes = ew__pages_for(session->n_ctx) * layout->page_bytes,
        .kv_used_bytes = ew__pages_for(session->n_past) * layout->page_bytes,
        .state_bytes = layout->state_floats * sizeof(float),
        .scratch_bytes = model->ws.arena.total + model->arena.total,
        .logits_bytes = model->model.config->n_vocab * sizeof(float),
    };
    memcpy(out, &footprint, ew__min_size(out->size, sizeof footprint));
    return EW_OK;
}

/* ---- evaluation ---- */

/* One session's share of a call. */
struct share {
    ew_session *session;
    const int32_t *tokens;
    size_t n, done;
};

static ew_status check_share(const struct share *share) {
    const ew_session *session = share->session;
    uint32_t n_vocab = session->model->model.config->n_vocab;
    if (share->tokens == NULL || share->n == 0)
        return ew__fail(EW_ARGUMENT, "no tokens to evaluate");
    if (share->n > session->n_ctx - session->n_past)
        return ew__fail(EW_LIMIT, "%zu tokens after %u do not fit the session's %u positions",
                        share->n, session->n_past, session->n_ctx);
    for (size_t i = 0; i < share->n; i++)
        if (share->tokens[i] < 0 || (uint32_t)share->tokens[i] >= n_vocab)
            return ew__fail(EW_ARGUMENT, "token id %d is outside the vocabulary of %u",
                            share->tokens[i], n_vocab);
    return EW_OK;
}

/* Fills a batch with the next tokens of the shares, in their order, while there is room. */
static void fill_batch(ew_model *model, struct share *shares, size_t n_shares, struct ew__run *runs,
                       size_t *owners, struct ew__batch *batch) {
    batch->n_tokens = batch->n_runs = 0;
    for (size_t i = 0; i < n_shares && batch->n_tokens < model->options.n_batch; i++) {
        struct share *share = &shares[i];
        ew_session *session = share->session;
        size_t room = model->options.n_batch - batch->n_tokens;
        uint32_t n = (uint32_t)ew__min_size(share->n - share->done, room);
        if (n == 0)
            continue;
        for (uint32_t k = 0; k < n; k++) {
            int32_t position = (int32_t)(session->n_past + k);
            model->batch_tokens[batch->n_tokens + k] = share->tokens[share->done + k];
            for (uint32_t axis = 0; axis < 3; axis++)
                model->positions[batch->n_tokens + k][axis] = position;
        }
        owners[batch->n_runs] = i;
        runs[batch->n_runs++] = (struct ew__run){.first = batch->n_tokens,
                                                 .n = n,
                                                 .n_past = session->n_past,
                                                 .pages = session->pages,
                                                 .state = session->state};
        batch->n_tokens += n;
    }
    batch->tokens = model->batch_tokens;
    batch->positions = (const int32_t(*)[3])model->positions;
    batch->runs = runs;
}

/* Advances the shares by what a pass computed. Final states of those that it completed move to the
 * front of model->hidden, where one is alone in a pass it stays (*first is its row): eval_each
 * wants the others, too. Returns how many they are, their sessions in `ended`. */
static size_t advance_shares(ew_model *model, struct share *shares, const struct ew__batch *batch,
                             const size_t *owners, ew_session **ended, size_t *first) {
    size_t H = model->model.config->n_embd, n = 0;
    *first = 0;
    for (uint32_t i = 0; i < batch->n_runs; i++) {
        struct share *share = &shares[owners[i]];
        const struct ew__run *run = &batch->runs[i];
        size_t last = (size_t)run->first + run->n - 1; // >= n: a run has a token at least
        share->session->n_past += run->n;
        share->done += run->n;
        share->session->has_logits = share->done == share->n;
        if (!share->session->has_logits)
            continue;
        if (batch->n_runs == 1)
            *first = last;
        else if (last != n)
            memcpy(model->hidden + n * H, model->hidden + last * H, H * sizeof(float));
        ended[n++] = share->session;
    }
    return n;
}

struct deal_task {
    const float *rows; /* [..][n_vocab] */
    size_t n_vocab;
    ew_session *const *sessions;
};

static void deal_logits(void *context, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const struct deal_task *task = context;
    for (size_t i = begin; i < end; i++) {
        memcpy(task->sessions[i]->logits, task->rows + i * task->n_vocab,
               task->n_vocab * sizeof(float));
        task->sessions[i]->has_best = 0;
    }
}

/* Logits of a session alone, as many as it wants. */
static void take_logits_of(ew_model *model, ew_session *session, const float *hidden) {
    session->has_best = session->want_best;
    if (session->want_best == 0) {
        ew__head(&model->ws, hidden, 1, session->logits);
        return;
    }
    memcpy(session->last_hidden, hidden, model->model.config->n_embd * sizeof(float));
    if (ew__head_best(&model->ws, hidden, model->n_usable, session->want_best, session->logits))
        session->has_best = 0;
}

/* Logits of the last token of every share that a pass completed: the head is read once for all of
 * them, up to EW__HEAD_ROWS. */
static void take_last_logits(ew_model *model, struct share *shares, const struct ew__batch *batch,
                             const size_t *owners) {
    size_t H = model->model.config->n_embd, V = model->model.config->n_vocab, first;
    ew_session *ended[EW__BATCH_SEQUENCES_MAX];
    size_t n = advance_shares(model, shares, batch, owners, ended, &first);
    for (size_t i = 0; i < n; i += EW__HEAD_ROWS) {
        size_t rows = ew__min_size(EW__HEAD_ROWS, n - i);
        const float *hidden = model->hidden + (first + i) * H;
        if (rows == 1) {
            take_logits_of(model, ended[i], hidden);
            continue;
        }
        ew__head(&model->ws, hidden, rows, model->logits_many);
        struct deal_task task = {model->logits_many, V, ended + i};
        ew__pool_run(model->pool, rows, 1, deal_logits, &task);
    }
}

/* Logits of every token of the single run of a pass, a few rows at a time. */
static ew_status give_each(ew_model *model, const struct ew__batch *batch, size_t first,
                           ew_logits_fn *each, void *context) {
    size_t H = model->model.config->n_embd, V = model->model.config->n_vocab;
    for (size_t i = 0; i < batch->n_tokens; i += EW__HEAD_ROWS) {
        size_t rows = ew__min_size(EW__HEAD_ROWS, batch->n_tokens - i);
        ew__no_alloc_begin("the head");
        ew__head(&model->ws, model->hidden + i * H, rows, model->logits_many);
        ew__no_alloc_end();
        for (size_t k = 0; k < rows; k++)
            EW__TRY(each(context, first + i + k, model->logits_many + k * V, V));
    }
    return EW_OK;
}

static bool is_finished(const struct share *shares, size_t n_shares) {
    for (size_t i = 0; i < n_shares; i++)
        if (shares[i].done < shares[i].n)
            return false;
    return true;
}

static ew_status evaluate(struct share *shares, size_t n_shares, ew_logits_fn *each,
                          void *context) {
    ew_model *model = shares[0].session->model;
    struct ew__run runs[EW__BATCH_SEQUENCES_MAX];
    size_t owners[EW__BATCH_SEQUENCES_MAX] = {0}; // the share of each run
    struct ew__batch batch = {0};
    ew_status status = EW_OK;
    pthread_mutex_lock(&model->compute);
    while (status == EW_OK && !is_finished(shares, n_shares)) {
        size_t first = shares[0].done;
        fill_batch(model, shares, n_shares, runs, owners, &batch);
        ew__pool_use(model->pool,
                     batch.n_tokens == batch.n_runs ? model->n_threads : model->n_threads_batch);
        ew__no_alloc_begin("a forward pass");
        ew__forward(&model->ws, &batch, model->hidden);
        take_last_logits(model, shares, &batch, owners);
        ew__no_alloc_end();
        if (each != NULL)
            status = give_each(model, &batch, first, each, context);
        bool go_on = status == EW_OK && !is_finished(shares, n_shares);
        for (size_t i = 0; i < n_shares && go_on; i++) // a request after the last token stays
            if (ew__session_take_cancel(shares[i].session))
                status = ew__fail(EW_CANCELLED, "cancelled");
    }
    pthread_mutex_unlock(&model->compute);
    return status;
}

ew_status ew_session_eval(ew_session *session, const int32_t *tokens, size_t n) {
    return ew_session_eval_each(session, tokens, n, NULL, NULL);
}

ew_status ew_session_eval_each(ew_session *session, const int32_t *tokens, size_t n,
                               ew_logits_fn *each, void *context) {
    if (session == NULL)
        return ew__fail(EW_ARGUMENT, "no session");
    struct share share = {session, tokens, n, 0};
    EW__TRY(check_share(&share));
    return evaluate(&share, 1, each, context);
}

ew_status ew_session_eval_batch(ew_session *const *sessions, const int32_t *const *tokens,
                                const size_t *n, size_t n_sessions) {
    struct share shares[EW__BATCH_SEQUENCES_MAX];
    if (sessions == NULL || tokens == NULL || n == NULL || n_sessions == 0 ||
        n_sessions > EW__BATCH_SEQUENCES_MAX)
        return ew__fail(EW_ARGUMENT, "a batch has 1 to %u sessions", EW__BATCH_SEQUENCES_MAX);
    for (size_t i = 0; i < n_sessions; i++) {
        shares[i] = (struct share){sessions[i], tokens[i], n[i], 0};
        if (sessions[i] == NULL || sessions[i]->model != sessions[0]->model)
            return ew__fail(EW_ARGUMENT, "the sessions of a batch must be of one model");
        for (size_t k = 0; k < i; k++)
            if (sessions[k] == sessions[i])
                return ew__fail(EW_ARGUMENT, "a session stands twice in a batch");
        EW__TRY(check_share(&shares[i]));
    }
    return evaluate(shares, n_sessions, NULL, NULL);
}
