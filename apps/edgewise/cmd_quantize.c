// SPDX-License-Identifier: Apache-2.0
/* edgewise quantize: a GGUF file with other weight types. */
#include "commands.h"

#include "edgewise/checkpoint.h"
#include "interrupt.h"
#include "json.h"
#include "terminal.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct quantize_args {
    uint64_t threads;
    const char *imatrix;
    bool json;
} quantize_args;

static const option OPTIONS[] = {
    OPT_TEXT(quantize_args, imatrix, 0, "imatrix", "FILE",
             "weight errors by what the columns are worth, from 'edgewise imatrix' or llama.cpp"),
    OPT_COUNT(quantize_args, threads, 't', "threads", "N", 0, 256,
              "threads to compute with; 0, the default: all cores. The file does not depend on it"),
    OPT_FLAG(quantize_args, json, 0, "json", "print one JSON object"),
};

static const example EXAMPLES[] = {
    {"edgewise quantize model-bf16.gguf model-q4_k_m.gguf Q4_K_M",
     "4 bits, 6 in the tensors that matter most"},
    {"edgewise quantize model-bf16.gguf small.gguf Q3_K_M --imatrix importance.gguf",
     "few bits, spent where they count"},
    {"edgewise quantize model-bf16.gguf model-q8_0.gguf q8_0 -t 4", "8 bits, with four threads"},
};

typedef struct quantizing {
    progress bar;
    bool begun;
} quantizing;

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    quantizing *q = context;
    if (!q->begun)
        progress_begin(&q->bar, "quantizing", NULL, total);
    q->begun = true;
    progress_at(&q->bar, done);
    return !interrupt_seen();
}

static uint64_t file_bytes(const char *path) {
    struct stat at;
    return stat(path, &at) == 0 ? (uint64_t)at.st_size : 0;
}

static int tell_result(const quantize_args *args, const operands *found, double seconds) {
    char before[TEXT_SIZE_MAX], after[TEXT_SIZE_MAX];
    json j = {.out = stdout};
    if (args->json) {
        json_open(&j, '{');
        json_put_text(&j, "out", found->at[1]);
        json_put_text(&j, "type", found->at[2]);
        json_put_count(&j, "source_bytes", file_bytes(found->at[0]));
        json_put_count(&j, "bytes", file_bytes(found->at[1]));
        json_put_real(&j, "seconds", seconds);
        json_close(&j, '}');
        fputc('\n', stdout);
    } else if (terminal_is(stderr)) {
        text_size(before, file_bytes(found->at[0]));
        text_size(after, file_bytes(found->at[1]));
        fprintf(stderr, "%s: %s, was %s, in %.1f s\n", found->at[1], after, before, seconds);
    }
    return EXIT_DONE;
}

static int quantize_main(int argc, char **argv) {
    quantize_args args = {.json = false};
    quantizing work = {.begun = false};
    operands found;
    int status = options_parse(&cmd_quantize, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    ew_quantize_options options = EW_INIT(ew_quantize_options);
    options.type = found.at[2];
    options.n_threads = (uint32_t)args.threads;
    options.imatrix = args.imatrix;
    options.progress = on_progress;
    options.progress_context = &work;
    double start = clock_now();
    interrupt_begin(NULL);
    ew_status done = ew_quantize(found.at[0], found.at[1], &options);
    interrupt_end();
    progress_end(&work.bar);
    if (done != EW_OK)
        return text_fail_with(done);
    return tell_result(&args, &found, clock_now() - start);
}

const command cmd_quantize = {
    .name = "quantize",
    .synopsis = "IN.gguf OUT.gguf TYPE [options]",
    .summary = "a GGUF file with smaller weights",
    .about = "Writes the model of a GGUF file with other weight types. TYPE is a mix by the name "
             "that llama.cpp gives it, with the same type for each tensor: Q8_0, Q6_K, Q5_K_M, "
             "Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, IQ4_NL, IQ4_XS, Q3_K_L, Q3_K_M, "
             "Q3_K_S, Q2_K; also F32, F16 and BF16. Scales are searched for the least squared "
             "error.\n\n"
             "Start from F32, F16 or BF16 where there is such a file: weights that are quantised "
             "twice lose twice. The file appears when it is whole; Ctrl-C leaves nothing behind.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "IN.gguf, OUT.gguf or TYPE",
    .least_operands = 3,
    .most_operands = 3,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = quantize_main,
};
