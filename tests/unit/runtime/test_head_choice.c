// SPDX-License-Identifier: Apache-2.0
/* Generation with the two-stage head and with the plain one: the same tokens, and the same logits
 * for whoever asks, whenever. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/edgewise.h"

#include <stdlib.h>
#include <string.h>

enum { generated = 32, looks = 4 };

/* What a generation gave: its tokens, and the logits seen at every eighth and at the end. */
struct record {
    ew_session *session;
    size_t n, n_vocab;
    int32_t tokens[generated];
    float *logits; /* [looks + 1][n_vocab] */
};

static void look(struct record *r, size_t at) {
    const float *logits = ew_session_logits(r->session);
    assert_non_null(logits);
    memcpy(r->logits + at * r->n_vocab, logits, r->n_vocab * sizeof *logits);
}

static bool each(void *context, int32_t token, const char *text, size_t n) {
    struct record *r = context;
    (void)text;
    (void)n;
    if (token < 0)
        return true;
    if (r->n % (generated / looks) == 3)
        look(r, r->n / (generated / looks));
    r->tokens[r->n++] = token;
    return true;
}

static void generate(const char *path, bool plain, const ew_sampling *sampling, struct record *r) {
    static const int32_t prompt[] = {5, 17, 200, 31};
    ew_model *model;
    ew_model_options options = EW_INIT(ew_model_options);
    ew_model_info info = EW_INIT(ew_model_info);
    options.n_threads = 2;
    options.plain_head = plain;
    if (ew_model_load(path, &options, &model) != EW_OK)
        fail_msg("%s", ew_last_error());
    assert_int_equal(ew_model_get_info(model, &info), EW_OK);
    *r = (struct record){.n_vocab = info.n_vocab};
    r->logits = calloc((looks + 1) * r->n_vocab, sizeof *r->logits);
    assert_non_null(r->logits);
    assert_int_equal(ew_session_new(model, NULL, &r->session), EW_OK);
    ew_generate_options generation = EW_INIT(ew_generate_options);
    generation.max_tokens = generated;
    generation.ignore_stop = true;
    generation.sampling = *sampling;
    assert_int_equal(ew_generate(r->session, prompt, 4, &generation, each, r), EW_OK);
    look(r, looks);
    ew_session_free(r->session);
    ew_model_free(model);
}

static void compare(const char *path, const ew_sampling *sampling) {
    struct record plain, two_stage;
    generate(path, true, sampling, &plain);
    generate(path, false, sampling, &two_stage);
    assert_int_equal(plain.n, generated);
    assert_int_equal(two_stage.n, generated);
    assert_memory_equal(plain.tokens, two_stage.tokens, sizeof plain.tokens);
    assert_memory_equal(plain.logits, two_stage.logits,
                        (looks + 1) * plain.n_vocab * sizeof *plain.logits);
    free(plain.logits);
    free(two_stage.logits);
}

static const char *const paths[] = {"tests/data/interop/Q4_K_M.gguf",
                                    "tests/data/interop/Q6_K.gguf", "models/tiny.gguf"};

static void heads_agree(void **state) {
    (void)state;
    ew_sampling samplings[4] = {EW_INIT(ew_sampling), EW_INIT(ew_sampling), EW_INIT(ew_sampling),
                                EW_INIT(ew_sampling)};
    samplings[1].temperature = 0.8f;
    samplings[1].top_k = 20;
    samplings[1].top_p = 0.95f;
    samplings[2].temperature = 1.5f;
    samplings[2].top_k = 3;
    samplings[2].min_p = 0.05f;
    samplings[3].temperature = 1;
    samplings[3].top_p = 0.9f;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (size_t k = 0; k < 4; k++) {
            samplings[k].seed = i + 1;
            compare(paths[i], &samplings[k]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
