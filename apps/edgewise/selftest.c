// SPDX-License-Identifier: Apache-2.0
#include "selftest.h"

#include "interrupt.h"
#include "measure.h"

#include <string.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        ew_status try_status = (call);                                                             \
        if (try_status != EW_OK)                                                                   \
            return try_status;                                                                     \
    } while (0)

/* Position in `sessions` of the next free one; a check opens at most SELFTEST_SEQUENCES. */
static ew_status open_session(selftest *t, ew_session **out) {
    size_t at = 0;
    ew_session_options options = EW_INIT(ew_session_options);
    options.n_ctx = (uint32_t)(t->sequences[0].n_prompt + SELFTEST_STEPS + 1);
    while (t->sessions[at] != NULL)
        at++;
    TRY(ew_session_new(t->model, &options, &t->sessions[at]));
    *out = t->sessions[at];
    interrupt_begin(*out);
    return EW_OK;
}

static void close_all(selftest *t) {
    interrupt_end();
    for (size_t i = 0; i < SELFTEST_SEQUENCES; i++) {
        ew_session_free(t->sessions[i]);
        t->sessions[i] = NULL;
    }
    ew_snapshot_free(t->snapshot);
    t->snapshot = NULL;
}

static uint32_t bits(float value) {
    uint32_t out;
    memcpy(&out, &value, sizeof(out));
    return out;
}

static void compare(selftest *t, size_t which, size_t step, const float *logits) {
    const float *expected = t->sequences[which].rows + step * t->n_vocab;
    if (t->difference.found || memcmp(expected, logits, t->n_vocab * sizeof(*logits)) == 0)
        return;
    size_t i = 0;
    while (bits(expected[i]) == bits(logits[i]))
        i++;
    t->difference = (difference){.found = true,
                                 .which = which,
                                 .step = step,
                                 .index = i,
                                 .expected = expected[i],
                                 .got = logits[i]};
}

/* The session stands after row `step` of the sequence: keep the row, or hold it to the kept one. */
static void meet(selftest *t, size_t which, size_t step, ew_session *session) {
    sequence *s = &t->sequences[which];
    const float *logits = ew_session_logits(session);
    if (t->recorded) {
        compare(t, which, step, logits);
        return;
    }
    memcpy(s->rows + step * t->n_vocab, logits, t->n_vocab * sizeof(*logits));
    s->next[step] = measure_greedy(session);
}

/* Evaluates the rest of a sequence whose first `from` tokens are in the session, in pieces. */
static ew_status walk(selftest *t, ew_session *session, size_t which, size_t from, size_t piece) {
    const sequence *s = &t->sequences[which];
    for (size_t at = from; at < s->n_prompt; at += piece) {
        size_t n = s->n_prompt - at < piece ? s->n_prompt - at : piece;
        TRY(ew_session_eval(session, s->prompt + at, n));
    }
    meet(t, which, 0, session);
    for (size_t step = 0; step < SELFTEST_STEPS; step++) {
        TRY(interrupt_seen() ? EW_CANCELLED : ew_session_eval(session, &s->next[step], 1));
        meet(t, which, step + 1, session);
    }
    return EW_OK;
}

static ew_status check_threads(selftest *t, size_t n_threads) {
    ew_session *session;
    TRY(ew_model_set_threads(t->model, (uint32_t)n_threads));
    TRY(open_session(t, &session));
    ew_status status = walk(t, session, 0, 0, t->sequences[0].n_prompt);
    close_all(t); /* before the thread count changes again */
    TRY(status);
    return ew_model_set_threads(t->model, t->threads);
}

/* The model's own chunks: n_batch of the model is what differs. */
static ew_status check_chunk(selftest *t, size_t unused) {
    ew_session *session;
    (void)unused;
    TRY(open_session(t, &session));
    return walk(t, session, 0, 0, t->sequences[0].n_prompt);
}

/* The caller's pieces: several calls instead of one. */
static ew_status check_pieces(selftest *t, size_t piece) {
    ew_session *session;
    TRY(open_session(t, &session));
    return walk(t, session, 0, 0, piece);
}

static ew_status on_each(void *context, size_t index, const float *logits, size_t n_vocab) {
    selftest *t = context;
    (void)n_vocab;
    if (index + 1 == t->sequences[0].n_prompt)
        compare(t, 0, 0, logits);
    return EW_OK;
}

static ew_status check_each(selftest *t, size_t unused) {
    ew_session *session;
    const sequence *s = &t->sequences[0];
    (void)unused;
    TRY(open_session(t, &session));
    TRY(ew_session_eval_each(session, s->prompt, s->n_prompt, on_each, t));
    return walk(t, session, 0, s->n_prompt, 1);
}

/* One round of a batch: sequence i enters with its prompt in round i * stagger and then takes one
 * token a round; those that are not there yet, or are done, sit out. */
static ew_status batch_round(selftest *t, ew_session *const *sessions, size_t n, size_t round,
                             size_t stagger) {
    ew_session *present[SELFTEST_SEQUENCES];
    const int32_t *tokens[SELFTEST_SEQUENCES];
    size_t counts[SELFTEST_SEQUENCES];
    size_t who[SELFTEST_SEQUENCES];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        size_t entry = i * stagger;
        if (round < entry || round - entry > SELFTEST_STEPS)
            continue;
        const sequence *s = &t->sequences[i];
        present[k] = sessions[i];
        tokens[k] = round == entry ? s->prompt : &s->next[round - entry - 1];
        counts[k] = round == entry ? s->n_prompt : 1;
        who[k++] = i;
    }
    if (k == 0)
        return EW_OK;
    TRY(interrupt_seen() ? EW_CANCELLED : ew_session_eval_batch(present, tokens, counts, k));
    for (size_t i = 0; i < k; i++)
        meet(t, who[i], round - who[i] * stagger, present[i]);
    return EW_OK;
}

static ew_status run_batch(selftest *t, size_t n, size_t stagger) {
    ew_session *sessions[SELFTEST_SEQUENCES];
    for (size_t i = 0; i < n; i++)
        TRY(open_session(t, &sessions[i]));
    for (size_t round = 0; round <= SELFTEST_STEPS + (n - 1) * stagger; round++)
        TRY(batch_round(t, sessions, n, round, stagger));
    return EW_OK;
}

static ew_status check_batch(selftest *t, size_t n) {
    return run_batch(t, n, 0);
}

/* Some sequences read their prompts while others already generate. */
static ew_status check_joining(selftest *t, size_t n) {
    return run_batch(t, n, 2);
}

/* Snapshot in the middle of the prompt, go on; back, go on again; and the same in a session that
 * held something else. */
static ew_status check_snapshot(selftest *t, size_t unused) {
    ew_session *session;
    ew_session *other;
    const sequence *s = &t->sequences[0];
    size_t middle = s->n_prompt / 2;
    (void)unused;
    TRY(open_session(t, &session));
    TRY(ew_session_eval(session, s->prompt, middle));
    TRY(ew_session_snapshot(session, &t->snapshot));
    TRY(walk(t, session, 0, middle, s->n_prompt));
    TRY(ew_session_restore(session, t->snapshot));
    TRY(walk(t, session, 0, middle, s->n_prompt));
    TRY(open_session(t, &other));
    TRY(ew_session_eval(other, t->sequences[3].prompt, t->sequences[3].n_prompt));
    TRY(ew_session_restore(other, t->snapshot));
    return walk(t, other, 0, middle, s->n_prompt);
}

/* A snapshot between generated tokens keeps the logits, too. */
static ew_status check_snapshot_end(selftest *t, size_t unused) {
    ew_session *session;
    ew_session *other;
    const sequence *s = &t->sequences[1];
    (void)unused;
    TRY(open_session(t, &session));
    TRY(ew_session_eval(session, s->prompt, s->n_prompt));
    TRY(ew_session_eval(session, s->next, SELFTEST_STEPS / 2));
    TRY(ew_session_snapshot(session, &t->snapshot));
    TRY(open_session(t, &other));
    TRY(ew_session_restore(other, t->snapshot));
    meet(t, 1, SELFTEST_STEPS / 2, other);
    for (size_t step = SELFTEST_STEPS / 2; step < SELFTEST_STEPS; step++) {
        TRY(ew_session_eval(other, &s->next[step], 1));
        meet(t, 1, step + 1, other);
    }
    return EW_OK;
}

static ew_status check_clear(selftest *t, size_t unused) {
    ew_session *session;
    (void)unused;
    TRY(open_session(t, &session));
    TRY(ew_session_eval(session, t->sequences[1].prompt, t->sequences[1].n_prompt));
    ew_session_clear(session);
    TRY(walk(t, session, 0, 0, t->sequences[0].n_prompt));
    ew_session_clear(session);
    return walk(t, session, 0, 0, t->sequences[0].n_prompt);
}

/* The same number of other tokens: a comparison that sees no difference here sees none anywhere. */
static ew_status check_control(selftest *t, size_t unused) {
    ew_session *session;
    (void)unused;
    TRY(open_session(t, &session));
    TRY(ew_session_eval(session, t->sequences[1].prompt, t->sequences[0].n_prompt));
    compare(t, 0, 0, ew_session_logits(session));
    return EW_OK;
}

/* Grouped by n_batch, because another one means opening the model again. */
const check SELFTEST_CHECKS[] = {
    {"other tokens differ", check_control, 0, SELFTEST_CHUNK, true, true},
    {"threads 1, again", check_threads, 1, SELFTEST_CHUNK, false, false},
    {"threads 2", check_threads, 2, SELFTEST_CHUNK, true, false},
    {"threads 3", check_threads, 3, SELFTEST_CHUNK, true, false},
    {"calls of 100 tokens", check_pieces, 100, SELFTEST_CHUNK, false, false},
    {"logits of every token", check_each, 0, SELFTEST_CHUNK, false, false},
    {"batch of 1", check_batch, 1, SELFTEST_CHUNK, false, false},
    {"batch of 2", check_batch, 2, SELFTEST_CHUNK, true, false},
    {"batch of 5", check_batch, 5, SELFTEST_CHUNK, false, false},
    {"batch of 5, joining late", check_joining, 5, SELFTEST_CHUNK, false, false},
    {"snapshot in the prompt", check_snapshot, 0, SELFTEST_CHUNK, true, false},
    {"snapshot in the answer", check_snapshot_end, 0, SELFTEST_CHUNK, true, false},
    {"clear and repeat", check_clear, 0, SELFTEST_CHUNK, false, false},
    {"prefill chunk 64", check_chunk, 0, 64, true, false},
    {"batch of 5, chunk 64", check_batch, 5, 64, false, false},
    {"prefill chunk 7", check_chunk, 0, 7, false, false},
    {"prefill chunk 1", check_chunk, 0, 1, false, false},
};
const size_t SELFTEST_N_CHECKS = sizeof(SELFTEST_CHECKS) / sizeof(SELFTEST_CHECKS[0]);

static ew_status record(selftest *t) {
    ew_session *session;
    TRY(ew_model_set_threads(t->model, 1));
    TRY(open_session(t, &session));
    for (size_t i = 0; i < SELFTEST_SEQUENCES; i++) {
        ew_session_clear(session);
        TRY(walk(t, session, i, 0, t->sequences[i].n_prompt));
    }
    return EW_OK;
}

ew_status selftest_record(selftest *t) {
    t->recorded = false;
    ew_status status = record(t);
    close_all(t);
    TRY(status);
    t->recorded = true;
    return ew_model_set_threads(t->model, t->threads);
}

ew_status selftest_check(selftest *t, const check *c) {
    t->difference = (difference){.found = false};
    ew_status status = c->run(t, c->parameter);
    close_all(t);
    return status;
}
