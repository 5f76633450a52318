// SPDX-License-Identifier: Apache-2.0
/* edgewise bench: how fast a model reads and writes on this machine. */
#include "commands.h"

#include "bench_batch.h"
#include "bench_report.h"
#include "interrupt.h"
#include "load.h"
#include "measure.h"
#include "terminal.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPETITIONS_MAX = 1000, PIECE = 512, TOKENS_MAX = 1 << 24 };
static const uint64_t SEED = 20260101;

typedef struct bench_args {
    model_args model;
    uint64_t n_prefill, n_decode, depth, parallel, repetitions;
    bool json, no_limits;
} bench_args;

static const option OPTIONS[] = {
    OPT_COUNT(bench_args, n_prefill, 'p', "prefill", "N", 0, TOKENS_MAX,
              "tokens of the prompt; default 512; 0 leaves prefill out"),
    OPT_COUNT(bench_args, n_decode, 'n', "decode", "N", 0, TOKENS_MAX,
              "tokens to generate; default 64; 0 leaves decoding out"),
    OPT_COUNT(bench_args, depth, 'd', "depth", "N", 0, TOKENS_MAX,
              "tokens in the context before decoding, not timed; default 0"),
    OPT_COUNT(bench_args, parallel, 0, "parallel", "N", 1, BENCH_SEQUENCES_MAX,
              "decode N sequences together, too; default 1"),
    OPT_COUNT(bench_args, repetitions, 'r', "repetitions", "N", 1, REPETITIONS_MAX,
              "measure N times and show the median; default 3"),
    OPT_THREADS(bench_args),
    OPT_KV(bench_args, "f16"),
    OPT_EXACT(bench_args),
    OPT_NO_CACHE(bench_args),
    OPT_PLAIN_HEAD(bench_args),
    OPT_COUNT(bench_args, model.n_batch, 0, "batch", "N", 1, 4096,
              "tokens computed in one pass of prefill; default 512"),
    OPT_FLAG(bench_args, no_limits, 0, "no-limits",
             "leave out what the machine gives at most, which takes about two seconds"),
    OPT_JSON(bench_args),
};

static const example EXAMPLES[] = {
    {"edgewise bench model.gguf", "512 tokens of prompt, 64 of answer, three times"},
    {"edgewise bench model.gguf -p 2048 -n 128 -d 4096 -t 4",
     "with four threads, deep in a context"},
    {"edgewise bench model.gguf --parallel 8", "how much faster eight answers are together"},
    {"edgewise bench model.gguf --json", "one object for a script"},
};

typedef struct bench {
    const bench_args *args;
    ew_model *model;
    ew_session *session;
    ew_snapshot *at_depth;
    int32_t *ids;
    bench_batch batch;
    /* [repetitions] tokens/s, but `first` in seconds, and `gain` of `together` over `decode` */
    double *prefill, *decode, *first, *together, *gain;
    bench_result result;
    progress bar;
    uint64_t steps_done;
} bench;

static size_t positions(const bench_args *args) {
    uint64_t most = args->depth + args->n_decode;
    most = most < args->n_prefill ? args->n_prefill : most;
    return (size_t)(most < PIECE ? PIECE : most);
}

static ew_status read_ids(bench *b, const int32_t *ids, size_t n) {
    const size_t most = b->args->model.n_batch > PIECE ? (size_t)b->args->model.n_batch : PIECE;
    ew_status status = EW_OK;
    for (size_t at = 0; at < n && status == EW_OK; at += most) {
        size_t piece = n - at < most ? n - at : most;
        status = interrupt_seen() ? EW_CANCELLED : ew_session_eval(b->session, ids + at, piece);
        progress_at(&b->bar, b->steps_done += piece);
    }
    return status;
}

static ew_status time_prefill(bench *b, double *tokens_per_second) {
    size_t n = (size_t)b->args->n_prefill;
    ew_session_clear(b->session);
    double start = clock_now();
    ew_status status = read_ids(b, b->ids, n);
    *tokens_per_second = (double)n / (clock_now() - start);
    return status;
}

static ew_status decode_together(bench *b, size_t n) {
    ew_status status = EW_OK;
    for (size_t i = 0; i < n && status == EW_OK; i++) {
        status = interrupt_seen() ? EW_CANCELLED : bench_batch_step(&b->batch);
        progress_at(&b->bar, b->steps_done += b->batch.n);
    }
    return status;
}

/* Generates greedily from `token` on; choosing the token is part of the time. */
static ew_status decode(bench *b, int32_t token, size_t n) {
    ew_status status = EW_OK;
    for (size_t i = 0; i < n && status == EW_OK; i++) {
        status = interrupt_seen() ? EW_CANCELLED : ew_session_eval(b->session, &token, 1);
        if (status == EW_OK)
            token = measure_greedy(b->session);
        progress_at(&b->bar, ++b->steps_done);
    }
    return status;
}

static void note_peak(bench *b) {
    ew_system_info system = EW_INIT(ew_system_info);
    if (b->result.peak_rss_bytes == 0 && ew_system_get_info(&system) == EW_OK)
        b->result.peak_rss_bytes = system.peak_rss_bytes;
}

static bool needs_snapshot(const bench_args *args) {
    return args->depth > 0 && (args->repetitions > 1 || args->parallel > 1);
}

/* The first repetition evaluates the depth, later ones return to it by a snapshot. The peak of
 * memory is read before the copy is made: it is the bench's, not the model's. */
static ew_status go_to_depth(bench *b, size_t repetition) {
    size_t depth = (size_t)b->args->depth;
    if (repetition > 0 && b->at_depth != NULL)
        return ew_session_restore(b->session, b->at_depth);
    ew_session_clear(b->session);
    ew_status status = read_ids(b, b->ids, depth);
    if (status != EW_OK || !needs_snapshot(b->args))
        return status;
    note_peak(b);
    return ew_session_snapshot(b->session, &b->at_depth);
}

static ew_status time_decode(bench *b, size_t repetition, double *tokens_per_second) {
    size_t n = (size_t)b->args->n_decode;
    ew_status status = go_to_depth(b, repetition);
    if (status != EW_OK)
        return status;
    int32_t token = b->args->depth > 0 ? measure_greedy(b->session) : b->ids[0];
    double start = clock_now();
    status = decode(b, token, n);
    *tokens_per_second = (double)n / (clock_now() - start);
    return status;
}

/* The same number of tokens of each of several sequences, which differ from their first one on. */
static ew_status time_together(bench *b, double *tokens_per_second) {
    size_t n = (size_t)b->args->n_decode;
    ew_status status = bench_batch_start(&b->batch, b->at_depth, b->ids);
    if (status == EW_OK) // the sequences' memories become resident
        status = bench_batch_step(&b->batch);
    if (status == EW_OK)
        status = bench_batch_start(&b->batch, b->at_depth, b->ids);
    double start = clock_now();
    if (status == EW_OK)
        status = decode_together(b, n);
    *tokens_per_second = (double)(n * b->batch.n) / (clock_now() - start);
    return status;
}

/* One sequence and several in turn: what else the machine does meets both. */
static ew_status time_answers(bench *b, size_t repetition) {
    ew_status status = time_decode(b, repetition, &b->decode[repetition]);
    if (status != EW_OK || b->args->parallel < 2)
        return status;
    note_peak(b);
    if (b->batch.n == 0)
        status =
            bench_batch_open(&b->batch, b->model, (size_t)b->args->parallel, positions(b->args));
    if (status == EW_OK)
        status = time_together(b, &b->together[repetition]);
    b->gain[repetition] = b->together[repetition] / b->decode[repetition];
    return status;
}

static ew_status time_first_token(bench *b, double *seconds) {
    ew_session_clear(b->session);
    double start = clock_now();
    ew_status status = ew_session_eval(b->session, b->ids, BENCH_SHORT_PROMPT);
    if (status == EW_OK)
        (void)measure_greedy(b->session);
    *seconds = clock_now() - start;
    return status;
}

/* Weights come into memory and processors up to speed before anything is timed. */
static ew_status warm_up(bench *b) {
    size_t n = b->args->n_prefill < BENCH_SHORT_PROMPT ? BENCH_SHORT_PROMPT
               : b->args->n_prefill < PIECE            ? (size_t)b->args->n_prefill
                                                       : PIECE;
    ew_status status = ew_session_eval(b->session, b->ids, n);
    ew_session_clear(b->session);
    return status == EW_OK ? decode(b, b->ids[0], b->args->n_decode < 4 ? 1 : 4) : status;
}

static uint64_t steps(const bench_args *args) {
    uint64_t sequences = args->parallel < 2 ? 1 : 1 + args->parallel;
    uint64_t answers = args->repetitions * args->n_decode * sequences;
    uint64_t decoding = args->n_decode == 0 ? 0 : args->depth + answers;
    return args->repetitions * args->n_prefill + decoding;
}

static ew_status measure(bench *b) {
    ew_status status = warm_up(b);
    b->steps_done = 0;
    for (size_t i = 0; i < b->args->repetitions && status == EW_OK; i++)
        status = time_first_token(b, &b->first[i]);
    for (size_t i = 0; i < b->args->repetitions && b->args->n_prefill > 0 && status == EW_OK; i++)
        status = time_prefill(b, &b->prefill[i]);
    for (size_t i = 0; i < b->args->repetitions && b->args->n_decode > 0 && status == EW_OK; i++)
        status = time_answers(b, i);
    note_peak(b);
    return status;
}

/* In order, for the result: n values of one kind. */
static bench_speed speed_of(double *values, const bench *b, uint64_t tokens) {
    if (tokens == 0)
        return (bench_speed){0};
    size_t n = (size_t)b->args->repetitions;
    return (bench_speed){
        .tokens = tokens, .s = measure_spread(values, n), .samples = values, .n = n};
}

static void fill_result(bench *b) {
    bench_result *r = &b->result;
    r->kv = b->args->model.kv != NULL ? b->args->model.kv : "f16";
    r->exact = b->args->model.exact;
    r->n_batch = b->args->model.n_batch;
    r->depth = b->args->depth;
    r->repetitions = b->args->repetitions;
    r->prefill = speed_of(b->prefill, b, b->args->n_prefill);
    r->decode = speed_of(b->decode, b, b->args->n_decode);
    r->first = speed_of(b->first, b, 1);
    if (b->args->parallel < 2)
        return;
    r->sequences = b->args->parallel;
    r->together = speed_of(b->together, b, b->args->n_decode);
    r->gain = speed_of(b->gain, b, b->args->n_decode);
}

static int prepare(bench *b) {
    size_t n_ids = positions(b->args);
    size_t n = (size_t)b->args->repetitions;
    double start = clock_now();
    int status = load_model(b->result.path, &b->args->model, &b->model);
    b->result.load_seconds = clock_now() - start;
    if (status != EXIT_DONE)
        return status;
    ew_model_get_info(b->model, &b->result.info);
    b->ids = calloc(n_ids, sizeof(*b->ids));
    b->prefill = calloc(5 * n, sizeof(*b->prefill));
    if (b->ids == NULL || b->prefill == NULL)
        return text_fail("out of memory for %zu tokens", n_ids);
    b->decode = b->prefill + n;
    b->first = b->decode + n;
    b->together = b->first + n;
    b->gain = b->together + n;
    measure_ids(b->ids, n_ids, b->result.info.n_vocab, SEED);
    return load_session(b->model, n_ids, &b->session);
}

static int run_bench(bench *b) {
    int prepared = prepare(b);
    if (prepared != EXIT_DONE)
        return prepared;
    interrupt_begin(b->session);
    progress_begin(&b->bar, "measuring", "tokens", steps(b->args));
    ew_status status = measure(b);
    progress_end(&b->bar);
    interrupt_end();
    b->result.limits = (ew_machine_peak)EW_INIT(ew_machine_peak);
    if (status == EW_OK && !b->args->no_limits)
        status = ew_model_measure_peak(b->model, &b->result.limits);
    if (status != EW_OK)
        return text_fail_with(status);
    fill_result(b);
    if (b->args->json)
        bench_report_json(&b->result);
    else
        bench_report_text(&b->result);
    return EXIT_DONE;
}

static int bench_main(int argc, char **argv) {
    bench_args args = {.model = {.n_batch = 512},
                       .n_prefill = 512,
                       .n_decode = 64,
                       .parallel = 1,
                       .repetitions = 3};
    operands found;
    int status = options_parse(&cmd_bench, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    bench b = {.args = &args, .result = {.path = load_path(&found)}};
    b.result.info = (ew_model_info)EW_INIT(ew_model_info);
    status = b.result.path == NULL ? EXIT_FAILED : run_bench(&b);
    bench_batch_close(&b.batch);
    ew_snapshot_free(b.at_depth);
    ew_session_free(b.session);
    ew_model_free(b.model);
    free(b.ids);
    free(b.prefill);
    return status;
}

const command cmd_bench = {
    .name = "bench",
    .synopsis = "[MODEL] [-p 512] [-n 64] [-d DEPTH] [--parallel N] [-r 3] [-t THREADS] [--json]",
    .summary = "how fast a model reads and writes on this machine",
    .about = "After a warm-up, measures prefill (random tokens on an empty context), decoding "
             "(greedy, one token at a time, after DEPTH tokens) and the time to the first token of "
             "a short prompt. Shows median, minimum and maximum of the repetitions.\n\n"
             "With --parallel N every repetition of decoding is followed by one of N sequences at "
             "the same depth, a token of each in one pass; their speed is that of all together, "
             "beside it how many times one sequence's that is.\n\n"
             "Then it measures what the machine gives at most to the same threads and instruction "
             "set: reading memory, and multiplying numbers that lie in registers. Prefill stands "
             "beside the peak of the arithmetic that the weights could be multiplied in, without "
             "the head; decoding beside the memory's speed, with the weights, the keys and values "
             "at half the answer, and the recurrent state read and written.\n\n"
             "bytes_per_token is what decoding one token reads of the weights; peak_rss_bytes "
             "leaves out the copy of the context that repetitions at a depth start from, and the "
             "memory that the measurement of limits takes.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL",
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = bench_main,
};
