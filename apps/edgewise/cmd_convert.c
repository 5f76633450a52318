// SPDX-License-Identifier: Apache-2.0
/* edgewise convert: a checkpoint folder to GGUF. */
#include "commands.h"

#include "edgewise/checkpoint.h"
#include "interrupt.h"
#include "json.h"
#include "terminal.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct convert_args {
    const char *type, *mmproj, *name;
    uint64_t threads;
    bool no_mmproj, json;
} convert_args;

static const option OPTIONS[] = {
    OPT_CHOICE(convert_args, type, "type", "f32|f16|bf16|q8_0",
               "type of the matrices; default: the checkpoint's own types"),
    OPT_TEXT(convert_args, mmproj, 0, "mmproj", "FILE",
             "where the vision tower goes; default: mmproj-OUT.gguf beside OUT.gguf, when the "
             "checkpoint has one"),
    OPT_FLAG(convert_args, no_mmproj, 0, "no-mmproj", "leave the vision tower out"),
    OPT_TEXT(convert_args, name, 0, "name", "NAME",
             "the model's name, as general.name of the file; default: the folder's"),
    OPT_FLAG(convert_args, json, 0, "json", "print one JSON object"),
    OPT_COUNT(convert_args, threads, 't', "threads", "N", 0, 256,
              "accepted as everywhere; converting takes one thread"),
};

static const example EXAMPLES[] = {
    {"edgewise convert Qwen3.5-0.8B/ qwen3.5-0.8b.gguf", "in the checkpoint's own type"},
    {"edgewise convert Qwen3.5-0.8B/ small.gguf --type q8_0 --no-mmproj",
     "8-bit weights, text only"},
};

typedef struct converting {
    progress bar;
    bool begun;
} converting;

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    converting *c = context;
    if (!c->begun)
        progress_begin(&c->bar, "converting", NULL, total);
    c->begun = true;
    c->bar.total = total;
    progress_at(&c->bar, done);
    return !interrupt_seen();
}

static int tell_result(const convert_args *args, const char *out, double seconds) {
    struct stat at;
    char size[TEXT_SIZE_MAX];
    json j = {.out = stdout};
    uint64_t bytes = stat(out, &at) == 0 ? (uint64_t)at.st_size : 0;
    if (args->json) {
        json_open(&j, '{');
        json_put_text(&j, "out", out);
        json_put_count(&j, "bytes", bytes);
        json_put_real(&j, "seconds", seconds);
        json_close(&j, '}');
        fputc('\n', stdout);
    } else if (terminal_is(stderr)) {
        text_size(size, bytes);
        fprintf(stderr, "%s: %s in %.1f s\n", out, size, seconds);
    }
    return EXIT_DONE;
}

static int convert_main(int argc, char **argv) {
    convert_args args = {.json = false};
    converting work = {.begun = false};
    operands found;
    int status = options_parse(&cmd_convert, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if (args.mmproj != NULL && args.no_mmproj)
        return options_wrong(&cmd_convert, "--mmproj and --no-mmproj exclude each other");
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.type = args.type;
    options.mmproj = args.no_mmproj ? "" : args.mmproj;
    options.name = args.name;
    options.progress = on_progress;
    options.progress_context = &work;
    double start = clock_now();
    interrupt_begin(NULL);
    ew_status done = ew_convert(found.at[0], found.at[1], &options);
    interrupt_end();
    progress_end(&work.bar);
    if (done != EW_OK)
        return text_fail_with(done);
    return tell_result(&args, found.at[1], clock_now() - start);
}

const command cmd_convert = {
    .name = "convert",
    .synopsis = "DIR OUT.gguf [options]",
    .summary = "a checkpoint folder (Hugging Face, MLX) to GGUF",
    .about = "Writes the model in a checkpoint folder of Hugging Face or MLX as a GGUF file, which "
             "llama.cpp reads too. Quantised matrices of MLX keep their values with 2 to 5 bits "
             "(as Q4_1 or Q5_1); 6 and 8 bits become Q8_0. The file appears when it is whole; "
             "Ctrl-C leaves nothing behind.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "DIR or OUT.gguf",
    .least_operands = 2,
    .most_operands = 2,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = convert_main,
};
