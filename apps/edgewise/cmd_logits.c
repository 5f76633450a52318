// SPDX-License-Identifier: Apache-2.0
/* edgewise logits: the model's raw numbers for given tokens, as a NumPy file. */
#include "commands.h"

#include "input.h"
#include "interrupt.h"
#include "load.h"
#include "npy.h"
#include "terminal.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct logits_args {
    model_args model;
    const char *tokens, *tokens_file, *out;
    bool all;
} logits_args;

static const option OPTIONS[] = {
    OPT_TEXT(logits_args, tokens, 0, "tokens", "IDS", "token ids, such as \"1,2,3\""),
    OPT_TEXT(logits_args, tokens_file, 0, "tokens-file", "FILE",
             "read the ids from FILE, separated by blanks, line ends or commas; '-': standard "
             "input"),
    OPT_TEXT(logits_args, out, 'o', "out", "FILE",
             "where the numbers go: .npy, float32 [positions, n_vocab]"),
    OPT_FLAG(logits_args, all, 0, "all", "the logits after every token, not only after the last"),
    OPT_COUNT(logits_args, model.n_batch, 0, "prefill-chunk", "N", 1, 4096,
              "compute N tokens in one pass; default 512. The numbers do not depend on it"),
    OPT_EXACT(logits_args),
    OPT_NO_CACHE(logits_args),
    OPT_CHOICE(logits_args, model.kv, "kv", "f16|q8_0|q4_0|f32",
               "type of the keys and values in the cache; default f32, the reference numbers (f16 "
               "is what run uses)"),
    OPT_THREADS(logits_args),
};

static const example EXAMPLES[] = {
    {"edgewise logits model.gguf --tokens 1,2,3 --out last.npy",
     "float32 [1, n_vocab]: the logits after the third token"},
    {"edgewise tokenize model.gguf --ids < text.txt | edgewise logits model.gguf --tokens-file - "
     "--all --out all.npy",
     "float32 [tokens, n_vocab] for a text"},
};

typedef struct work {
    const logits_args *args;
    const int32_t *ids;
    size_t n_ids, n_vocab;
    size_t done;
    npy out;
    progress bar;
    ew_session *session;
} work;

static ew_status write_row(void *context, size_t index, const float *logits, size_t n_vocab) {
    work *w = context;
    (void)index;
    (void)n_vocab;
    if (!npy_row(&w->out, logits))
        return EW_IO;
    progress_at(&w->bar, ++w->done);
    return EW_OK;
}

/* Piece by piece, so that progress and Ctrl-C are seen between pieces. */
static ew_status evaluate(work *w) {
    size_t piece = (size_t)w->args->model.n_batch;
    ew_status status = EW_OK;
    for (size_t at = 0; at < w->n_ids && status == EW_OK; at += piece) {
        size_t n = w->n_ids - at < piece ? w->n_ids - at : piece;
        progress_at(&w->bar, at);
        if (interrupt_seen())
            status = EW_CANCELLED;
        else if (w->args->all)
            status = ew_session_eval_each(w->session, w->ids + at, n, write_row, w);
        else
            status = ew_session_eval(w->session, w->ids + at, n);
    }
    return status;
}

static int write_failed(const work *w) {
    return text_fail("'%s' could not be written: %s", w->args->out, strerror(errno));
}

static int compute(work *w) {
    if (!npy_create(&w->out, w->args->out, w->args->all ? w->n_ids : 1, w->n_vocab))
        return write_failed(w);
    progress_begin(&w->bar, "evaluating", "tokens", w->n_ids);
    ew_status status = evaluate(w);
    progress_end(&w->bar);
    if (ferror(w->out.target.file))
        return write_failed(w);
    if (status != EW_OK)
        return text_fail_with(status);
    if (!w->args->all && !npy_row(&w->out, ew_session_logits(w->session)))
        return write_failed(w);
    return npy_finish(&w->out) ? EXIT_DONE : write_failed(w);
}

static int check_ids(const work *w) {
    for (size_t i = 0; i < w->n_ids; i++)
        if ((size_t)w->ids[i] >= w->n_vocab)
            return text_fail("token %zu of the list is %d, but the model's ids end at %zu", i + 1,
                             w->ids[i], w->n_vocab - 1);
    return EXIT_DONE;
}

static int with_model(work *w, ew_model *model) {
    ew_model_info info = EW_INIT(ew_model_info);
    ew_model_get_info(model, &info);
    w->n_vocab = info.n_vocab;
    int status = check_ids(w);
    if (status == EXIT_DONE)
        status = load_session(model, w->n_ids, &w->session);
    if (status != EXIT_DONE)
        return status;
    interrupt_begin(w->session);
    status = compute(w);
    npy_abandon(&w->out);
    interrupt_end();
    ew_session_free(w->session);
    return status;
}

static int read_list(const logits_args *args, int32_t **ids, size_t *n) {
    char *text;
    size_t length;
    if (args->tokens != NULL)
        return input_ids(args->tokens, ids, n);
    int status = input_read(args->tokens_file, &text, &length);
    if (status != EXIT_DONE)
        return status;
    status = strlen(text) == length
                 ? input_ids(text, ids, n)
                 : text_fail("'%s' is not a list of token ids", args->tokens_file);
    free(text);
    return status;
}

static int logits_main(int argc, char **argv) {
    logits_args args = {.model = {.kv = "f32", .n_batch = 512}};
    operands found;
    int32_t *ids = NULL;
    ew_model *model = NULL;
    int status = options_parse(&cmd_logits, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if ((args.tokens == NULL) == (args.tokens_file == NULL))
        return options_wrong(&cmd_logits, "give the ids with either --tokens or --tokens-file");
    if (args.out == NULL)
        return options_wrong(&cmd_logits, "--out is missing");
    const char *path = load_path(&found);
    work w = {.args = &args};
    status = path == NULL ? EXIT_FAILED : read_list(&args, &ids, &w.n_ids);
    w.ids = ids;
    if (status == EXIT_DONE)
        status = load_model(path, &args.model, &model);
    if (status == EXIT_DONE)
        status = with_model(&w, model);
    ew_model_free(model);
    free(ids);
    return status;
}

const command cmd_logits = {
    .name = "logits",
    .synopsis = "[MODEL] --tokens IDS | --tokens-file FILE --out FILE [options]",
    .summary = "the raw numbers of the model for given tokens, as .npy",
    .about = "Evaluates token ids from an empty context and writes the logits after the last one, "
             "or with --all after each, as float32 [positions, n_vocab] in NumPy's format. Works "
             "for models without a tokenizer.\n\n"
             "The file appears when it is whole.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL",
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = logits_main,
};
