// SPDX-License-Identifier: Apache-2.0
/* edgewise selftest: proves the exactness contract for a model on this machine. */
#include "commands.h"

#include "interrupt.h"
#include "json.h"
#include "load.h"
#include "measure.h"
#include "selftest.h"
#include "terminal.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct selftest_args {
    model_args model;
    uint64_t n_tokens;
    bool quick, full, json;
} selftest_args;

static const option OPTIONS[] = {
    OPT_COUNT(selftest_args, n_tokens, 'n', "tokens", "N", 2, 16384,
              "length of the longest prompt; default 600, or 300 for models that read more than "
              "128 MiB of weights for a token"),
    OPT_FLAG(selftest_args, quick, 0, "quick", "40 tokens and the essential checks only"),
    OPT_FLAG(selftest_args, full, 0, "full", "all checks in all settings, however large the model"),
    OPT_JSON(selftest_args),
    OPT_COUNT(selftest_args, model.threads, 't', "threads", "N", 0, 256,
              "threads for the checks that are not about threads; 0, the default: all processors"),
};

static const example EXAMPLES[] = {
    {"edgewise selftest model.gguf", "one line per check; status 1 when one fails"},
    {"edgewise selftest model.gguf --quick --json", "the essential checks, for a script"},
};

/* Above MEDIUM the other settings than run's own get the essential checks only; above LARGE all
 * settings do. That keeps a 9B model at minutes. */
static const uint64_t MEDIUM = (uint64_t)128 << 20;
static const uint64_t LARGE = (uint64_t)1 << 30;
enum { TOKENS_SMALL = 600, TOKENS_MEDIUM = 300, TOKENS_QUICK = 40 };
static const uint64_t SEED = 20261121;

typedef struct setting {
    const char *name, *kv;
    bool exact;
} setting;

static const setting SETTINGS[] = {
    {"kv f16", "f16", false},   {"kv f32", "f32", false},       {"kv q8_0", "q8_0", false},
    {"kv q4_0", "q4_0", false}, {"kv f16, exact", "f16", true}, {"kv f32, exact", "f32", true},
};
enum { N_SETTINGS = sizeof(SETTINGS) / sizeof(SETTINGS[0]) };

typedef struct testing {
    const selftest_args *args;
    const char *path;
    ew_model_info info;
    selftest t;
    uint32_t n_batch; /* of the open model */
    int32_t *ids;
    float *rows;
    size_t n_tokens, done, total, failed;
    char first_failure[512];
    json j;
    progress bar;
} testing;

static bool is_wanted(const testing *w, size_t which, const check *c) {
    if (w->args->quick)
        return c->essential;
    if (w->args->full || w->info.bytes_per_token <= MEDIUM)
        return true;
    return c->essential || (which == 0 && w->info.bytes_per_token <= LARGE);
}

static void close_model(testing *w) {
    ew_model_free(w->t.model);
    w->t.model = NULL;
}

static int open_model(testing *w, const setting *s, uint32_t n_batch) {
    model_args args = w->args->model;
    args.kv = s->kv;
    args.exact = s->exact;
    args.n_batch = n_batch;
    w->n_batch = n_batch;
    close_model(w);
    int status = load_model(w->path, &args, &w->t.model);
    if (status == EXIT_DONE)
        ew_model_get_info(w->t.model, &w->info);
    return status;
}

static size_t choose_tokens(const testing *w) {
    if (w->args->n_tokens != 0)
        return (size_t)w->args->n_tokens;
    if (w->args->quick)
        return TOKENS_QUICK;
    return w->info.bytes_per_token <= MEDIUM ? TOKENS_SMALL : TOKENS_MEDIUM;
}

/* Prompts of different lengths, which begin at different places of one list of ids. */
static void lay_out(testing *w) {
    size_t n = w->n_tokens;
    const size_t lengths[SELFTEST_SEQUENCES] = {n, n / 2 + 1, n / 3 + 1, n < 17 ? n : 17, 1};
    for (size_t i = 0; i < SELFTEST_SEQUENCES; i++) {
        sequence *s = &w->t.sequences[i];
        s->prompt = w->ids + i;
        s->n_prompt = lengths[i];
        s->rows = w->rows + i * (SELFTEST_STEPS + 1) * w->t.n_vocab;
    }
}

static int prepare(testing *w) {
    int status = open_model(w, &SETTINGS[0], SELFTEST_CHUNK);
    if (status != EXIT_DONE)
        return status;
    w->n_tokens = choose_tokens(w);
    w->t.n_vocab = w->info.n_vocab;
    w->t.threads = (uint32_t)w->args->model.threads;
    size_t n_ids = w->n_tokens + SELFTEST_SEQUENCES;
    w->ids = calloc(n_ids, sizeof(*w->ids));
    w->rows =
        calloc((size_t)SELFTEST_SEQUENCES * (SELFTEST_STEPS + 1), w->t.n_vocab * sizeof(*w->rows));
    if (w->ids == NULL || w->rows == NULL)
        return text_fail("out of memory for the reference logits");
    measure_ids(w->ids, n_ids, w->t.n_vocab, SEED);
    lay_out(w);
    for (size_t which = 0; which < N_SETTINGS; which++)
        for (size_t i = 0; i < SELFTEST_N_CHECKS; i++)
            w->total += is_wanted(w, which, &SELFTEST_CHECKS[i]);
    return EXIT_DONE;
}

/* "" when the check passed. */
static void describe(const testing *w, const check *c, ew_status status, char *out, size_t size) {
    const difference *d = &w->t.difference;
    out[0] = '\0';
    if (status != EW_OK)
        snprintf(out, size, "%s", ew_last_error());
    else if (c->differs && !d->found)
        snprintf(out, size, "the logits do not depend on the tokens");
    else if (!c->differs && d->found)
        snprintf(out, size,
                 "sequence %zu (%zu tokens), %zu tokens into the answer: the logit of token %zu is "
                 "%.9g, the reference %.9g",
                 d->which, w->t.sequences[d->which].n_prompt, d->step, d->index, (double)d->got,
                 (double)d->expected);
}

static void print_line(const setting *s, const check *c, const char *detail, double seconds) {
    bool colours = terminal_has_colours(stdout);
    bool passed = detail[0] == '\0';
    const char *colour = !colours ? "" : passed ? "\033[32m" : "\033[31m";
    printf("%s%s%s  %-14s %-26s %8.3f s%s%s\n", colour, passed ? "PASS" : "FAIL",
           colours ? "\033[0m" : "", s->name, c->name, seconds, passed ? "" : "  ", detail);
    fflush(stdout);
}

static void json_line(testing *w, const setting *s, const check *c, const char *detail,
                      double seconds) {
    json_open(&w->j, '{');
    json_put_text(&w->j, "check", c->name);
    json_put_text(&w->j, "kv", s->kv);
    json_put_flag(&w->j, "exact", s->exact);
    json_put_flag(&w->j, "passed", detail[0] == '\0');
    json_put_real(&w->j, "seconds", seconds);
    if (detail[0] != '\0')
        json_put_text(&w->j, "difference", detail);
    json_close(&w->j, '}');
}

static void tell(testing *w, const setting *s, const check *c, const char *detail, double seconds) {
    progress_end(&w->bar);
    if (w->args->json)
        json_line(w, s, c, detail, seconds);
    else
        print_line(s, c, detail, seconds);
    if (detail[0] != '\0' && w->failed++ == 0)
        snprintf(w->first_failure, sizeof(w->first_failure), "%s, %s: %s", s->name, c->name,
                 detail);
    progress_at(&w->bar, ++w->done);
}

static int run_check(testing *w, const setting *s, const check *c) {
    char detail[400];
    if (c->n_batch != w->n_batch) {
        int status = open_model(w, s, c->n_batch);
        if (status != EXIT_DONE)
            return status;
    }
    double start = clock_now();
    ew_status status = interrupt_seen() ? EW_CANCELLED : selftest_check(&w->t, c);
    if (status == EW_CANCELLED)
        return EXIT_INTERRUPTED;
    describe(w, c, status, detail, sizeof(detail));
    tell(w, s, c, detail, clock_now() - start);
    return EXIT_DONE;
}

static int run_setting(testing *w, size_t which) {
    const setting *s = &SETTINGS[which];
    int status = open_model(w, s, SELFTEST_CHUNK);
    if (status != EXIT_DONE)
        return status;
    ew_status recorded = selftest_record(&w->t);
    if (recorded != EW_OK)
        return text_fail_with(recorded);
    for (size_t i = 0; i < SELFTEST_N_CHECKS && status == EXIT_DONE; i++)
        if (is_wanted(w, which, &SELFTEST_CHECKS[i]))
            status = run_check(w, s, &SELFTEST_CHECKS[i]);
    return status;
}

static void begin(testing *w) {
    progress_begin(&w->bar, "checking", "checks", w->total);
    w->j = (json){.out = stdout};
    if (!w->args->json) {
        text_print_line(stdout, w->path, 200);
        printf(": %s kernels, %zu checks with prompts of up to %zu tokens and %d generated ones\n",
               w->info.isa, w->total, w->n_tokens, SELFTEST_STEPS);
        fflush(stdout);
        return;
    }
    json_open(&w->j, '{');
    json_put_text(&w->j, "model", w->path);
    json_put_text(&w->j, "isa", w->info.isa);
    json_put_count(&w->j, "tokens", w->n_tokens);
    json_key(&w->j, "checks");
    json_open(&w->j, '[');
}

static int end(testing *w, double seconds) {
    progress_end(&w->bar);
    if (w->args->json) {
        json_close(&w->j, ']');
        json_put_count(&w->j, "failed", w->failed);
        json_put_flag(&w->j, "passed", w->failed == 0);
        json_put_real(&w->j, "seconds", seconds);
        json_close(&w->j, '}');
        fputc('\n', stdout);
    } else if (w->failed == 0) {
        printf("all %zu checks passed: the same bits every time (%.1f s)\n", w->done, seconds);
    }
    if (w->failed == 0)
        return EXIT_DONE;
    return text_fail("%zu of %zu checks failed; the first: %s", w->failed, w->done,
                     w->first_failure);
}

static int run_all(testing *w) {
    double start = clock_now();
    int status = prepare(w);
    if (status != EXIT_DONE)
        return status;
    begin(w);
    for (size_t which = 0; which < N_SETTINGS && status == EXIT_DONE; which++)
        status = run_setting(w, which);
    if (status != EXIT_DONE) {
        progress_end(&w->bar);
        return status;
    }
    return end(w, clock_now() - start);
}

static int selftest_main(int argc, char **argv) {
    selftest_args args = {.json = false};
    operands found;
    int status = options_parse(&cmd_selftest, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if (args.quick && args.full)
        return options_wrong(&cmd_selftest, "--quick and --full exclude each other");
    testing w = {.args = &args, .path = load_path(&found)};
    w.info = (ew_model_info)EW_INIT(ew_model_info);
    status = w.path == NULL ? EXIT_FAILED : run_all(&w);
    close_model(&w);
    free(w.ids);
    free(w.rows);
    return status;
}

const command cmd_selftest = {
    .name = "selftest",
    .synopsis = "[MODEL] [options]",
    .summary = "the exactness contract, shown on this machine",
    .about =
        "The logits of a token may depend on the tokens before it and on nothing else. This "
        "evaluates random prompts once with one thread, then with other thread counts, chunk "
        "sizes, batches, snapshots and repetitions, and compares the logits after the prompt and "
        "through 16 generated tokens bit for bit; with keys and values of every type, "
        "with and without exact arithmetic.\n\n"
        "For models that read more than 128 MiB of weights for a token, settings other than run's "
        "own get the essential checks only; above 1 GiB all settings do.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL",
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = selftest_main,
};
