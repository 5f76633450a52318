// SPDX-License-Identifier: Apache-2.0
/* The public API on the model in the repository: what sessions promise, cut in every way. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "edgewise/edgewise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "tests/data/models/random.gguf"

enum { tokens_max = 600, vocab_max = 1024 };

static int32_t tokens[tokens_max];

static int make_tokens(void **state) {
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < tokens_max; i++) {
        x = x * 1664525u + 1013904223u;
        tokens[i] = (int32_t)(x >> 8) % 560;
    }
    return 0;
}

static ew_model *load(uint32_t n_threads, uint32_t n_batch, ew_kv_type kv, bool exact) {
    ew_model *model;
    ew_model_options options = EW_INIT(ew_model_options);
    options.n_threads = n_threads;
    options.n_batch = n_batch;
    options.kv_type = kv;
    options.exact = exact;
    if (ew_model_load(MODEL, &options, &model) != EW_OK)
        fail_msg("%s", ew_last_error());
    return model;
}

static ew_session *open_session(ew_model *model) {
    ew_session *session;
    if (ew_session_new(model, NULL, &session) != EW_OK)
        fail_msg("%s", ew_last_error());
    return session;
}

static void must_eval(ew_session *session, const int32_t *ids, size_t n) {
    if (ew_session_eval(session, ids, n) != EW_OK)
        fail_msg("%s", ew_last_error());
}

static size_t vocab_of(const ew_model *model) {
    ew_model_info info = EW_INIT(ew_model_info);
    assert_int_equal(ew_model_get_info(model, &info), EW_OK);
    assert_true(info.n_vocab <= vocab_max);
    return info.n_vocab;
}

/* Logits after n tokens, computed with the given threads and chunk. */
static void logits_of(uint32_t n_threads, uint32_t n_batch, ew_kv_type kv, bool exact, size_t n,
                      float *out) {
    ew_model *model = load(n_threads, n_batch, kv, exact);
    ew_session *session = open_session(model);
    must_eval(session, tokens, n);
    memcpy(out, ew_session_logits(session), vocab_of(model) * sizeof *out);
    ew_session_free(session);
    ew_model_free(model);
}

/* Prompts reach over the first page of keys, 256 positions. */
static void threads_and_chunks_do_not_show(void **state) {
    (void)state;
    enum { n = 300 };
    static float want[vocab_max], got[vocab_max];
    static const struct {
        uint32_t threads, chunk;
    } cuts[] = {{2, 512}, {3, 512}, {1, 1}, {2, 7}, {3, 64}, {2, 299}};
    static const ew_kv_type types[] = {EW_KV_F16, EW_KV_F32, EW_KV_Q8_0, EW_KV_Q4_0};
    for (size_t type = 0; type < sizeof types / sizeof types[0]; type++) {
        bool exact = types[type] == EW_KV_F32;
        logits_of(1, 512, types[type], exact, n, want);
        for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
            logits_of(cuts[i].threads, cuts[i].chunk, types[type], exact, n, got);
            assert_memory_equal(got, want, sizeof want);
        }
    }
}

/* Normalised mean square error of logits after 300 tokens against keys and values in F32, both with
 * f32 activations: int8 ones answer the smallest change with whole steps. */
static double kv_error(ew_kv_type kv) {
    enum { n = 300 };
    static float want[vocab_max], got[vocab_max];
    double error = 0, size = 0;
    logits_of(2, 512, EW_KV_F32, true, n, want);
    logits_of(2, 512, kv, true, n, got);
    for (size_t i = 0; i < vocab_max; i++) {
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        size += (double)want[i] * (double)want[i];
    }
    return error / size;
}

/* Each type costs what its bits say: it is in use, and reads what was written. */
static void kv_types_cost_what_their_bits_say(void **state) {
    (void)state;
    double f16 = kv_error(EW_KV_F16), q8 = kv_error(EW_KV_Q8_0), q4 = kv_error(EW_KV_Q4_0);
    assert_true(f16 > 0 && f16 < 1e-6);
    assert_true(q8 > f16 && q8 < 1e-5);
    assert_true(q4 > q8 && q4 < 1e-2);
}

/* Sessions of different lengths, prefilled together and decoded together, beside the same alone.
 * They are more than the head takes at once, and end in different passes. */
static void a_batch_gives_what_its_sessions_give_alone(void **state) {
    (void)state;
    enum { count = 19 };
    static const size_t lengths[count] = {3,  270, 64, 1, 129, 1, 5, 2, 17, 1,
                                          33, 1,   1,  7, 2,   1, 4, 1, 9};
    ew_model *model = load(2, 128, EW_KV_DEFAULT, false);
    size_t V = vocab_of(model);
    ew_session *alone[count], *together[count];
    const int32_t *parts[count], *nexts[count];
    size_t ones[count];
    for (size_t i = 0; i < count; i++) {
        alone[i] = open_session(model);
        together[i] = open_session(model);
        parts[i] = tokens + 10 * i;
        must_eval(alone[i], parts[i], lengths[i]);
    }
    assert_int_equal(ew_session_eval_batch(together, parts, lengths, count), EW_OK);
    for (size_t step = 0; step < 4; step++) {
        for (size_t i = 0; i < count; i++) {
            assert_memory_equal(ew_session_logits(together[i]), ew_session_logits(alone[i]),
                                V * sizeof(float));
            nexts[i] = tokens + 400 + step * count + i;
            ones[i] = 1;
            must_eval(alone[i], nexts[i], 1);
        }
        assert_int_equal(ew_session_eval_batch(together, nexts, ones, count), EW_OK);
    }
    const int32_t *twice[2] = {tokens, tokens};
    ew_session *same[2] = {alone[0], alone[0]};
    assert_int_equal(ew_session_eval_batch(same, twice, ones, 2), EW_ARGUMENT);
    for (size_t i = 0; i < count; i++)
        ew_session_free(alone[i]), ew_session_free(together[i]);
    ew_model_free(model);
}

static void a_snapshot_is_where_it_was_taken(void **state) {
    (void)state;
    ew_model *model = load(2, 64, EW_KV_DEFAULT, false);
    ew_session *session = open_session(model), *other = open_session(model);
    ew_snapshot *snapshot;
    static float want[vocab_max];
    size_t bytes = vocab_of(model) * sizeof *want;
    must_eval(session, tokens, 300);
    assert_int_equal(ew_session_snapshot(session, &snapshot), EW_OK);
    must_eval(session, tokens + 300, 50);
    memcpy(want, ew_session_logits(session), bytes);
    must_eval(session, tokens + 100, 200); // somewhere else
    assert_int_equal(ew_session_restore(session, snapshot), EW_OK);
    assert_int_equal(ew_session_length(session), 300);
    must_eval(session, tokens + 300, 50);
    assert_memory_equal(ew_session_logits(session), want, bytes);
    must_eval(other, tokens + 50, 10);
    assert_int_equal(ew_session_restore(other, snapshot), EW_OK);
    must_eval(other, tokens + 300, 50);
    assert_memory_equal(ew_session_logits(other), want, bytes);
    ew_session_clear(other);
    assert_null(ew_session_logits(other));
    must_eval(other, tokens, 350);
    assert_memory_equal(ew_session_logits(other), want, bytes);
    ew_snapshot_free(snapshot);
    ew_session_free(session), ew_session_free(other);
    ew_model_free(model);
}

struct seen {
    size_t count, stop_at;
    float last[vocab_max];
};

static ew_status see(void *context, size_t index, const float *logits, size_t n_vocab) {
    struct seen *seen = context;
    assert_int_equal(index, seen->count++);
    memcpy(seen->last, logits, n_vocab * sizeof *logits);
    return seen->count == seen->stop_at ? EW_CANCELLED : EW_OK;
}

static void every_position_can_be_seen(void **state) {
    (void)state;
    static struct seen seen;
    ew_model *model = load(1, 32, EW_KV_DEFAULT, false);
    ew_session *session = open_session(model);
    assert_int_equal(ew_session_eval_each(session, tokens, 90, see, &seen), EW_OK);
    assert_int_equal(seen.count, 90);
    assert_memory_equal(seen.last, ew_session_logits(session), vocab_of(model) * sizeof(float));
    ew_session_clear(session);
    seen = (struct seen){.stop_at = 50};
    assert_int_equal(ew_session_eval_each(session, tokens, 90, see, &seen), EW_CANCELLED);
    assert_int_equal(seen.count, 50);
    ew_session_free(session);
    ew_model_free(model);
}

static void wrong_calls_are_refused_and_change_nothing(void **state) {
    (void)state;
    ew_model *model = load(1, 0, EW_KV_DEFAULT, false);
    ew_session *session;
    ew_session_options options = EW_INIT(ew_session_options);
    options.n_ctx = 20;
    assert_int_equal(ew_session_new(model, &options, &session), EW_OK);
    const int32_t bad[] = {1, 1 << 20, -1};
    assert_int_equal(ew_session_eval(session, bad, 2), EW_ARGUMENT);
    assert_int_equal(ew_session_eval(session, bad + 2, 1), EW_ARGUMENT);
    assert_int_equal(ew_session_eval(session, tokens, 21), EW_LIMIT);
    assert_int_equal(ew_session_eval(session, tokens, 0), EW_ARGUMENT);
    assert_int_equal(ew_session_length(session), 0);
    uint64_t random = 0;
    int32_t token;
    assert_int_equal(ew_session_sample(session, NULL, &random, &token), EW_STATE);
    must_eval(session, tokens, 20);
    assert_int_equal(ew_session_eval(session, tokens, 1), EW_LIMIT);
    options.n_ctx = 1u << 30;
    ew_session *none;
    assert_int_equal(ew_session_new(model, &options, &none), EW_ARGUMENT);
    ew_model *unloaded;
    assert_int_equal(ew_model_load("/nonexistent.gguf", NULL, &unloaded), EW_IO);
    assert_non_null(strstr(ew_last_error(), "/nonexistent.gguf"));
    assert_null(unloaded);
    ew_model_options no_size = {0};
    assert_int_equal(ew_model_load(MODEL, &no_size, &unloaded), EW_ARGUMENT);
    ew_session_free(session);
    ew_model_free(model);
}

/* ---- generation ---- */

struct story {
    char text[8192];
    size_t n, count, stop_after;
};

static bool tell(void *context, int32_t token, const char *text, size_t n) {
    struct story *story = context;
    (void)token;
    memcpy(story->text + story->n, text, n);
    story->n += n;
    return ++story->count != story->stop_after;
}

static void generate(uint32_t n_threads, float temperature, uint64_t seed, struct story *story) {
    ew_model *model = load(n_threads, 0, EW_KV_DEFAULT, false);
    ew_session *session = open_session(model);
    ew_generate_result result;
    ew_generate_options options = EW_INIT(ew_generate_options);
    options.max_tokens = 60;
    options.ignore_stop = true;
    options.sampling.temperature = temperature;
    options.sampling.top_k = 40;
    options.sampling.top_p = 0.95f;
    options.sampling.seed = seed;
    options.result = &result;
    memset(story, 0, sizeof *story);
    if (ew_generate_text(session, "Once upon a time", &options, tell, story) != EW_OK)
        fail_msg("%s", ew_last_error());
    assert_int_equal(result.n_generated, 60);
    assert_int_equal(result.finish, EW_FINISH_LENGTH);
    assert_int_equal(ew_session_length(session), result.n_prompt + 60);
    ew_session_free(session);
    ew_model_free(model);
}

static void same_seed_same_text_whatever_the_threads(void **state) {
    (void)state;
    static struct story one, two, other;
    generate(1, 0.9f, 7, &one);
    generate(3, 0.9f, 7, &two);
    generate(1, 0.9f, 8, &other);
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_not_equal(one.text, other.text, one.n < other.n ? one.n : other.n);
    generate(2, 0, 7, &one);
    generate(1, 0, 8, &two); // greedy takes nothing from the seed
    assert_memory_equal(&one, &two, sizeof one);
}

static void the_caller_can_stop(void **state) {
    (void)state;
    static struct story story;
    story.stop_after = 5;
    ew_model *model = load(1, 0, EW_KV_DEFAULT, false);
    ew_session *session = open_session(model);
    ew_generate_result result;
    ew_generate_options options = EW_INIT(ew_generate_options);
    options.ignore_stop = true;
    options.result = &result;
    assert_int_equal(ew_generate(session, tokens, 10, &options, tell, &story), EW_OK);
    assert_int_equal(result.finish, EW_FINISH_CALLER);
    assert_int_equal(result.n_generated, 5);
    assert_int_equal(ew_session_length(session), 15);
    int32_t next;
    uint64_t random = 0;
    assert_int_equal(ew_session_sample(session, NULL, &random, &next), EW_OK);
    options.stop_tokens = &next; // what greedy would say now ends the answer
    options.n_stop_tokens = 1;
    options.ignore_stop = false;
    story.stop_after = 0;
    assert_int_equal(ew_generate(session, NULL, 0, &options, tell, &story), EW_OK);
    assert_int_equal(result.finish, EW_FINISH_STOP);
    assert_int_equal(result.n_generated, 0);
    ew_session_free(session);
    ew_model_free(model);
}

static bool cancel_third(void *context, int32_t token, const char *text, size_t n) {
    (void)token, (void)text, (void)n;
    ew_session *session = context;
    if (ew_session_length(session) == 12)
        ew_session_cancel(session);
    return true;
}

static ew_status cancel_at_once(void *context, size_t index, const float *logits, size_t n_vocab) {
    (void)index, (void)logits, (void)n_vocab;
    ew_session_cancel(context);
    return EW_OK;
}

static void cancel_stops_between_tokens_and_between_chunks(void **state) {
    (void)state;
    ew_model *model = load(1, 16, EW_KV_DEFAULT, false);
    ew_session *session = open_session(model);
    ew_generate_result result;
    ew_generate_options options = EW_INIT(ew_generate_options);
    options.ignore_stop = true;
    options.result = &result;
    assert_int_equal(ew_generate(session, tokens, 10, &options, cancel_third, session), EW_OK);
    assert_int_equal(result.finish, EW_FINISH_CALLER);
    assert_int_equal(result.n_generated, 3);
    ew_session_clear(session);
    assert_int_equal(ew_session_eval_each(session, tokens, 100, cancel_at_once, session),
                     EW_CANCELLED);
    assert_int_equal(ew_session_length(session), 16);              // the chunk that was under way
    assert_int_equal(ew_session_eval(session, tokens, 40), EW_OK); // the request is forgotten
    ew_session_free(session);
    ew_model_free(model);
}

static void text_goes_to_ids_and_back(void **state) {
    (void)state;
    static const char text[] = "A naïve café <|im_end|> 42";
    ew_model *model = load(1, 0, EW_KV_DEFAULT, false);
    int32_t *ids, end = ew_token_by_text(model, "<|im_end|>");
    size_t count, n, special = 0;
    char *back;
    assert_true(end >= 0);
    assert_int_equal(ew_tokenize(model, text, strlen(text), EW_TOKENIZE_SPECIAL, &ids, &count),
                     EW_OK);
    for (size_t i = 0; i < count; i++)
        special += ids[i] == end;
    assert_int_equal(special, 1);
    assert_int_equal(ew_detokenize(model, ids, count, true, &back, &n), EW_OK);
    assert_string_equal(back, text);
    ew_free(ids), ew_free(back);
    assert_int_equal(ew_chat_turn(model, " <|im_end|>hi\n", &ids, &count), EW_OK);
    special = 0;
    for (size_t i = 0; i < count; i++)
        special += ids[i] == end;
    assert_int_equal(special, 1); // the template's own, not the user's
    assert_int_equal(ew_detokenize(model, ids, count, true, &back, &n), EW_OK);
    assert_string_equal(back, "<|im_start|>user\n<|im_end|>hi<|im_end|>\n<|im_start|>assistant\n"
                              "<think>\n\n</think>\n\n");
    ew_free(ids), ew_free(back);
    ew_model_free(model);
}

/* ---- failing allocation ---- */

/* All public calls that allocate, once; the first failure is returned and everything given back. */
static ew_status whole_life(void) {
    ew_model *model = NULL;
    ew_session *session = NULL;
    ew_snapshot *snapshot = NULL;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t count, n;
    ew_model_options model_options = EW_INIT(ew_model_options);
    model_options.n_threads = 2;
    model_options.n_batch = 16;
    ew_session_options session_options = EW_INIT(ew_session_options);
    session_options.n_ctx = 64;
    ew_generate_options options = EW_INIT(ew_generate_options);
    options.max_tokens = 3;
    ew_status status = ew_model_load(MODEL, &model_options, &model);
    if (status == EW_OK)
        status = ew_session_new(model, &session_options, &session);
    if (status == EW_OK)
        status = ew_generate_text(session, "hello", &options, NULL, NULL);
    if (status == EW_OK)
        status = ew_session_snapshot(session, &snapshot);
    if (status == EW_OK)
        status = ew_session_restore(session, snapshot);
    if (status == EW_OK)
        status = ew_chat_turn(model, "hello", &ids, &count);
    if (status == EW_OK)
        status = ew_detokenize(model, ids, count, true, &text, &n);
    if (status == EW_OK)
        status = ew_model_set_threads(model, 1);
    ew_free(text), ew_free(ids);
    ew_snapshot_free(snapshot);
    ew_session_free(session);
    ew_model_free(model);
    return status;
}

static void every_lost_allocation_is_survived(void **state) {
    (void)state;
    uint64_t before = ew__mem_count();
    assert_int_equal(whole_life(), EW_OK);
    uint64_t all = ew__mem_count() - before;
    assert_true(all > 50);
    for (uint64_t n = 1; n <= all; n++) {
        ew__mem_fail_at(n);
        ew_status status = whole_life();
        ew__mem_fail_at(0);
        if (status != EW_NO_MEMORY)
            fail_msg("allocation %llu of %llu lost: status %s, \"%s\"", (unsigned long long)n,
                     (unsigned long long)all, ew_status_name(status), ew_last_error());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_chunks_do_not_show),
        cmocka_unit_test(kv_types_cost_what_their_bits_say),
        cmocka_unit_test(a_batch_gives_what_its_sessions_give_alone),
        cmocka_unit_test(a_snapshot_is_where_it_was_taken),
        cmocka_unit_test(every_position_can_be_seen),
        cmocka_unit_test(wrong_calls_are_refused_and_change_nothing),
        cmocka_unit_test(same_seed_same_text_whatever_the_threads),
        cmocka_unit_test(the_caller_can_stop),
        cmocka_unit_test(cancel_stops_between_tokens_and_between_chunks),
        cmocka_unit_test(text_goes_to_ids_and_back),
        cmocka_unit_test(every_lost_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, make_tokens, NULL);
}
