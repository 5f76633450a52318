// SPDX-License-Identifier: Apache-2.0
/* head-check MODEL [STATES]: the two-stage head against the plain one on final hidden states of the
 * model, a quarter of them from passes over random tokens, the others drawn (normal, and twice with
 * heavier tails). For each, the greedy token and the 21 largest logits must be the plain head's,
 * bit for bit; then speeds of both. Exit status 1 on the first difference. */
#include "edgewise/edgewise.h"

#include "base/os.h"
#include "model/head.h"
#include "quant/blocks.h"
#include "runtime/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { states_default = 1000, tokens = 64 };

struct check {
    ew_model *model;
    ew_session *session;
    size_t H, V, usable;
    float *hidden, *plain, *best;
    uint64_t random;
    uint64_t ns[3]; /* plain, best 1, best 21 */
    size_t n_left_out[3];
};

static const size_t wanted[3] = {0, 1, 21};

static double draw_normal(struct check *c) {
    double u = 1 - ew__random_uniform(&c->random), v = ew__random_uniform(&c->random);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static ew_status take_state(struct check *c, size_t i) {
    if (i % 4 == 0) {
        int32_t ids[tokens];
        size_t row = i / 4 % tokens;
        for (size_t k = 0; k < tokens; k++)
            ids[k] = (int32_t)(ew__random_uniform(&c->random) * (double)c->usable);
        ew_session_clear(c->session);
        EW__TRY(ew_session_eval(c->session, ids, row + 1));
        memcpy(c->hidden, c->model->hidden + row * c->H, c->H * sizeof(float));
        return EW_OK;
    }
    for (size_t k = 0; k < c->H; k++)
        c->hidden[k] = (float)(draw_normal(c) * exp(0.5 * (double)(i % 4 - 1) * draw_normal(c)));
    return EW_OK;
}

static int falling(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Whether all that was left out is below the n_best largest, and all else has the same bits. */
static bool is_same(struct check *c, size_t n_best, float *sorted) {
    memcpy(sorted, c->plain, c->usable * sizeof(float));
    qsort(sorted, c->usable, sizeof(float), falling);
    for (size_t i = 0; i < c->usable; i++) {
        if (ew__bits_of_float(c->best[i]) == ew__bits_of_float(c->plain[i]))
            continue;
        if (c->best[i] != -INFINITY || !(c->plain[i] < sorted[n_best - 1]))
            return false;
    }
    const struct ew__kernels *k = c->model->model.kernels;
    return k->argmax(c->best, c->usable) == k->argmax(c->plain, c->usable);
}

static bool check_state(struct check *c, size_t i) {
    struct ew__workspace *ws = &c->model->ws;
    float *sorted = c->best + c->V;
    uint64_t start = ew__now_ns();
    ew__head(ws, c->hidden, 1, c->plain);
    c->ns[0] += ew__now_ns() - start;
    for (size_t k = 1; k < 3; k++) {
        ws->screen.rest = 0;
        start = ew__now_ns();
        c->n_left_out[k] += !ew__head_best(ws, c->hidden, c->usable, wanted[k], c->best);
        c->ns[k] += ew__now_ns() - start;
        if (!is_same(c, wanted[k], sorted)) {
            printf("state %zu: the best %zu differ from the plain head's\n", i, wanted[k]);
            return false;
        }
    }
    return true;
}

static ew_status open_check(struct check *c, const char *path) {
    ew_model_options options = EW_INIT(ew_model_options);
    ew_session_options session = EW_INIT(ew_session_options);
    session.n_ctx = tokens;
    EW__TRY(ew_model_load(path, &options, &c->model));
    EW__TRY(ew_session_new(c->model, &session, &c->session));
    c->H = c->model->model.config->n_embd;
    c->V = c->model->model.config->n_vocab;
    c->usable = c->model->n_usable;
    c->hidden = calloc(c->H, sizeof(float));
    c->plain = calloc(c->V, sizeof(float));
    c->best = calloc(2 * c->V, sizeof(float));
    return c->hidden != NULL && c->plain != NULL && c->best != NULL ? EW_OK : EW_NO_MEMORY;
}

static void report(const struct check *c, size_t n) {
    const struct ew__head_screen *screen = &c->model->ws.screen;
    double panels = (double)ew__packed_panels(c->V), tries = (double)screen->n_screened;
    printf("%zu states, no difference; screenings that ruled out enough: %zu of the best 1, %zu of "
           "the best 21\n",
           n, c->n_left_out[1], c->n_left_out[2]);
    printf("mean ms: plain %.2f, best 1 %.2f, best 21 %.2f; panels computed %.2f%%\n",
           (double)c->ns[0] * 1e-6 / (double)n, (double)c->ns[1] * 1e-6 / (double)n,
           (double)c->ns[2] * 1e-6 / (double)n,
           tries > 0 ? 100 * (double)screen->n_computed / tries / panels : 100.0);
}

int main(int argc, char **argv) {
    struct check c = {.random = 1};
    size_t n = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : states_default;
    if (argc < 2 || argc > 3 || n == 0) {
        fprintf(stderr, "usage: head-check MODEL [STATES]\n");
        return 2;
    }
    ew_status status = open_check(&c, argv[1]);
    bool same = true;
    for (size_t i = 0; i < n && same && status == EW_OK; i++) {
        status = take_state(&c, i);
        same = status == EW_OK && check_state(&c, i);
    }
    if (status != EW_OK)
        fprintf(stderr, "head-check: %s\n", ew_last_error());
    else if (same)
        report(&c, n);
    free(c.hidden);
    free(c.plain);
    free(c.best);
    ew_session_free(c.session);
    ew_model_free(c.model);
    return same ? 0 : 1;
}
