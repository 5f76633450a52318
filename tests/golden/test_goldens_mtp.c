// SPDX-License-Identifier: Apache-2.0
/* The multi-token-prediction block against its reference: slots, chained drafts, its own cache. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/checkpoint.h"
#include "support/golden.h"
#include "support/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER           "tests/data/goldens/tiny-mtp"
#define TOLERANCE_LOGITS 5e-4
#define TOLERANCE_INNER  3e-4

static char *named(const char *test_case, const char *what) {
    static char name[64];
    snprintf(name, sizeof name, "%s/%s", test_case, what);
    return name;
}

static int32_t argmax(const float *values, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return (int32_t)best;
}

static void check_cache(const struct golden *golden, const struct rig *rig, const char *test_case) {
    const struct ew__config *c = rig->model.config;
    uint32_t kv_layer = ew__n_full_layers(c);
    for (uint32_t which = 0; which < 2; which++) {
        size_t count;
        float *want = golden_f32(
            golden, named(test_case, which == 0 ? "mtp_k_cache" : "mtp_v_cache"), &count);
        size_t n = count / (c->n_head_kv * c->head_dim);
        for (uint32_t h = 0; h < c->n_head_kv; h++) {
            const float *page = (const float *)(void *)ew__kv_head(
                &rig->ws.layout, c, rig->pages[0], kv_layer, h, which);
            assert_close("cache", page, want + h * n * c->head_dim, n * c->head_dim,
                         TOLERANCE_INNER);
        }
        free(want);
    }
}

/* Draft 0 comes from the last slot; each further draft feeds the block its own hidden state. */
static void check_drafts(const struct golden *golden, struct rig *rig, const char *test_case,
                         uint32_t n, float *y) {
    size_t count, H = rig->model.config->n_embd, V = rig->model.config->n_vocab;
    int32_t *ids = golden_i32(golden, named(test_case, "draft_ids"), &count);
    float *want_logits = golden_f32(golden, named(test_case, "draft_logits"), &count);
    float *want_hidden = golden_f32(golden, named(test_case, "draft_hidden"), &count);
    float *logits = malloc(V * sizeof *logits), *h = malloc(H * sizeof *h);
    for (uint32_t i = 0; i < 4; i++) {
        assert_close("draft hidden", y, want_hidden + i * H, H, TOLERANCE_INNER);
        ew__head(&rig->ws, y, 1, logits);
        assert_close("draft logits", logits, want_logits + i * V, V, TOLERANCE_LOGITS);
        assert_int_equal(argmax(logits, V), ids[i]);
        memcpy(h, y, H * sizeof *h);
        if (i < 3)
            rig_mtp(rig, n + i, &ids[i], 1, h, y);
    }
    free(ids), free(want_logits), free(want_hidden), free(logits), free(h);
}

static void check_slots(const struct golden *golden, struct rig *rig, const char *test_case,
                        const float *y, size_t n) {
    size_t count, H = rig->model.config->n_embd, V = rig->model.config->n_vocab;
    bool whole = golden_has(golden, named(test_case, "mtp_logits"));
    float *want = golden_f32(golden, named(test_case, "mtp_hidden"), &count);
    assert_close("mtp hidden", y, want, count, TOLERANCE_INNER);
    free(want);
    want = golden_f32(golden, named(test_case, whole ? "mtp_logits" : "mtp_logits_last8"), &count);
    float *logits = malloc(V * sizeof *logits);
    for (size_t i = 0; i < count / V; i++) {
        ew__head(&rig->ws, y + (n - count / V + i) * H, 1, logits);
        assert_close("mtp logits", logits, want + i * V, V, TOLERANCE_LOGITS);
    }
    free(want), free(logits);
}

static void check_case(const struct golden *golden, struct rig *rig, const char *test_case) {
    size_t n, count, H = rig->model.config->n_embd, V = rig->model.config->n_vocab;
    int32_t *ids = golden_i32(golden, named(test_case, "input_ids"), &n);
    int32_t *next = golden_i32(golden, named(test_case, "mtp_input_ids"), &count);
    float *want = golden_f32(golden, named(test_case, "main_hidden"), &count);
    float *h = malloc(n * H * sizeof *h), *y = malloc(n * H * sizeof *y);
    float *logits = malloc(n * V * sizeof *logits);
    rig_reset(rig);
    rig_eval(rig, ids, n, NULL, NULL, h, logits);
    assert_close("main hidden", h, want, count, TOLERANCE_INNER);
    assert_int_equal(argmax(logits + (n - 1) * V, V), next[n - 1]);
    rig_mtp(rig, 0, next, n, h, y);
    check_slots(golden, rig, test_case, y, n);
    check_drafts(golden, rig, test_case, (uint32_t)n, y + (n - 1) * H);
    check_cache(golden, rig, test_case);
    free(ids), free(next), free(want), free(h), free(y), free(logits);
}

static void check_checkpoint(const char *path) {
    struct golden golden;
    struct rig rig;
    golden_open(&golden, FOLDER);
    rig_open(&rig, path,
             &(struct rig_options){.kv_type = EW__F32, .with_mtp = true, .n_threads = 2});
    assert_non_null(rig.model.mtp);
    check_case(&golden, &rig, "len2");
    check_case(&golden, &rig, "len20");
    check_case(&golden, &rig, "len70");
    rig_close(&rig);
    golden_close(&golden);
}

static void sharded_folder_drafts_as_the_reference(void **state) {
    (void)state;
    check_checkpoint(FOLDER);
}

static void converted_file_drafts_as_the_reference(void **state) {
    (void)state;
    char path[64];
    ew_convert_options options = {.size = sizeof options, .mmproj = ""};
    snprintf(path, sizeof path, "/tmp/ew-golden-mtp-%d.gguf", (int)getpid());
    if (ew_convert(FOLDER, path, &options) != EW_OK)
        fail_msg("%s", ew_last_error());
    check_checkpoint(path);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharded_folder_drafts_as_the_reference),
        cmocka_unit_test(converted_file_drafts_as_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
