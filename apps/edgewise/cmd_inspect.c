// SPDX-License-Identifier: Apache-2.0
/* edgewise inspect: what is in a model file, and what would stop it from running. */
#include "commands.h"

#include "edgewise/checkpoint.h"
#include "json.h"
#include "terminal.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct inspect_args {
    uint64_t threads;
    bool json, tensors, check_values, strict;
} inspect_args;

static const option OPTIONS[] = {
    OPT_FLAG(inspect_args, tensors, 0, "tensors", "list every tensor"),
    OPT_FLAG(inspect_args, check_values, 0, "check-values",
             "read every weight and report NaN and infinite ones"),
    OPT_FLAG(inspect_args, strict, 0, "strict", "exit with status 1 when there are problems"),
    OPT_FLAG(inspect_args, json, 0, "json", "print one JSON object, with all tensors"),
    OPT_COUNT(inspect_args, threads, 't', "threads", "N", 0, 256,
              "accepted as everywhere; looking inside takes one thread"),
};

static const example EXAMPLES[] = {
    {"edgewise inspect model.gguf", "metadata, sizes by type, problems"},
    {"edgewise inspect model.gguf --tensors --check-values",
     "every tensor, every weight looked at"},
    {"edgewise inspect Qwen3.5-0.8B/ --strict && edgewise convert Qwen3.5-0.8B/ out.gguf",
     "convert only what has no problem"},
};

enum { TYPES_MAX = 64 };
typedef struct type_sum {
    const char *type;
    uint64_t n_tensors, n_weights, bytes;
} type_sum;

/* Products of dims that overflow stand for a broken file; the sum then merely looks large. */
static uint64_t count_weights(const ew_tensor_info *tensor) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        n = tensor->dims[i] != 0 && n > UINT64_MAX / tensor->dims[i] ? UINT64_MAX
                                                                     : n * tensor->dims[i];
    return n;
}

static uint64_t add(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static size_t sum_by_type(const ew_inspection *in, type_sum sums[TYPES_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < ew_inspection_tensor_count(in); i++) {
        ew_tensor_info tensor = ew_inspection_tensor(in, i);
        size_t at = 0;
        while (at < n && strcmp(sums[at].type, tensor.type) != 0)
            at++;
        if (at == TYPES_MAX)
            continue;
        if (at == n)
            sums[n++] = (type_sum){.type = tensor.type};
        sums[at].n_tensors++;
        sums[at].n_weights = add(sums[at].n_weights, count_weights(&tensor));
        sums[at].bytes = add(sums[at].bytes, tensor.bytes);
    }
    return n;
}

static double bits_per_weight(const type_sum *sum) {
    return sum->n_weights == 0 ? 0 : 8.0 * (double)sum->bytes / (double)sum->n_weights;
}

static void heading(const char *words) {
    bool bold = terminal_has_colours(stdout);
    printf("\n%s%s%s\n", bold ? "\033[1m" : "", words, bold ? "\033[0m" : "");
}

/* Type names may come from the file, too. */
static void print_padded(const char *text, size_t width) {
    size_t n = strlen(text);
    text_print_line(stdout, text, 40);
    printf("%*s", (int)(n < width ? width - n : 0), "");
}

static void print_metadata(const ew_inspection *in) {
    size_t widest = 0;
    heading("Metadata");
    for (size_t i = 0; i < ew_inspection_metadata_count(in); i++) {
        size_t n = strlen(ew_inspection_metadata(in, i).key);
        widest = n > widest && n <= 48 ? n : widest;
    }
    for (size_t i = 0; i < ew_inspection_metadata_count(in); i++) {
        ew_metadata entry = ew_inspection_metadata(in, i);
        size_t n = strlen(entry.key);
        printf("  ");
        text_print_line(stdout, entry.key, 200);
        printf("%*s  ", (int)(n < widest ? widest - n : 0), "");
        print_padded(entry.type, 16);
        text_print_line(stdout, entry.value, 160);
        putchar('\n');
    }
}

static void print_shape(const ew_tensor_info *tensor) {
    char text[8 * 24];
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < tensor->n_dims && i < 8; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 i == 0 ? "%" PRIu64 : " x %" PRIu64, tensor->dims[i]);
    printf("%-24s", text);
}

static void print_tensors(const ew_inspection *in) {
    heading("Tensors (contiguous dimension first)");
    for (size_t i = 0; i < ew_inspection_tensor_count(in); i++) {
        ew_tensor_info tensor = ew_inspection_tensor(in, i);
        char size[TEXT_SIZE_MAX];
        text_size(size, tensor.bytes);
        printf("  ");
        print_padded(tensor.type, 9);
        print_shape(&tensor);
        printf(" %10s  ", size);
        text_print_line(stdout, tensor.name, 200);
        putchar('\n');
    }
}

static void print_sums(const ew_inspection *in) {
    type_sum sums[TYPES_MAX];
    type_sum all = {.type = "all"};
    size_t n = sum_by_type(in, sums);
    heading("Types");
    printf("  %-10s %8s %16s %12s %12s\n", "type", "tensors", "weights", "size", "bits/weight");
    for (size_t i = 0; i <= n; i++) {
        const type_sum *sum = i < n ? &sums[i] : &all;
        char size[TEXT_SIZE_MAX];
        text_size(size, sum->bytes);
        printf("  ");
        print_padded(sum->type, 10);
        printf(" %8" PRIu64 " %16" PRIu64 " %12s %12.2f\n", sum->n_tensors, sum->n_weights, size,
               bits_per_weight(sum));
        all.n_tensors += sum->n_tensors;
        all.n_weights = add(all.n_weights, sum->n_weights);
        all.bytes = add(all.bytes, sum->bytes);
    }
}

static void print_problems(const ew_inspection *in) {
    size_t n = ew_inspection_problem_count(in);
    heading("Problems");
    if (n == 0)
        printf("  none: it loads\n");
    for (size_t i = 0; i < n; i++) {
        printf("  - ");
        text_print_line(stdout, ew_inspection_problem(in, i), 1000);
        putchar('\n');
    }
}

static void print_all(const ew_inspection *in, const char *path, const inspect_args *args) {
    char size[TEXT_SIZE_MAX];
    text_size(size, ew_inspection_file_bytes(in));
    text_print_line(stdout, path, 1000);
    printf(": %s, %s (%" PRIu64 " bytes), %zu tensors\n", ew_inspection_container(in), size,
           ew_inspection_file_bytes(in), ew_inspection_tensor_count(in));
    print_metadata(in);
    if (args->tensors)
        print_tensors(in);
    print_sums(in);
    print_problems(in);
}

static void json_metadata(json *j, const ew_inspection *in) {
    json_key(j, "metadata");
    json_open(j, '[');
    for (size_t i = 0; i < ew_inspection_metadata_count(in); i++) {
        ew_metadata entry = ew_inspection_metadata(in, i);
        json_open(j, '{');
        json_put_text(j, "key", entry.key);
        json_put_text(j, "type", entry.type);
        json_put_text(j, "value", entry.value);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_tensors(json *j, const ew_inspection *in) {
    json_key(j, "tensors");
    json_open(j, '[');
    for (size_t i = 0; i < ew_inspection_tensor_count(in); i++) {
        ew_tensor_info tensor = ew_inspection_tensor(in, i);
        json_open(j, '{');
        json_put_text(j, "name", tensor.name);
        json_put_text(j, "type", tensor.type);
        json_key(j, "shape");
        json_open(j, '[');
        for (uint32_t d = 0; d < tensor.n_dims; d++)
            json_count(j, tensor.dims[d]);
        json_close(j, ']');
        json_put_count(j, "bytes", tensor.bytes);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_sums(json *j, const ew_inspection *in) {
    type_sum sums[TYPES_MAX];
    size_t n = sum_by_type(in, sums);
    json_key(j, "types");
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(j, '{');
        json_put_text(j, "type", sums[i].type);
        json_put_count(j, "tensors", sums[i].n_tensors);
        json_put_count(j, "weights", sums[i].n_weights);
        json_put_count(j, "bytes", sums[i].bytes);
        json_put_real(j, "bits_per_weight", bits_per_weight(&sums[i]));
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_all(const ew_inspection *in, const char *path) {
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_text(&j, "file", path);
    json_put_text(&j, "container", ew_inspection_container(in));
    json_put_count(&j, "file_bytes", ew_inspection_file_bytes(in));
    json_metadata(&j, in);
    json_tensors(&j, in);
    json_sums(&j, in);
    json_key(&j, "problems");
    json_open(&j, '[');
    for (size_t i = 0; i < ew_inspection_problem_count(in); i++) {
        const char *problem = ew_inspection_problem(in, i);
        json_text(&j, problem, strlen(problem));
    }
    json_close(&j, ']');
    json_close(&j, '}');
    fputc('\n', stdout);
}

static int inspect_main(int argc, char **argv) {
    inspect_args args = {.json = false};
    operands found;
    ew_inspection *in;
    int status = options_parse(&cmd_inspect, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    ew_status opened = ew_inspect(found.at[0], args.check_values, &in);
    if (opened != EW_OK)
        return text_fail_with(opened);
    if (args.json)
        json_all(in, found.at[0]);
    else
        print_all(in, found.at[0], &args);
    bool failed = args.strict && ew_inspection_problem_count(in) > 0;
    status = failed ? text_fail("%s", ew_inspection_problem(in, 0)) : EXIT_DONE;
    ew_inspection_free(in);
    return status;
}

const command cmd_inspect = {
    .name = "inspect",
    .synopsis = "FILE [options]",
    .summary = "what is in a model file: metadata, tensors, sizes, problems",
    .about = "Looks inside a GGUF or safetensors file or a checkpoint folder, also of a model that "
             "edgewise cannot run. Problems that would stop or degrade running are listed at the "
             "end.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .operand = "FILE",
    .least_operands = 1,
    .most_operands = 1,
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = inspect_main,
};
