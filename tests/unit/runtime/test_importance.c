// SPDX-License-Identifier: Apache-2.0
/* Importance matrices from a running model: each matrix gets the squares of what it was multiplied
 * with, whatever the threads; nothing after a failure. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "edgewise/checkpoint.h"
#include "quant/imatrix.h"
#include "runtime/engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 40, LAYER = 1 };

static ew_model *model;
static ew_session *session;
static int32_t tokens[2 * CHUNK];
static char path[64];

static int open_model(void **state) {
    (void)state;
    ew_model_options options = EW_INIT(ew_model_options);
    options.n_threads = 3;
    for (int i = 0; i < 2 * CHUNK; i++)
        tokens[i] = (37 * i + 11) % 400;
    snprintf(path, sizeof path, "/tmp/ew-importance-%ld.gguf", (long)getpid());
    return ew_model_load("tests/data/models/random.gguf", &options, &model) == EW_OK &&
                   ew_session_new(model, NULL, &session) == EW_OK
               ? 0
               : -1;
}

static int close_model(void **state) {
    (void)state;
    ew_session_free(session);
    ew_model_free(model);
    remove(path);
    return 0;
}

static ew_importance *collected(size_t chunks) {
    ew_importance *importance;
    assert_int_equal(ew_importance_new(&importance), EW_OK);
    for (size_t i = 0; i < chunks; i++)
        assert_int_equal(
            ew_importance_collect(importance, session, "text", tokens + i * CHUNK, CHUNK), EW_OK);
    return importance;
}

/* What the file then says: the only way out of the public handle. */
static void saved(const ew_importance *importance, struct ew__imatrix *out) {
    assert_int_equal(ew_importance_save(importance, path), EW_OK);
    assert_int_equal(ew__imatrix_read(path, out), EW_OK);
}

struct seen {
    double sum2[4096];
    size_t rows;
};

/* The input of the feed-forward block of one layer, by the trace. */
static void see(void *context, const char *what, uint32_t layer, const float *values, size_t rows,
                size_t columns, size_t ld) {
    struct seen *seen = context;
    if (layer != LAYER || strcmp(what, "post_attention_layernorm") != 0)
        return;
    assert_true(columns <= 4096);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < columns; i++)
            seen->sum2[i] += (double)values[r * ld + i] * (double)values[r * ld + i];
    seen->rows += rows;
}

static void sums_are_those_of_the_inputs(void **state) {
    (void)state;
    static struct seen seen;
    struct ew__imatrix sums;
    model->ws.trace = see;
    model->ws.trace_context = &seen;
    ew_importance *importance = collected(1);
    model->ws.trace = NULL;
    saved(importance, &sums);
    const struct ew__imatrix_entry *gate = ew__imatrix_find(&sums, "blk.1.ffn_gate.weight");
    const struct ew__imatrix_entry *up = ew__imatrix_find(&sums, "blk.1.ffn_up.weight");
    assert_non_null(gate);
    assert_non_null(up);
    assert_int_equal(seen.rows, CHUNK);
    assert_true(gate->count == CHUNK);
    for (uint64_t i = 0; i < gate->n; i++) {
        assert_true((float)seen.sum2[i] == (float)gate->sum2[i]);
        assert_true(gate->sum2[i] == up->sum2[i]);
    }
    ew__imatrix_release(&sums);
    ew_importance_free(importance);
}

static void every_matrix_of_the_text_model_has_data(void **state) {
    (void)state;
    struct ew__imatrix sums;
    const struct ew__config *config = model->model.config;
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    ew_importance *importance = collected(2);
    saved(importance, &sums);
    size_t n = 1; // the head
    for (uint32_t layer = 0; layer < config->n_layer; layer++)
        for (ew__role role = 0; role < EW__ROLE_COUNT; role++) {
            if (ew__roles[role].rank != 2 || !ew__role_in_layer(config, role, layer))
                continue;
            ew__gguf_tensor_name(role, layer, name);
            const struct ew__imatrix_entry *entry = ew__imatrix_find(&sums, name);
            assert_non_null(entry);
            assert_true(entry->count == 2 * CHUNK);
            n++;
        }
    assert_int_equal(sums.n_entries, n);
    assert_int_equal(sums.n_chunks, 2);
    assert_int_equal(sums.chunk_size, CHUNK);
    assert_string_equal(sums.dataset, "text");
    ew__imatrix_release(&sums);
    ew_importance_free(importance);
}

static void threads_and_going_on_from_a_file_change_nothing(void **state) {
    (void)state;
    struct ew__imatrix one, other;
    ew_importance *whole = collected(2), *first = collected(1), *rest;
    assert_int_equal(ew_importance_save(first, path), EW_OK);
    assert_int_equal(ew_importance_load(path, &rest), EW_OK);
    assert_int_equal(ew_model_set_threads(model, 1), EW_OK);
    assert_int_equal(ew_importance_collect(rest, session, "text", tokens + CHUNK, CHUNK), EW_OK);
    saved(whole, &one);
    saved(rest, &other);
    assert_int_equal(one.n_entries, other.n_entries);
    for (size_t i = 0; i < one.n_entries; i++)
        assert_memory_equal(one.entries[i].sum2, other.entries[i].sum2,
                            one.entries[i].n * sizeof(double));
    assert_int_equal(ew_importance_merge(rest, rest), EW_ARGUMENT);
    assert_int_equal(ew_importance_merge(rest, whole), EW_OK);
    ew_importance_info info = EW_INIT(ew_importance_info);
    assert_int_equal(ew_importance_get_info(rest, &info), EW_OK);
    assert_int_equal(info.n_chunks, 4);
    ew__imatrix_release(&one);
    ew__imatrix_release(&other);
    ew_importance_free(whole);
    ew_importance_free(first);
    ew_importance_free(rest);
}

static void a_failure_adds_nothing(void **state) {
    (void)state;
    ew_importance_info info = EW_INIT(ew_importance_info);
    ew_importance *importance = collected(1);
    const int32_t bad[2] = {1, -7};
    assert_int_not_equal(ew_importance_collect(importance, session, "text", bad, 2), EW_OK);
    assert_int_not_equal(ew_importance_collect(importance, session, "text", tokens, CHUNK / 2),
                         EW_OK); // chunks of another length
    assert_int_not_equal(ew_importance_collect(importance, NULL, "text", tokens, CHUNK), EW_OK);
    assert_int_equal(ew_importance_get_info(importance, &info), EW_OK);
    assert_int_equal(info.n_chunks, 1);
    assert_null(model->ws.watch);
    ew_importance_free(importance);
}

static void survives_failing_allocation(void **state) {
    (void)state;
    ew_status status = EW_NO_MEMORY;
    for (uint64_t n = 1; status != EW_OK; n++) {
        ew_importance *importance = NULL;
        assert_true(n < 2000);
        ew__mem_fail_at(n);
        status = ew_importance_new(&importance);
        if (status == EW_OK)
            status = ew_importance_collect(importance, session, "text", tokens, CHUNK);
        ew__mem_fail_at(0);
        assert_true(status == EW_OK || status == EW_NO_MEMORY);
        assert_null(model->ws.watch);
        ew_importance_free(importance);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_inputs),
        cmocka_unit_test(every_matrix_of_the_text_model_has_data),
        cmocka_unit_test(threads_and_going_on_from_a_file_change_nothing),
        cmocka_unit_test(a_failure_adds_nothing),
        cmocka_unit_test(survives_failing_allocation),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
