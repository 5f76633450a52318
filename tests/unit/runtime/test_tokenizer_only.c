// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/edgewise.h"

#include <string.h>

#define MODEL "models/tiny.gguf"
static const char TEXT[] = "Where is the red box?<|im_end|>\n";

static ew_model *load(bool tokenizer_only) {
    ew_model_options options = EW_INIT(ew_model_options);
    ew_model *model;
    options.tokenizer_only = tokenizer_only;
    options.no_cache = true;
    options.n_threads = 1;
    assert_int_equal(ew_model_load(MODEL, &options, &model), EW_OK);
    return model;
}

static void text_calls_are_those_of_the_whole_model(void **state) {
    (void)state;
    ew_model *whole = load(false), *only = load(true);
    int32_t *ids[2];
    size_t n[2], length;
    char *text;
    ew_model *const models[] = {whole, only};
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            ew_tokenize(models[i], TEXT, strlen(TEXT), EW_TOKENIZE_SPECIAL, &ids[i], &n[i]), EW_OK);
    assert_true(n[0] > 1 && n[0] == n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof *ids[0]);
    assert_int_equal(ew_detokenize(only, ids[1], n[1], true, &text, &length), EW_OK);
    assert_string_equal(text, TEXT);
    ew_free(text);
    ew_free(ids[0]);
    ew_free(ids[1]);
    ew_model_free(whole);
    ew_model_free(only);
}

static void what_computes_is_refused(void **state) {
    (void)state;
    ew_model *model = load(true);
    ew_model_info info = EW_INIT(ew_model_info);
    ew_machine_peak peak = EW_INIT(ew_machine_peak);
    ew_session *session;
    assert_int_equal(ew_session_new(model, NULL, &session), EW_STATE);
    assert_null(session);
    assert_int_equal(ew_model_set_threads(model, 1), EW_STATE);
    assert_int_equal(ew_model_measure_peak(model, &peak), EW_STATE);
    assert_int_equal(ew_model_get_info(model, &info), EW_OK);
    assert_true(info.has_tokenizer);
    assert_true(info.n_layer > 0);
    assert_int_equal(info.weight_bytes, 0);
    assert_int_equal(info.scratch_bytes, 0);
    ew_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_calls_are_those_of_the_whole_model),
        cmocka_unit_test(what_computes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
