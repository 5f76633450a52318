// SPDX-License-Identifier: Apache-2.0
/* GGUF files that another engine wrote (tests/data/interop), beside that engine's logits from them.
 * With f32 activations the decoded weights must mean the same (NMSE < 1e-6); the integer path must
 * be no further from the exact result than that engine's own. EW_INTEROP_DIR names a folder with
 * more types. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/os.h"
#include "edgewise/edgewise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder(void) {
    const char *named = getenv("EW_INTEROP_DIR");
    return named != NULL ? named : "tests/data/interop";
}

/* The float32 values of a version 1 .npy file; freed with free(). */
static float *read_npy(const char *name, size_t count) {
    char path[512];
    struct ew__buf file;
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    if (ew__file_read(path, 1 << 26, &file) != EW_OK)
        fail_msg("%s", ew_last_error());
    size_t header = 10 + (size_t)(uint8_t)file.bytes[8] + ((size_t)(uint8_t)file.bytes[9] << 8);
    assert_int_equal(file.n, header + count * sizeof(float));
    float *values = malloc(count * sizeof *values);
    memcpy(values, file.bytes + header, count * sizeof *values);
    ew__buf_release(&file);
    return values;
}

struct rows {
    float *values;
    size_t n_vocab;
};

static ew_status keep_row(void *context, size_t index, const float *logits, size_t n_vocab) {
    struct rows *rows = context;
    memcpy(rows->values + index * n_vocab, logits, n_vocab * sizeof *logits);
    return EW_OK;
}

/* Mean over positions of the mean squared difference over the variance of `want`. */
static double nmse(const float *got, const float *want, size_t positions, size_t n) {
    double total = 0;
    for (size_t p = 0; p < positions; p++) {
        double mean = 0, variance = 0, error = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)want[p * n + i] / (double)n;
        for (size_t i = 0; i < n; i++) {
            double d = (double)want[p * n + i] - mean,
                   e = (double)got[p * n + i] - (double)want[p * n + i];
            variance += d * d;
            error += e * e;
        }
        total += error / variance / (double)positions;
    }
    return total;
}

static double error_of(const char *file, bool exact, ew_kv_type kv, const int32_t *ids, size_t n,
                       const float *want) {
    char path[512];
    ew_model *model;
    ew_session *session = NULL;
    ew_model_options options = EW_INIT(ew_model_options);
    options.exact = exact;
    options.kv_type = kv;
    snprintf(path, sizeof path, "%s/%s", folder(), file);
    if (ew_model_load(path, &options, &model) != EW_OK ||
        ew_session_new(model, NULL, &session) != EW_OK)
        fail_msg("%s", ew_last_error());
    ew_model_info info = EW_INIT(ew_model_info);
    assert_int_equal(ew_model_get_info(model, &info), EW_OK);
    struct rows rows = {malloc(n * info.n_vocab * sizeof(float)), info.n_vocab};
    assert_int_equal(ew_session_eval_each(session, ids, n, keep_row, &rows), EW_OK);
    double error = nmse(rows.values, want, n, info.n_vocab);
    free(rows.values);
    ew_session_free(session);
    ew_model_free(model);
    return error;
}

static size_t check_entry(const json_t *entry, const int32_t *ids, size_t n) {
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *exact = json_string_value(json_object_get(entry, "logits_exact"));
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder(), file);
    if (!ew__path_exists(path))
        return 0;
    double peer = json_number_value(json_object_get(entry, "nmse_peer_run_to_exact"));
    float *want = read_npy(exact, n * 512);
    double exact_error = error_of(file, true, EW_KV_F32, ids, n, want);
    double fast_error = error_of(file, false, EW_KV_DEFAULT, ids, n, want);
    printf("%-12s f32 activations %.2e, default %.3e, peer %.3e (%.2fx)\n", file, exact_error,
           fast_error, peer, fast_error / peer);
    assert_true(exact_error < 1e-6);
    /* Floats run on f32 activations; what is left against the peer is the rounding of the cache. */

    assert_true(fast_error <= peer || fast_error < 1e-6);
    free(want);
    return 1;
}

static void logits_agree_with_the_other_engine(void **state) {
    (void)state;
    char path[512];
    json_t *root;
    int32_t ids[64];
    snprintf(path, sizeof path, "%s/index.json", folder());
    if (ew__json_load(path, 1 << 20, &root) != EW_OK)
        fail_msg("%s", ew_last_error());
    const json_t *tokens = json_object_get(root, "tokens"),
                 *models = json_object_get(root, "models");
    size_t n = json_array_size(tokens), checked = 0;
    assert_true(n > 0 && n <= 64);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    for (size_t i = 0; i < json_array_size(models); i++)
        checked += check_entry(json_array_get(models, i), ids, n);
    assert_true(checked >= 5);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_agree_with_the_other_engine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
