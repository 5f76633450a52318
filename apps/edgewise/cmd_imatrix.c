// SPDX-License-Identifier: Apache-2.0
/* edgewise imatrix: which columns of the weights matter, from a text. */
#include "commands.h"

#include "edgewise/checkpoint.h"
#include "input.h"
#include "interrupt.h"
#include "json.h"
#include "load.h"
#include "terminal.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds of work that a cut run may lose. */
#define SAVE_EVERY 30.0

typedef struct imatrix_args {
    model_args model;
    const char *out;
    uint64_t n_ctx, n_chunk;
    bool again, merge, json;
} imatrix_args;

static const option OPTIONS[] = {
    OPT_TEXT(imatrix_args, out, 'o', "out", "FILE",
             "where it goes; when it is there and not finished, the work goes on from it"),
    OPT_COUNT(imatrix_args, n_ctx, 'c', "ctx", "N", 16, 262144, "tokens of a chunk; default 512"),
    OPT_COUNT(imatrix_args, n_chunk, 0, "chunks", "N", 1, 1000000,
              "the first N chunks; default: all"),
    OPT_FLAG(imatrix_args, again, 0, "again", "begin anew, whatever FILE holds"),
    OPT_FLAG(imatrix_args, merge, 0, "merge",
             "add two importance matrices: the operands are their files"),
    OPT_JSON(imatrix_args),
    OPT_EXACT(imatrix_args),
    OPT_NO_CACHE(imatrix_args),
    OPT_THREADS(imatrix_args),
};

static const example EXAMPLES[] = {
    {"edgewise imatrix bf16.gguf text.txt -o importance.gguf",
     "from a text like those that the model will meet"},
    {"edgewise quantize bf16.gguf small.gguf Q4_K_M --imatrix importance.gguf",
     "and what it is for"},
    {"edgewise imatrix --merge english.gguf code.gguf -o both.gguf", "two texts together"},
};

typedef struct work {
    const imatrix_args *args;
    const char *dataset; /* the text's file name */
    int32_t *ids;
    size_t n_chunks; /* to be done in all */
    ew_importance *sums;
    size_t n_done; /* chunks in `sums` */
    ew_session *session;
    double seconds;
} work;

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static int save(const work *w) {
    ew_status status = ew_importance_save(w->sums, w->args->out);
    return status == EW_OK ? EXIT_DONE : text_fail_with(status);
}

static int collect(work *w) {
    progress bar;
    size_t chunk = (size_t)w->args->n_ctx;
    ew_status status = EW_OK;
    int result = EXIT_DONE;
    double start = clock_now(), saved = start;
    progress_begin(&bar, "collecting", "tokens", w->n_chunks * chunk);
    while (w->n_done < w->n_chunks && status == EW_OK && result == EXIT_DONE) {
        status = interrupt_seen() ? EW_CANCELLED
                                  : ew_importance_collect(w->sums, w->session, w->dataset,
                                                          w->ids + w->n_done * chunk, chunk);
        if (status != EW_OK)
            break;
        progress_at(&bar, ++w->n_done * chunk);
        if (clock_now() - saved > SAVE_EVERY) {
            result = save(w);
            saved = clock_now();
        }
    }
    progress_end(&bar);
    w->seconds = clock_now() - start;
    if (status == EW_CANCELLED && w->n_done > 0)
        (void)save(w); /* the next call goes on from here */
    return status != EW_OK ? text_fail_with(status) : result == EXIT_DONE ? save(w) : result;
}

/* Takes up what a cut run left: the same text, the same chunks. */
static int take_up(work *w) {
    ew_importance_info info = EW_INIT(ew_importance_info);
    if (w->args->again || access(w->args->out, F_OK) != 0) {
        ew_status status = ew_importance_new(&w->sums);
        return status == EW_OK ? EXIT_DONE : text_fail_with(status);
    }
    ew_status status = ew_importance_load(w->args->out, &w->sums);
    if (status != EW_OK)
        return text_fail_with(status);
    ew_importance_get_info(w->sums, &info);
    if (strcmp(info.dataset, w->dataset) != 0 || info.chunk_size != w->args->n_ctx)
        return text_fail("'%s' is there and comes from other chunks or another text; name another "
                         "file, or give --again to replace it",
                         w->args->out);
    w->n_done = info.n_chunks;
    return EXIT_DONE;
}

static int cut_text(work *w, const ew_model *model, const char *path) {
    char *text;
    size_t n, count, chunk = (size_t)w->args->n_ctx;
    int result = input_read(path, &text, &n);
    if (result != EXIT_DONE)
        return result;
    ew_status status = ew_tokenize(model, text, n, EW_TOKENIZE_SPECIAL, &w->ids, &count);
    free(text);
    if (status != EW_OK)
        return text_fail_with(status);
    w->n_chunks = count / chunk;
    if (w->args->n_chunk != 0 && w->args->n_chunk < w->n_chunks)
        w->n_chunks = (size_t)w->args->n_chunk;
    if (w->n_chunks == 0)
        return text_fail("the text has %zu tokens, which is no whole chunk of %zu; give a longer "
                         "text or a smaller --ctx",
                         count, chunk);
    return EXIT_DONE;
}

static int tell(const work *w) {
    ew_importance_info info = EW_INIT(ew_importance_info);
    ew_importance_get_info(w->sums, &info);
    json j = {.out = stdout};
    if (!w->args->json) {
        printf("%s: %zu matrices, %u chunks of %u tokens, %.1f s\n", w->args->out, info.n_matrices,
               info.n_chunks, info.chunk_size, w->seconds);
        return EXIT_DONE;
    }
    json_open(&j, '{');
    json_put_text(&j, "out", w->args->out);
    json_put_text(&j, "dataset", info.dataset);
    json_put_count(&j, "matrices", info.n_matrices);
    json_put_count(&j, "chunks", info.n_chunks);
    json_put_count(&j, "chunk_size", info.chunk_size);
    json_put_real(&j, "seconds", w->seconds);
    json_close(&j, '}');
    fputc('\n', stdout);
    return EXIT_DONE;
}

static int with_model(work *w, ew_model *model, const char *path) {
    int result = cut_text(w, model, path);
    if (result == EXIT_DONE)
        result = take_up(w);
    if (result == EXIT_DONE)
        result = load_session(model, (size_t)w->args->n_ctx, &w->session);
    if (result != EXIT_DONE)
        return result;
    interrupt_begin(w->session);
    result = collect(w);
    interrupt_end();
    ew_session_free(w->session);
    return result == EXIT_DONE ? tell(w) : result;
}

static int merge(work *w, const operands *found) {
    ew_importance *other = NULL;
    ew_status status = ew_importance_load(found->at[0], &w->sums);
    if (status == EW_OK)
        status = ew_importance_load(found->at[1], &other);
    if (status == EW_OK)
        status = ew_importance_merge(w->sums, other);
    if (status == EW_OK)
        status = ew_importance_save(w->sums, w->args->out);
    ew_importance_free(other);
    return status == EW_OK ? tell(w) : text_fail_with(status);
}

static int imatrix_main(int argc, char **argv) {
    imatrix_args args = {.n_ctx = 512};
    operands found;
    ew_model *model = NULL;
    int status = options_parse(&cmd_imatrix, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if (args.out == NULL)
        return options_wrong(&cmd_imatrix, "--out is missing");
    work w = {.args = &args, .dataset = file_name(found.at[1])};
    args.model.n_batch = args.n_ctx < 4096 ? args.n_ctx : 4096;
    if (args.merge)
        status = merge(&w, &found);
    else
        status = load_model(found.at[0], &args.model, &model);
    if (status == EXIT_DONE && model != NULL)
        status = with_model(&w, model, found.at[1]);
    ew_importance_free(w.sums);
    ew_free(w.ids);
    ew_model_free(model);
    return status;
}

const command cmd_imatrix = {
    .name = "imatrix",
    .synopsis = "MODEL TEXT --out FILE [options]",
    .summary = "which columns of the weights matter, from a text",
    .about = "Runs the text in the file TEXT ('-': standard input) through the model in chunks and "
             "sums the squares of what every weight matrix is multiplied with. 'edgewise quantize' "
             "and llama.cpp's quantiser read the result, and then spend their bits where they "
             "count.\n\n"
             "A run that was cut goes on from what it saved.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL or TEXT",
    .least_operands = 2,
    .most_operands = 2,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = imatrix_main,
};
