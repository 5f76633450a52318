// SPDX-License-Identifier: Apache-2.0
/* edgewise run: one answer, streamed to standard output. */
#include "commands.h"

#include "input.h"
#include "interrupt.h"
#include "json.h"
#include "load.h"
#include "terminal.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The prompt is evaluated in pieces of this many tokens, so that progress can be shown; the numbers
 * do not depend on it. */
enum { PREFILL_PIECE = 256, N_CTX_DEFAULT = 32768 };

typedef struct run_args {
    model_args model;
    const char *prompt, *file, *image;
    uint64_t n_tokens, n_ctx, top_k, seed;
    double temperature, top_p, min_p;
    bool raw, json, ignore_eos, stats;
} run_args;

static const option OPTIONS[] = {
    OPT_TEXT(run_args, prompt, 'p', "prompt", "TEXT", "the prompt"),
    OPT_TEXT(run_args, file, 'f', "file", "FILE", "read the prompt from FILE; '-': standard input"),
    OPT_COUNT(run_args, n_tokens, 'n', "max-tokens", "N", 0, 1u << 30,
              "generate at most N tokens; 0, the default: until the model ends its answer or the "
              "context is full"),
    OPT_FLAG(run_args, raw, 0, "raw",
             "complete the prompt as it is, instead of answering it as a chat message"),
    OPT_FLAG(run_args, json, 0, "json", "print one JSON object at the end instead of streaming"),
    OPT_REAL(run_args, temperature, "temp", "T", 0, 100,
             "temperature; 0, the default: always the most likely token"),
    OPT_COUNT(run_args, top_k, 0, "top-k", "K", 0, INT32_MAX,
              "sample among the K most likely tokens; 0: all"),
    OPT_REAL(run_args, top_p, "top-p", "P", 0, 1,
             "sample among the fewest tokens with probability P together; 0: off"),
    OPT_REAL(run_args, min_p, "min-p", "P", 0, 1,
             "drop tokens with less than P times the probability of the most likely; 0: off"),
    OPT_COUNT(run_args, seed, 0, "seed", "S", 0, UINT64_MAX, "same seed, same tokens; default 0"),
    OPT_THREADS(run_args),
    OPT_COUNT(run_args, n_ctx, 0, "ctx", "N", 1, UINT32_MAX,
              "positions of the context; default: the model's, at most 32768"),
    OPT_KV(run_args, "f16"),
    OPT_EXACT(run_args),
    OPT_NO_CACHE(run_args),
    OPT_PLAIN_HEAD(run_args),
    OPT_FLAG(run_args, ignore_eos, 0, "ignore-eos", "go on after the model ended its answer"),
    OPT_FLAG(run_args, stats, 0, "stats",
             "tokens and speed on standard error, also when it is not a terminal"),
    OPT_TEXT(run_args, image, 0, "image", "FILE",
             "not available yet: this version reads text only"),
};

static const example EXAMPLES[] = {
    {"edgewise run model.gguf -p \"Why is the sky blue?\"", "one answer, always the same"},
    {"edgewise run model.gguf -p \"A poem on rain\" --temp 0.7 --top-p 0.8 --top-k 20 --seed 7",
     "a sampled answer that can be repeated"},
    {"edgewise run model.gguf --raw -p \"Once upon a time\" -n 64", "64 tokens of continuation"},
    {"edgewise run model.gguf -f letter.txt --json",
     "a prompt from a file, the result for a script"},
};

typedef struct running {
    const run_args *args;
    ew_model *model;
    ew_session *session;
    size_t n_ctx;
    int32_t *prompt; /* freed with ew_free */
    size_t n_prompt;
    char *text; /* what was generated, kept for --json only */
    size_t n_text, text_size;
    int32_t *ids;
    size_t n_ids, ids_size;
    bool clean;  /* standard output is a terminal: control characters stay out */
    bool broken; /* memory or standard output failed */
    double prefill_seconds;
    ew_generate_result result;
} running;

/* The block with room for `needed` elements; NULL, the block untouched, when there is no memory. */
static void *with_room(void *block, size_t *size, size_t needed, size_t element) {
    if (needed <= *size && block != NULL)
        return block;
    size_t wanted = needed < 1024 ? 2048 : needed * 2;
    void *larger = realloc(block, wanted * element);
    if (larger != NULL)
        *size = wanted;
    return larger;
}

static bool keep(running *r, int32_t token, const char *text, size_t n) {
    char *texts = with_room(r->text, &r->text_size, r->n_text + n, 1);
    if (texts == NULL)
        return false;
    r->text = texts;
    int32_t *ids = with_room(r->ids, &r->ids_size, r->n_ids + 1, sizeof(*ids));
    if (ids == NULL)
        return false;
    r->ids = ids;
    if (n > 0)
        memcpy(r->text + r->n_text, text, n);
    r->n_text += n;
    r->ids[r->n_ids++] = token;
    return true;
}

static bool print_now(const running *r, const char *text, size_t n) {
    if (r->clean)
        text_print(stdout, text, n);
    else
        fwrite(text, 1, n, stdout);
    return fflush(stdout) == 0;
}

static bool on_token(void *context, int32_t token, const char *text, size_t n) {
    running *r = context;
    bool done = r->args->json ? keep(r, token, text, n) : n == 0 || print_now(r, text, n);
    r->broken = !done;
    return done && !interrupt_seen();
}

/* The prompt's ids: as one chat turn when the model knows chat, else as they are. */
static ew_status make_prompt(running *r, const char *text, size_t n) {
    ew_status status = EW_NOT_FOUND;
    if (!r->args->raw)
        status = ew_chat_turn(r->model, text, &r->prompt, &r->n_prompt);
    if (status == EW_NOT_FOUND)
        status = ew_tokenize(r->model, text, n, EW_TOKENIZE_SPECIAL, &r->prompt, &r->n_prompt);
    return status;
}

static int read_prompt(running *r) {
    char *text = NULL;
    size_t n = 0;
    if (r->args->file != NULL) {
        int status = input_read(r->args->file, &text, &n);
        if (status != EXIT_DONE)
            return status;
    }
    const char *prompt = text != NULL ? text : r->args->prompt;
    n = text != NULL ? n : strlen(prompt);
    if (!r->args->raw && strlen(prompt) != n) {
        free(text);
        return text_fail("the prompt holds a NUL byte, which a chat message cannot");
    }
    ew_status status = make_prompt(r, prompt, n);
    free(text);
    if (status != EW_OK)
        return text_fail_with(status);
    if (r->n_prompt == 0)
        return text_fail("the prompt is empty");
    if (r->n_prompt >= r->n_ctx)
        return text_fail("the prompt has %zu tokens and leaves no room in a context of %zu; --ctx "
                         "makes it larger",
                         r->n_prompt, r->n_ctx);
    return EXIT_DONE;
}

static ew_status prefill(running *r) {
    progress bar;
    double start = clock_now();
    ew_status status = EW_OK;
    progress_begin(&bar, "reading", "tokens", r->n_prompt);
    for (size_t at = 0; at < r->n_prompt && status == EW_OK; at += PREFILL_PIECE) {
        size_t n = r->n_prompt - at < PREFILL_PIECE ? r->n_prompt - at : PREFILL_PIECE;
        progress_at(&bar, at);
        status = interrupt_seen() ? EW_CANCELLED : ew_session_eval(r->session, r->prompt + at, n);
    }
    progress_end(&bar);
    r->prefill_seconds = clock_now() - start;
    return status;
}

static ew_status generate(running *r) {
    ew_generate_options options = EW_INIT(ew_generate_options);
    const run_args *args = r->args;
    options.max_tokens = args->n_tokens;
    options.ignore_stop = args->ignore_eos;
    options.sampling = (ew_sampling)EW_INIT(ew_sampling);
    options.sampling.temperature = (float)args->temperature;
    options.sampling.top_k = (int32_t)args->top_k;
    options.sampling.top_p = (float)args->top_p;
    options.sampling.min_p = (float)args->min_p;
    options.sampling.seed = args->seed;
    options.result = &r->result;
    return ew_generate(r->session, NULL, 0, &options, on_token, r);
}

static double rate(size_t tokens, double seconds) {
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static const char *finish_name(const running *r) {
    if (interrupt_seen() || r->result.finish == EW_FINISH_CALLER)
        return "cancelled";
    return r->result.finish == EW_FINISH_STOP ? "stop" : "length";
}

static void print_json(const running *r, const char *path) {
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_text(&j, "model", path);
    json_key(&j, "text");
    json_text(&j, r->text == NULL ? "" : r->text, r->n_text);
    json_put_count(&j, "prompt_tokens", r->n_prompt);
    json_put_count(&j, "generated_tokens", r->result.n_generated);
    json_put_text(&j, "finish", finish_name(r));
    json_put_real(&j, "prefill_seconds", r->prefill_seconds);
    json_put_real(&j, "decode_seconds", r->result.decode_seconds);
    json_put_real(&j, "prefill_tokens_per_second", rate(r->n_prompt, r->prefill_seconds));
    json_put_real(&j, "decode_tokens_per_second",
                  rate(r->result.n_generated, r->result.decode_seconds));
    json_put_count(&j, "seed", r->args->seed);
    json_key(&j, "tokens");
    json_open(&j, '[');
    for (size_t i = 0; i < r->n_ids; i++)
        json_integer(&j, r->ids[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    fputc('\n', stdout);
}

static void print_stats(const running *r) {
    bool colours = terminal_has_colours(stderr);
    fprintf(stderr,
            "%sprompt: %zu tokens, %.1f tokens/s; answer: %zu tokens, %.1f tokens/s; %s%s\n",
            colours ? "\033[2m" : "", r->n_prompt, rate(r->n_prompt, r->prefill_seconds),
            r->result.n_generated, rate(r->result.n_generated, r->result.decode_seconds),
            finish_name(r), colours ? "\033[0m" : "");
}

static void finish_output(const running *r, const char *path) {
    if (r->args->json)
        print_json(r, path);
    else if (r->clean)
        putchar('\n');
    fflush(stdout);
    if (r->args->stats || terminal_is(stderr))
        print_stats(r);
}

static int answer(running *r, const char *path) {
    interrupt_begin(r->session);
    ew_status status = prefill(r);
    if (status == EW_OK)
        status = generate(r);
    interrupt_end();
    if (r->broken)
        return r->args->json ? text_fail("out of memory for the answer") : EXIT_FAILED;
    if (status != EW_OK && status != EW_CANCELLED)
        return text_fail_with(status);
    finish_output(r, path);
    return interrupt_seen() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static int run_model(running *r, const char *path) {
    ew_model_info info = EW_INIT(ew_model_info);
    int status = load_model(path, &r->args->model, &r->model);
    if (status != EXIT_DONE)
        return status;
    ew_model_get_info(r->model, &info);
    r->n_ctx = info.n_ctx_train < N_CTX_DEFAULT ? info.n_ctx_train : N_CTX_DEFAULT;
    if (r->args->n_ctx != 0)
        r->n_ctx = (size_t)r->args->n_ctx;
    status = read_prompt(r);
    if (status == EXIT_DONE)
        status = load_session(r->model, r->n_ctx, &r->session);
    return status == EXIT_DONE ? answer(r, path) : status;
}

static int run_main(int argc, char **argv) {
    run_args args = {.prompt = NULL};
    operands found;
    int status = options_parse(&cmd_run, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if (args.image != NULL)
        return text_fail("--image is not available yet: this version of edgewise reads text only");
    if ((args.prompt == NULL) == (args.file == NULL))
        return options_wrong(&cmd_run, "give the prompt with either -p or -f");
    const char *path = load_path(&found);
    if (path == NULL)
        return EXIT_FAILED;
    running r = {.args = &args, .clean = terminal_is(stdout)};
    status = run_model(&r, path);
    ew_session_free(r.session);
    ew_model_free(r.model);
    ew_free(r.prompt);
    free(r.text);
    free(r.ids);
    return status;
}

const command cmd_run = {
    .name = "run",
    .synopsis = "[MODEL] -p TEXT [options]",
    .summary = "one answer to standard output, as it is generated",
    .about = "Answers one prompt and streams the answer to standard output. A model with chat "
             "tokens gets the prompt as a user's message; with --raw, or from a model without "
             "them, the prompt itself is continued.\n\n"
             "The default is greedy: the most likely token each time, so the same prompt gives the "
             "same answer. Ctrl-C stops and keeps what is there (status 130).",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL",
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = run_main,
};
