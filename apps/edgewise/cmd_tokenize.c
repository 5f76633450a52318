// SPDX-License-Identifier: Apache-2.0
/* edgewise tokenize: text from standard input to token ids, and back. */
#include "commands.h"

#include "input.h"
#include "json.h"
#include "load.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tokenize_args {
    model_args model;
    bool ids, no_special, decode, json;
} tokenize_args;

static const option OPTIONS[] = {
    OPT_FLAG(tokenize_args, ids, 0, "ids", "only the ids, one per line"),
    OPT_FLAG(tokenize_args, no_special, 0, "no-special",
             "added tokens in the text, such as <|im_end|>, are plain text"),
    OPT_FLAG(tokenize_args, decode, 0, "decode",
             "the other way: ids on standard input, text on standard output"),
    OPT_JSON(tokenize_args),
    OPT_COUNT(tokenize_args, model.threads, 't', "threads", "N", 0, 256,
              "accepted as everywhere; text takes one"),
};

static const example EXAMPLES[] = {
    {"echo \"Hello world\" | edgewise tokenize model.gguf", "id and piece, one token per line"},
    {"edgewise tokenize model.gguf --ids < text.txt | wc -l", "how many tokens a text has"},
    {"echo 1,2,3 | edgewise tokenize model.gguf --decode", "the text of three tokens"},
};

static void json_ids(const int32_t *ids, size_t n) {
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_count(&j, "count", n);
    json_key(&j, "ids");
    json_open(&j, '[');
    for (size_t i = 0; i < n; i++)
        json_integer(&j, ids[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    fputc('\n', stdout);
}

static int print_pieces(const ew_model *model, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *bytes;
        size_t length;
        ew_status status = ew_token_bytes(model, ids[i], &bytes, &length);
        if (status != EW_OK)
            return text_fail_with(status);
        printf("%d\t", ids[i]);
        text_print_quoted(stdout, bytes, length);
        putchar('\n');
    }
    return EXIT_DONE;
}

static int encode(const ew_model *model, const tokenize_args *args, const char *text, size_t n) {
    int32_t *ids;
    size_t count;
    int result = EXIT_DONE;
    ew_status status = ew_tokenize(
        model, text, n, args->no_special ? EW_TOKENIZE_PLAIN : EW_TOKENIZE_SPECIAL, &ids, &count);
    if (status != EW_OK)
        return text_fail_with(status);
    if (args->json)
        json_ids(ids, count);
    else if (args->ids)
        for (size_t i = 0; i < count; i++)
            printf("%d\n", ids[i]);
    else
        result = print_pieces(model, ids, count);
    ew_free(ids);
    return result;
}

static void print_decoded(const char *text, size_t n, bool as_json) {
    json j = {.out = stdout};
    if (!as_json) {
        fwrite(text, 1, n, stdout);
        return;
    }
    json_open(&j, '{');
    json_key(&j, "text");
    json_text(&j, text, n);
    json_close(&j, '}');
    fputc('\n', stdout);
}

static int decode(const ew_model *model, const tokenize_args *args, const char *list, size_t n) {
    int32_t *ids;
    size_t count;
    char *text;
    size_t length;
    if (strlen(list) != n)
        return text_fail("standard input is not a list of token ids");
    int result = input_ids(list, &ids, &count);
    if (result != EXIT_DONE)
        return result;
    ew_status status = ew_detokenize(model, ids, count, true, &text, &length);
    free(ids);
    if (status != EW_OK)
        return text_fail_with(status);
    print_decoded(text, length, args->json);
    ew_free(text);
    return EXIT_DONE;
}

static int tokenize_main(int argc, char **argv) {
    tokenize_args args = {.model = {.tokenizer_only = true}};
    operands found;
    ew_model *model = NULL;
    char *text = NULL;
    size_t n;
    int status = options_parse(&cmd_tokenize, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    if (args.decode && (args.ids || args.no_special))
        return options_wrong(&cmd_tokenize, "--decode goes with neither --ids nor --no-special");
    const char *path = load_path(&found);
    status = path == NULL ? EXIT_FAILED : load_model(path, &args.model, &model);
    if (status == EXIT_DONE)
        status = input_read("-", &text, &n);
    if (status == EXIT_DONE)
        status = args.decode ? decode(model, &args, text, n) : encode(model, &args, text, n);
    free(text);
    ew_model_free(model);
    return status;
}

const command cmd_tokenize = {
    .name = "tokenize",
    .synopsis = "[MODEL] [options] < TEXT",
    .summary = "text to token ids, and back",
    .about = "Reads text from standard input and prints its tokens: the id, a tab and the piece in "
             "quotes, where bytes that are part of a character show as \\xNN. Nothing is added to "
             "the text and nothing is taken away, also not the line end after it.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "MODEL",
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = tokenize_main,
};
