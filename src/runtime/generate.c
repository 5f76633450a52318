// SPDX-License-Identifier: Apache-2.0
/* The loop: prompt in, then choose, tell, evaluate, until something says stop. */
#include "runtime/engine.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "model/head.h"

#include <string.h>

struct generation {
    ew_session *session;
    ew_generate_options options;
    ew_generate_result result;
    ew_token_fn *each;
    void *context;
    struct ew__decode_stream stream;
    struct ew__buf text; /* what one token completes; room for the longest is taken beforehand */
    uint64_t random;
};

/* How many of the largest logits a choice depends on; 0: all. One beyond top_k tells the sampler
 * that there are more, which is all that it asks of them. */
static uint32_t best_needed(const ew_sampling *s) {
    if (!(s->temperature > 0))
        return 1;
    bool few = s->top_k > 0 && s->top_k < EW__HEAD_BEST_MAX;
    return few && s->temperature >= 1e-3F ? (uint32_t)s->top_k + 1 : 0;
}

ew_status ew_session_sample(ew_session *session, const ew_sampling *sampling, uint64_t *random,
                            int32_t *token) {
    const ew_sampling greedy = EW_INIT(ew_sampling);
    if (session == NULL || random == NULL || token == NULL)
        return ew__fail(EW_ARGUMENT, "ew_session_sample needs a session, a generator and a place");
    if (!session->has_logits)
        return ew__fail(EW_STATE, "the session has evaluated no token yet");
    const ew_sampling *chosen = sampling != NULL ? sampling : &greedy;
    const ew_model *model = session->model;
    EW__TRY(ew__sampling_check(chosen));
    uint32_t needed = best_needed(chosen);
    if (needed == 0 || needed > session->has_best)
        ew__session_complete_logits(session);
    if (chosen->temperature > 0)
        *token = ew__sample(&session->candidates, session->logits, model->n_usable, chosen, random);
    else // what ew__sample would find, on vectors
        *token = (int32_t)model->model.kernels->argmax(session->logits, model->n_usable);
    return EW_OK;
}

static bool is_stop(const struct generation *g, int32_t token) {
    const ew_model *model = g->session->model;
    if (g->options.ignore_stop)
        return false;
    for (size_t i = 0; i < model->n_stop_tokens; i++)
        if (model->stop_tokens[i] == token)
            return true;
    for (size_t i = 0; i < g->options.n_stop_tokens; i++)
        if (g->options.stop_tokens[i] == token)
            return true;
    return false;
}

/* Tells the caller; false when it wants no more. */
static ew_status tell(struct generation *g, int32_t token, bool *go_on) {
    const ew_model *model = g->session->model;
    ew__buf_clear(&g->text);
    if (model->tokenizer != NULL)
        EW__TRY(ew__decode_next(model->tokenizer, &g->stream, token, g->options.show_control,
                                &g->text));
    struct ew__str text = ew__buf_str(&g->text);
    *go_on = g->each == NULL || g->each(g->context, token, text.bytes, text.n);
    return EW_OK;
}

/* Bytes of an unfinished character at the end are told as U+FFFD, with token -1. */
static ew_status tell_rest(struct generation *g) {
    ew__buf_clear(&g->text);
    EW__TRY(ew__decode_finish(&g->stream, &g->text));
    if (g->text.n != 0 && g->each != NULL)
        (void)g->each(g->context, -1, g->text.bytes, g->text.n);
    return EW_OK;
}

static bool is_full(const struct generation *g) {
    return (g->options.max_tokens != 0 && g->result.n_generated >= g->options.max_tokens) ||
           g->session->n_past >= g->session->n_ctx;
}

static ew_status decode(struct generation *g) {
    ew_session *session = g->session;
    g->result.finish = EW_FINISH_LENGTH;
    while (!is_full(g)) {
        int32_t token;
        bool go_on;
        EW__TRY(ew_session_sample(session, &g->options.sampling, &g->random, &token));
        if (is_stop(g, token)) {
            g->result.finish = EW_FINISH_STOP;
            break;
        }
        g->result.n_generated++;
        EW__TRY(tell(g, token, &go_on));
        EW__TRY(ew_session_eval(session, &token, 1));
        if (!go_on || ew__session_take_cancel(session)) {
            g->result.finish = EW_FINISH_CALLER;
            break;
        }
    }
    return tell_rest(g);
}

static ew_status generate(struct generation *g, const int32_t *prompt, size_t n_prompt) {
    uint64_t start = ew__now_ns();
    if (n_prompt != 0)
        EW__TRY(ew_session_eval(g->session, prompt, n_prompt));
    g->result.n_prompt = n_prompt;
    uint64_t middle = ew__now_ns();
    g->result.prefill_seconds = (double)(middle - start) * 1e-9;
    ew_status status = decode(g);
    g->result.decode_seconds = (double)(ew__now_ns() - middle) * 1e-9;
    return status;
}

static ew_status read_options(const ew_generate_options *from, ew_generate_options *to) {
    *to = (ew_generate_options)EW_INIT(ew_generate_options);
    if (from == NULL)
        return EW_OK;
    if (from->size < sizeof from->size)
        return ew__fail(EW_ARGUMENT, "the option struct's size field is not set");
    memcpy(to, from, ew__min_size(from->size, sizeof *to));
    if (to->n_stop_tokens != 0 && to->stop_tokens == NULL)
        return ew__fail(EW_ARGUMENT, "n_stop_tokens without stop_tokens");
    return ew__sampling_check(&to->sampling);
}

ew_status ew_generate(ew_session *session, const int32_t *prompt, size_t n_prompt,
                      const ew_generate_options *options, ew_token_fn *each, void *context) {
    struct generation g = {.session = session, .each = each, .context = context};
    if (session == NULL || (prompt == NULL && n_prompt != 0))
        return ew__fail(EW_ARGUMENT, "ew_generate needs a session and a prompt");
    EW__TRY(read_options(options, &g.options));
    g.random = g.options.sampling.seed;
    session->want_best = best_needed(&g.options.sampling);
    ew__buf_init(&g.text, 2 * EW__TOKEN_BYTES_MAX + 64);
    ew_status status = ew__buf_reserve(&g.text, EW__TOKEN_BYTES_MAX + 16);
    if (status == EW_OK)
        status = generate(&g, prompt, n_prompt);
    ew__buf_release(&g.text);
    session->want_best = 0;
    if (g.options.result != NULL)
        *g.options.result = g.result;
    return status;
}

ew_status ew_generate_text(ew_session *session, const char *prompt,
                           const ew_generate_options *options, ew_token_fn *each, void *context) {
    int32_t *ids = NULL;
    size_t count = 0;
    if (session == NULL || prompt == NULL)
        return ew__fail(EW_ARGUMENT, "ew_generate_text needs a session and a prompt");
    EW__TRY(ew_tokenize(session->model, prompt, strlen(prompt), EW_TOKENIZE_SPECIAL, &ids, &count));
    ew_status status = ew_generate(session, ids, count, options, each, context);
    ew__free(ids);
    return status;
}
