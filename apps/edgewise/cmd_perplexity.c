// SPDX-License-Identifier: Apache-2.0
/* edgewise perplexity: how well a model foretells a text, and how far it is from another. */
#include "commands.h"

#include "input.h"
#include "interrupt.h"
#include "json.h"
#include "kl_base.h"
#include "likelihood.h"
#include "load.h"
#include "terminal.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct perplexity_args {
    model_args model;
    const char *kl_base, *kl_save;
    uint64_t n_ctx, n_chunk;
    bool json;
} perplexity_args;

static const option OPTIONS[] = {
    OPT_TEXT(perplexity_args, kl_save, 0, "kl-save", "FILE",
             "write what this model foretells at every scored position, as the base of later "
             "comparisons"),
    OPT_TEXT(perplexity_args, kl_base, 0, "kl-base", "FILE",
             "compare with the base in FILE, on its tokens"),
    OPT_COUNT(perplexity_args, n_ctx, 'c', "ctx", "N", 4, 262144,
              "tokens of a chunk, of which the second half is scored; default 512"),
    OPT_COUNT(perplexity_args, n_chunk, 0, "chunks", "N", 1, 1000000,
              "score the first N chunks; default: all"),
    OPT_JSON(perplexity_args),
    OPT_KV(perplexity_args, "f16"),
    OPT_EXACT(perplexity_args),
    OPT_NO_CACHE(perplexity_args),
    OPT_THREADS(perplexity_args),
};

static const example EXAMPLES[] = {
    {"edgewise perplexity model.gguf text.txt", "perplexity with its standard error"},
    {"edgewise perplexity bf16.gguf text.txt --kl-save base.ewkl",
     "and keep what the unquantised model foretells"},
    {"edgewise perplexity q4_k_m.gguf --kl-base base.ewkl",
     "what quantising cost: divergence, perplexity ratio, agreement on the first choice"},
};

typedef struct work {
    const perplexity_args *args;
    chunks text;
    FILE *base; /* NULL: none */
    whole_file save;
    distribution theirs; /* of the base, or what is saved */
    likelihood scores;
    const int32_t *chunk; /* that is being evaluated */
    progress bar;
    const char *wrong; /* about the base or the file that is saved */
    ew_session *session;
    double seconds;
} work;

static ew_status score(void *context, size_t index, const float *logits, size_t n_vocab) {
    work *w = context;
    int32_t best, next = w->chunk[w->text.n_ctx / 2 + index + 1];
    double log_sum = distribution_log_sum(logits, n_vocab, &best);
    double nll = log_sum - (double)logits[next];
    progress_at(&w->bar, w->scores.n + 1);
    if (w->base == NULL)
        likelihood_add(&w->scores, nll);
    else if (!distribution_read(&w->theirs, w->base))
        w->wrong = "it ends too early or is damaged";
    else
        likelihood_add_against(&w->scores, nll, -(double)w->theirs.next,
                               distribution_divergence(&w->theirs, logits, log_sum),
                               best == w->theirs.best);
    if (w->save.file != NULL) {
        distribution_keep(&w->theirs, logits, log_sum, best, next);
        if (!distribution_write(&w->theirs, w->save.file))
            w->wrong = strerror(errno);
    }
    return w->wrong == NULL ? EW_OK : EW_IO;
}

/* Of a chunk: the first half is context, of the rest every token but the last foretells one. */
static ew_status score_chunk(work *w, size_t index) {
    w->chunk = w->text.ids + index * w->text.n_ctx;
    size_t first = w->text.n_ctx / 2;
    ew_session_clear(w->session);
    ew_status status = ew_session_eval(w->session, w->chunk, first);
    if (status == EW_OK)
        status =
            ew_session_eval_each(w->session, w->chunk + first, chunks_scored(&w->text), score, w);
    return status;
}

static int score_all(work *w) {
    ew_status status = EW_OK;
    double start = clock_now();
    progress_begin(&w->bar, "scoring", "tokens", w->text.n_chunk * chunks_scored(&w->text));
    for (size_t i = 0; i < w->text.n_chunk && status == EW_OK; i++)
        status = interrupt_seen() ? EW_CANCELLED : score_chunk(w, i);
    progress_end(&w->bar);
    w->seconds = clock_now() - start;
    if (w->wrong != NULL)
        return text_fail("'%s': %s", w->base != NULL ? w->args->kl_base : w->args->kl_save,
                         w->wrong);
    return status == EW_OK ? EXIT_DONE : text_fail_with(status);
}

static void print_estimate(const char *label, estimate e, const char *unit) {
    printf("%-22s %12.6f +- %.6f%s\n", label, e.value, e.error, unit);
}

static void print_table(work *w) {
    likelihood *l = &w->scores;
    printf("%u chunks of %u tokens, %zu tokens scored, %.1f s\n", w->text.n_chunk, w->text.n_ctx,
           l->n, w->seconds);
    print_estimate("perplexity", likelihood_perplexity(l), "");
    if (!l->has_base)
        return;
    print_estimate("base's perplexity", likelihood_base_perplexity(l), "");
    print_estimate("ratio", likelihood_ratio(l), "");
    print_estimate("mean divergence", likelihood_mean_kl(l), " nats");
    printf("%-22s %12.6f nats\n", "median", likelihood_kl_quantile(l, 0.5));
    printf("%-22s %12.6f nats\n", "99th percentile", likelihood_kl_quantile(l, 0.99));
    printf("%-22s %12.6f nats\n", "largest", likelihood_kl_quantile(l, 1));
    estimate same = likelihood_same_best(l);
    print_estimate("same first choice", (estimate){100 * same.value, 100 * same.error}, " %");
    printf("%-22s %12.6f %%\n", "rms change of p", 100 * likelihood_rms_change(l));
}

static void put_estimate(json *j, const char *key, const char *error_key, estimate e) {
    json_put_real(j, key, e.value);
    json_put_real(j, error_key, e.error);
}

static void print_json(work *w, const char *model) {
    likelihood *l = &w->scores;
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_text(&j, "model", model);
    json_put_count(&j, "n_ctx", w->text.n_ctx);
    json_put_count(&j, "chunks", w->text.n_chunk);
    json_put_count(&j, "tokens", l->n);
    json_put_real(&j, "seconds", w->seconds);
    put_estimate(&j, "perplexity", "perplexity_error", likelihood_perplexity(l));
    if (l->has_base) {
        put_estimate(&j, "base_perplexity", "base_perplexity_error", likelihood_base_perplexity(l));
        put_estimate(&j, "perplexity_ratio", "perplexity_ratio_error", likelihood_ratio(l));
        put_estimate(&j, "kl_mean", "kl_mean_error", likelihood_mean_kl(l));
        json_put_real(&j, "kl_median", likelihood_kl_quantile(l, 0.5));
        json_put_real(&j, "kl_99", likelihood_kl_quantile(l, 0.99));
        json_put_real(&j, "kl_max", likelihood_kl_quantile(l, 1));
        put_estimate(&j, "same_top", "same_top_error", likelihood_same_best(l));
        json_put_real(&j, "rms_change", likelihood_rms_change(l));
    }
    json_close(&j, '}');
    fputc('\n', stdout);
}

static int out_of_memory(void) {
    return text_fail("out of memory");
}

static int cannot_save(const work *w) {
    return text_fail("'%s' could not be written: %s", w->args->kl_save, strerror(errno));
}

static int compute(work *w) {
    size_t n = w->text.n_chunk * chunks_scored(&w->text);
    if (!likelihood_new(&w->scores, n, w->base != NULL) ||
        !distribution_new(&w->theirs, w->text.n_vocab))
        return out_of_memory();
    if (w->args->kl_save != NULL && !kl_base_create(&w->save, w->args->kl_save, &w->text))
        return cannot_save(w);
    int status = score_all(w);
    if (status == EXIT_DONE && w->args->kl_save != NULL && !whole_file_finish(&w->save))
        return cannot_save(w);
    return status;
}

static int keep_chunks(work *w, const int32_t *ids, size_t n_chunk, size_t chunk) {
    size_t bytes = n_chunk * chunk * sizeof(*ids);
    w->text.n_ctx = (uint32_t)chunk;
    w->text.n_chunk = (uint32_t)n_chunk;
    w->text.ids = bytes == 0 ? NULL : malloc(bytes);
    if (w->text.ids == NULL)
        return out_of_memory();
    memcpy(w->text.ids, ids, bytes);
    return EXIT_DONE;
}

/* The whole chunks of the text's tokens; a shorter rest at the end is left out. */
static int cut_text(work *w, const ew_model *model, const char *path) {
    char *text;
    size_t n, count;
    int status = input_read(path, &text, &n);
    if (status != EXIT_DONE)
        return status;
    int32_t *ids;
    ew_status done = ew_tokenize(model, text, n, EW_TOKENIZE_SPECIAL, &ids, &count);
    free(text);
    if (done != EW_OK)
        return text_fail_with(done);
    size_t chunk = (size_t)w->args->n_ctx, most = w->args->n_chunk;
    size_t n_chunk = count / chunk < most || most == 0 ? count / chunk : most;
    status = n_chunk == 0 || n_chunk > UINT32_MAX
                 ? text_fail("the text has %zu tokens, which is no whole chunk of %zu; give a "
                             "longer text or a smaller --ctx",
                             count, chunk)
                 : keep_chunks(w, ids, n_chunk, chunk);
    ew_free(ids);
    return status;
}

static int open_base(work *w, uint32_t n_vocab) {
    const char *wrong = kl_base_open(w->args->kl_base, &w->base, &w->text);
    if (wrong != NULL)
        return text_fail("'%s': %s", w->args->kl_base, wrong);
    if (w->text.n_vocab != n_vocab)
        return text_fail("'%s' is of a model with %u tokens in its vocabulary, this one has %u",
                         w->args->kl_base, w->text.n_vocab, n_vocab);
    if (w->args->n_chunk != 0 && w->args->n_chunk < w->text.n_chunk)
        w->text.n_chunk = (uint32_t)w->args->n_chunk;
    return EXIT_DONE;
}

static int with_model(work *w, ew_model *model, const operands *found) {
    ew_model_info info = EW_INIT(ew_model_info);
    ew_model_get_info(model, &info);
    int status =
        w->args->kl_base != NULL ? open_base(w, info.n_vocab) : cut_text(w, model, found->at[1]);
    w->text.n_vocab = info.n_vocab;
    if (status == EXIT_DONE)
        status = load_session(model, w->text.n_ctx, &w->session);
    if (status != EXIT_DONE)
        return status;
    interrupt_begin(w->session);
    status = compute(w);
    interrupt_end();
    ew_session_free(w->session);
    if (status == EXIT_DONE && w->args->json)
        print_json(w, found->at[0]);
    else if (status == EXIT_DONE)
        print_table(w);
    return status;
}

static int check_arguments(const perplexity_args *args, const operands *found) {
    if (args->kl_base != NULL && args->kl_save != NULL)
        return options_wrong(&cmd_perplexity, "--kl-base and --kl-save exclude each other");
    if (args->kl_base != NULL && found->n == 2)
        return options_wrong(&cmd_perplexity,
                             "the text is in the base file already: leave TEXT out");
    if (args->kl_base == NULL && found->n < 2)
        return options_wrong(&cmd_perplexity, "TEXT is missing");
    return OPTIONS_GO_ON;
}

static int perplexity_main(int argc, char **argv) {
    perplexity_args args = {.n_ctx = 512};
    operands found;
    ew_model *model = NULL;
    int status = options_parse(&cmd_perplexity, argc, argv, &args, &found);
    if (status == OPTIONS_GO_ON)
        status = check_arguments(&args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    work w = {.args = &args};
    status = load_model(found.at[0], &args.model, &model);
    if (status == EXIT_DONE)
        status = with_model(&w, model, &found);
    if (w.base != NULL)
        fclose(w.base);
    whole_file_abandon(&w.save);
    distribution_free(&w.theirs);
    likelihood_free(&w.scores);
    free(w.text.ids);
    ew_model_free(model);
    return status;
}

const command cmd_perplexity = {
    .name = "perplexity",
    .synopsis = "MODEL TEXT | MODEL --kl-base FILE [options]",
    .summary = "how well a model foretells a text, and what quantising cost",
    .about = "Cuts the tokens of the file TEXT ('-': standard input) into chunks and, of each, "
             "scores the tokens of the second half, as llama.cpp's perplexity program does, so "
             "that figures compare.\n\n"
             "With a base file: divergence in nats (Kullback-Leibler, of this model from the "
             "base), the ratio of the perplexities, and how often both would choose the same "
             "token. The base holds of each position the tokens that make up all but 1/16384 of "
             "the probability.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL or TEXT",
    .least_operands = 1,
    .most_operands = 2,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = perplexity_main,
};
