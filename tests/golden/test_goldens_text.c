// SPDX-License-Identifier: Apache-2.0
/* The text model against the reference arrays of tests/data/goldens, from the folder and from the
 * GGUF file converted from it. Tolerances are the README's there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/checkpoint.h"
#include "support/golden.h"
#include "support/rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOLERANCE_LOGITS 5e-4
#define TOLERANCE_INNER  3e-4

/* What a test runs on: a reference folder and the checkpoint made from it. */
struct subject {
    const char *folder;
    bool converted;
    char path[256];
    struct golden golden;
    struct rig rig;
};

static void subject_open(struct subject *subject, const char *name, bool converted) {
    static char folder[256];
    snprintf(folder, sizeof folder, "tests/data/goldens/%s", name);
    memset(subject, 0, sizeof *subject);
    subject->folder = folder;
    subject->converted = converted;
    snprintf(subject->path, sizeof subject->path, "%s", folder);
    if (converted) {
        ew_convert_options options = {.size = sizeof options};
        options.mmproj = "";
        snprintf(subject->path, sizeof subject->path, "/tmp/ew-golden-%d-%s.gguf", (int)getpid(),
                 name);
        if (ew_convert(folder, subject->path, &options) != EW_OK)
            fail_msg("%s", ew_last_error());
    }
    golden_open(&subject->golden, folder);
    rig_open(&subject->rig, subject->path,
             &(struct rig_options){.kv_type = EW__F32, .n_threads = 2});
}

static void subject_close(struct subject *subject) {
    rig_close(&subject->rig);
    golden_close(&subject->golden);
    if (subject->converted)
        unlink(subject->path);
}

static char *array_name(const char *test_case, const char *what) {
    static char name[2][160];
    static int turn;
    turn = !turn;
    snprintf(name[turn], sizeof name[turn], "%s/%s", test_case, what);
    return name[turn];
}

static int32_t argmax(const float *values, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return (int32_t)best;
}

/* ---- logits ---- */

static double worst_logit; // largest difference seen, told at the end

static void check_stored_logits(const struct subject *s, const char *test_case, const float *logits,
                                size_t n, size_t V) {
    size_t count;
    bool whole = golden_has(&s->golden, array_name(test_case, "logits"));
    float *want =
        golden_f32(&s->golden, array_name(test_case, whole ? "logits" : "logits_last8"), &count);
    const float *got = whole ? logits : logits + (n - 8) * V;
    double worst =
        assert_close(array_name(test_case, "logits"), got, want, count, TOLERANCE_LOGITS);
    worst_logit = worst > worst_logit ? worst : worst_logit;
    free(want);
}

static void check_sums(const struct subject *s, const char *test_case, const float *logits,
                       size_t n, size_t V, const int32_t *ids) {
    size_t count;
    float *want_l2 = golden_f32(&s->golden, array_name(test_case, "logits_l2"), &count);
    float *want_sum = golden_f32(&s->golden, array_name(test_case, "logits_sum"), &count);
    float *margin = golden_f32(&s->golden, array_name(test_case, "top1_margin"), &count);
    int32_t *want_top = golden_i32(&s->golden, array_name(test_case, "argmax"), &count);
    float *want_next =
        n > 1 ? golden_f32(&s->golden, array_name(test_case, "logprob_next"), &count) : NULL;
    for (size_t i = 0; i < n; i++) {
        double squares = 0, sum = 0, total = 0;
        const float *row = logits + i * V;
        int32_t top = argmax(row, V);
        for (size_t k = 0; k < V; k++) {
            squares += (double)row[k] * (double)row[k];
            sum += (double)row[k];
            total += exp((double)row[k] - (double)row[top]);
        }
        assert_true(fabs(sqrt(squares) - (double)want_l2[i]) < 3e-3);
        assert_true(fabs(sum - (double)want_sum[i]) < 2e-2);
        if ((double)margin[i] > 2 * TOLERANCE_LOGITS)
            assert_int_equal(top, want_top[i]);
        if (i + 1 < n) {
            double logprob = (double)row[ids[i + 1]] - (double)row[top] - log(total);
            assert_true(fabs(logprob - (double)want_next[i]) < 1e-3);
        }
    }
    free(want_l2), free(want_sum), free(margin), free(want_top), free(want_next);
}

static void check_greedy(struct subject *s, const char *test_case, const float *last_logits,
                         size_t V) {
    size_t n, count;
    int32_t *want = golden_i32(&s->golden, array_name(test_case, "greedy_ids"), &n);
    float *top1 = golden_f32(&s->golden, array_name(test_case, "greedy_top1"), &count);
    float *step_logits =
        golden_has(&s->golden, array_name(test_case, "greedy_logits"))
            ? golden_f32(&s->golden, array_name(test_case, "greedy_logits"), &count)
            : NULL;
    float *logits = malloc(V * sizeof *logits);
    memcpy(logits, last_logits, V * sizeof *logits);
    for (size_t i = 0; i < n; i++) {
        int32_t token = argmax(logits, V);
        assert_int_equal(token, want[i]);
        assert_true(fabs((double)logits[token] - (double)top1[i]) < TOLERANCE_LOGITS);
        if (step_logits != NULL)
            assert_close("greedy_logits", logits, step_logits + i * V, V, TOLERANCE_LOGITS);
        rig_eval(&s->rig, &token, 1, NULL, NULL, NULL, logits);
    }
    free(want), free(top1), free(step_logits), free(logits);
}

/* ---- states ---- */

/* Our place of the reference's value head: GGUF tiles them. */
static uint32_t our_head(const struct ew__config *c, uint32_t reference) {
    uint32_t r = c->n_v_head / c->n_k_head;
    return c->v_heads_grouped ? reference : reference % r * c->n_k_head + reference / r;
}

static void check_delta_state(const struct subject *s, const char *test_case, uint32_t layer,
                              uint32_t index, size_t n) {
    const struct ew__config *c = s->rig.model.config;
    size_t dk = c->k_head_dim, dv = c->v_head_dim, K = ew__key_width(c), C = ew__conv_width(c),
           count;
    char what[64];
    snprintf(what, sizeof what, "state/layer%u/recurrent_state", layer);
    float *want = golden_f32(&s->golden, array_name(test_case, what), &count);
    const float *S = ew__delta_state(&s->rig.ws.layout, s->rig.state, index);
    assert_true(dv <= EW__DELTA_COLUMNS); // one block of columns: [head][dk][dv]
    for (uint32_t h = 0; h < c->n_v_head; h++)
        assert_close(what, S + our_head(c, h) * dk * dv, want + h * dk * dv, dk * dv,
                     TOLERANCE_INNER);
    free(want);
    snprintf(what, sizeof what, "state/layer%u/conv_state", layer);
    want = golden_f32(&s->golden, array_name(test_case, what), &count);
    const float *rows = ew__conv_state(&s->rig.ws.layout, s->rig.state, index);
    for (size_t channel = 0; channel < C; channel++) {
        size_t ours = channel;
        if (channel >= 2 * K)
            ours = 2 * K + our_head(c, (uint32_t)((channel - 2 * K) / dv)) * dv +
                   (channel - 2 * K) % dv;
        for (size_t row = 0; row < EW__CONV_ROWS && row + n >= EW__CONV_ROWS; row++)
            assert_close(what, rows + row * C + ours, want + channel * 4 + 1 + row, 1,
                         TOLERANCE_INNER);
    }
    free(want);
}

static void check_kv(const struct subject *s, const char *test_case, uint32_t layer, uint32_t index,
                     size_t n) {
    const struct ew__config *c = s->rig.model.config;
    for (uint32_t which = 0; which < 2; which++) {
        char what[64];
        size_t count;
        snprintf(what, sizeof what, "state/layer%u/%c_cache", layer, which == 0 ? 'k' : 'v');
        float *want = golden_f32(&s->golden, array_name(test_case, what), &count);
        for (uint32_t h = 0; h < c->n_head_kv; h++)
            for (size_t i = 0; i < n; i++) {
                const float *page = (const float *)(void *)ew__kv_head(
                    &s->rig.ws.layout, c, s->rig.pages[i / EW__KV_PAGE_TOKENS], index, h, which);
                assert_close(what, page + i % EW__KV_PAGE_TOKENS * c->head_dim,
                             want + (h * n + i) * c->head_dim, c->head_dim, TOLERANCE_INNER);
            }
        free(want);
    }
}

static size_t check_states(const struct subject *s, const char *test_case, size_t n) {
    const struct ew__config *c = s->rig.model.config;
    uint32_t of_kind[2] = {0, 0};
    size_t checked = 0;
    for (uint32_t layer = 0; layer < c->n_layer; layer++) {
        char what[64];
        uint32_t index = of_kind[c->is_full[layer]]++;
        snprintf(what, sizeof what, "state/layer%u/%s", layer,
                 c->is_full[layer] ? "k_cache" : "recurrent_state");
        if (!golden_has(&s->golden, array_name(test_case, what)))
            continue;
        if (c->is_full[layer])
            check_kv(s, test_case, layer, index, n);
        else
            check_delta_state(s, test_case, layer, index, n);
        checked++;
    }
    return checked;
}

static size_t check_case(struct subject *s, const char *test_case) {
    size_t n, V = s->rig.model.config->n_vocab;
    int32_t *ids = golden_i32(&s->golden, array_name(test_case, "input_ids"), &n);
    float *logits = malloc(n * V * sizeof *logits);
    rig_reset(&s->rig);
    rig_eval(&s->rig, ids, n, NULL, NULL, NULL, logits);
    check_stored_logits(s, test_case, logits, n, V);
    check_sums(s, test_case, logits, n, V, ids);
    size_t states = check_states(s, test_case, n);
    check_greedy(s, test_case, logits + (n - 1) * V, V);
    free(logits), free(ids);
    return states;
}

static const char *const cases[] = {"len1", "len5", "len64", "len65", "len130", "len300"};
static const char *const models[] = {"tiny-text", "tiny-text-bf16", "tiny-text-untied"};

static void all_cases(bool converted) {
    size_t checked = 0, states = 0;
    for (size_t m = 0; m < 3; m++) {
        struct subject subject;
        subject_open(&subject, models[m], converted);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            if (golden_has(&subject.golden, array_name(cases[i], "input_ids"))) {
                states += check_case(&subject, cases[i]);
                checked++;
            }
        subject_close(&subject);
    }
    print_message("largest difference of a logit: %.1e\n", worst_logit);
    assert_int_equal(checked, 15);
    assert_true(states >= 9);
}

static void folder_gives_the_reference_numbers(void **state) {
    (void)state;
    all_cases(false);
}

static void converted_file_gives_the_reference_numbers(void **state) {
    (void)state;
    all_cases(true);
}

/* ---- inside the layers ---- */

struct tracer {
    struct subject *subject;
    size_t n, seen;
};

/* Names of the reference -> how our value relates to it. */
struct inner {
    const char *trace, *array;
    uint32_t layer;
};

static const struct inner inners[] = {
    {"input_layernorm", "lin/input_layernorm", 0},
    {"in_proj_qkv", "lin/in_proj_qkv", 0},
    {"in_proj_z", "lin/in_proj_z", 0},
    {"in_proj_a", "lin/in_proj_a", 0},
    {"in_proj_b", "lin/in_proj_b", 0},
    {"conv_silu", "lin/conv_silu", 0},
    {"beta", "lin/beta", 0},
    {"core_attn_out", "lin/core_attn_out", 0},
    {"out_proj", "lin/out_proj", 0},
    {"input_layernorm", "full/input_layernorm", 3},
    {"q_proj", "full/q_proj", 3},
    {"k_proj", "full/k_proj", 3},
    {"v_proj", "full/v_proj", 3},
    {"attn_context", "full/attn_context", 3},
    {"o_proj_in", "full/o_proj_in", 3},
    {"o_proj", "full/o_proj", 3},
    {"post_attention_layernorm", "full/post_attention_layernorm", 3},
    {"mlp", "full/mlp", 3},
};

static void check_rows(const struct tracer *t, const char *array, const float *values, size_t rows,
                       size_t columns, size_t ld) {
    size_t count;
    float *want = golden_f32(&t->subject->golden, array, &count);
    assert_int_equal(count, rows * columns);
    for (size_t i = 0; i < rows; i++)
        assert_close(array, values + i * ld, want + i * columns, columns, TOLERANCE_INNER);
    free(want);
}

/* The reference stores log decay g; ours is alpha = exp(g). And rotated heads lie head-major there.
 */
static void check_special(struct tracer *t, const char *what, uint32_t layer, const float *values,
                          size_t rows, size_t columns, size_t ld) {
    const struct ew__config *c = t->subject->rig.model.config;
    size_t count, D = c->head_dim;
    if (strcmp(what, "alpha") == 0 && layer == 0) {
        float *g = golden_f32(&t->subject->golden, "len5/internals/lin/g", &count);
        for (size_t i = 0; i < rows * columns; i++)
            assert_true(fabs(exp((double)g[i]) - (double)values[i / columns * ld + i % columns]) <
                        1e-5);
        free(g);
        t->seen++;
    }
    if (strcmp(what, "gated_norm") == 0 && layer == 0) { // tiled here, grouped there
        float *want = golden_f32(&t->subject->golden, "len5/internals/lin/gated_norm", &count);
        for (size_t i = 0; i < rows; i++)
            for (uint32_t place = 0; place < c->n_v_head; place++)
                assert_close(what, values + i * ld + place * c->v_head_dim,
                             want + (i * c->n_v_head + ew__v_head_at(c, place)) * c->v_head_dim,
                             c->v_head_dim, TOLERANCE_INNER);
        free(want);
        t->seen++;
    }
    if ((strcmp(what, "q_rope") == 0 || strcmp(what, "k_rope") == 0) && layer == 3) {
        char array[64];
        snprintf(array, sizeof array, "len5/internals/full/%s", what);
        float *want = golden_f32(&t->subject->golden, array, &count);
        for (size_t i = 0; i < rows; i++)
            for (size_t h = 0; h < columns / D; h++)
                assert_close(array, values + i * ld + h * D, want + (h * rows + i) * D, D,
                             TOLERANCE_INNER);
        free(want);
        t->seen++;
    }
}

static void trace(void *context, const char *what, uint32_t layer, const float *values, size_t rows,
                  size_t columns, size_t ld) {
    struct tracer *t = context;
    char array[96];
    for (size_t i = 0; i < sizeof inners / sizeof inners[0]; i++)
        if (inners[i].layer == layer && strcmp(inners[i].trace, what) == 0 &&
            strncmp(inners[i].array, layer == 0 ? "lin/" : "full/", 4) == 0) {
            snprintf(array, sizeof array, "len5/internals/%s", inners[i].array);
            check_rows(t, array, values, rows, columns, ld);
            t->seen++;
        }
    check_special(t, what, layer, values, rows, columns, ld);
    size_t count, H = t->subject->rig.model.config->n_embd;
    bool is_hidden = strcmp(what, "hidden") == 0;
    if (is_hidden || strcmp(what, "embedding") == 0) {
        float *want = golden_f32(&t->subject->golden, "len5/hidden", &count);
        size_t row = is_hidden ? layer + 1 : 0;
        assert_close("hidden", values, want + row * rows * H, rows * H, TOLERANCE_INNER);
        free(want);
        t->seen++;
    }
    if (strcmp(what, "final_norm") == 0) {
        check_rows(t, "len5/final_norm", values, rows, columns, ld);
        t->seen++;
    }
}

static void inner_values_agree(void **state) {
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        struct subject subject;
        subject_open(&subject, models[m], false);
        struct tracer tracer = {.subject = &subject};
        int32_t *ids = golden_i32(&subject.golden, "len5/input_ids", &tracer.n);
        subject.rig.ws.trace = trace;
        subject.rig.ws.trace_context = &tracer;
        rig_eval(&subject.rig, ids, tracer.n, NULL, NULL, NULL, NULL);
        /* 18 listed, alpha, gated norm, two rotated, embedding, every layer, final norm */
        if (golden_has(&subject.golden, "len5/internals/lin/g"))
            assert_int_equal(tracer.seen, 18 + 4 + 2 + subject.rig.model.config->n_layer);
        free(ids);
        subject_close(&subject);
    }
}

/* A folder and the f32 file converted from it agree in every bit. */
static void folder_and_file_are_bit_equal(void **state) {
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        size_t n, V = 512;
        float *logits[2];
        for (int converted = 0; converted < 2; converted++) {
            struct subject subject;
            subject_open(&subject, models[m], converted != 0);
            int32_t *ids = golden_i32(&subject.golden, "len130/input_ids", &n);
            logits[converted] = malloc(n * V * sizeof(float));
            rig_eval(&subject.rig, ids, n, NULL, NULL, NULL, logits[converted]);
            free(ids);
            subject_close(&subject);
        }
        assert_memory_equal(logits[0], logits[1], n * V * sizeof(float));
        free(logits[0]), free(logits[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_gives_the_reference_numbers),
        cmocka_unit_test(inner_values_agree),
        cmocka_unit_test(converted_file_gives_the_reference_numbers),
        cmocka_unit_test(folder_and_file_are_bit_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
