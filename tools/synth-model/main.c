// SPDX-License-Identifier: Apache-2.0
/* synth-model: a Qwen3.5 checkpoint with random weights, of any size, as a folder or a GGUF file.
 */
#include "write.h"

#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: synth-model SIZE [field=value]... OUT [options]\n"
    "\n"
    "  SIZE            0.8b, 2b, 4b, 9b (the published shapes) or tiny\n"
    "  field=value     a field of config.json, such as hidden_size=128; vision.depth=2 and so on\n"
    "                  for the vision tower; tie_word_embeddings=0 or 1\n"
    "  OUT             the GGUF file or, with --hf, the folder to write\n"
    "  --hf            write a Hugging Face folder (types f32, f16, bf16)\n"
    "  --type T        f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k_m q4_k_m q5_k_m q6_k\n"
    "                  iq4_nl iq4_xs; default bf16, for tiny q8_0 in GGUF and f32 in a folder\n"
    "  --seed N        another model of the same shape; default 1\n"
    "  --vocab V       bytes (256 bytes and 311 merges, default for tiny), none, or the number of\n"
    "                  ids of a full vocabulary (default 248320)\n"
    "  --name NAME     general.name of a GGUF file; default qwen3.5-SIZE-random\n"
    "  --mtp           with the multi-token-prediction block\n"
    "  --vision        with the vision tower (folders only: convert makes the mmproj file)\n";

struct arguments {
    struct synth_job job;
    const char *size, *type;
    bool hf;
};

static int refuse(const char *what, const char *argument) {
    fprintf(stderr, "synth-model: %s: %s\n", what, argument);
    return 2;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return end != text && *end == '\0' && text[0] != '-' && value <= max;
}

static bool parse_vocab(const char *text, struct shape *shape) {
    uint64_t n;
    if (strcmp(text, "bytes") == 0)
        shape->vocab = VOCAB_BYTES;
    else if (strcmp(text, "none") == 0)
        shape->vocab = VOCAB_NONE;
    else if (parse_number(text, 1u << 19, &n) && n > 1)
        shape->vocab = (uint32_t)n;
    else
        return false;
    return true;
}

/* Takes an option with its value; false for an unknown one or a bad value. */
static bool take_option(struct arguments *a, const char *option, const char *value) {
    if (value == NULL)
        return false;
    if (strcmp(option, "--type") == 0)
        a->type = value;
    else if (strcmp(option, "--name") == 0)
        a->job.name = value;
    else if (strcmp(option, "--seed") == 0)
        return parse_number(value, UINT64_MAX, &a->job.seed);
    else if (strcmp(option, "--vocab") == 0)
        return parse_vocab(value, &a->job.shape);
    else
        return false;
    return true;
}

static int parse(int argc, char **argv, struct arguments *a) {
    for (int i = 2; i < argc; i++) {
        struct shape *shape = &a->job.shape;
        if (strcmp(argv[i], "--hf") == 0)
            a->hf = true;
        else if (strcmp(argv[i], "--mtp") == 0)
            shape->config.n_mtp = 1;
        else if (strcmp(argv[i], "--vision") == 0)
            shape->has_vision = true;
        else if (argv[i][0] == '-' && take_option(a, argv[i], argv[i + 1]))
            i++;
        else if (argv[i][0] == '-')
            return refuse("unknown option or bad value", argv[i]);
        else if (strchr(argv[i], '=') != NULL && strchr(argv[i], '/') == NULL) {
            if (!shape_set(shape, argv[i]))
                return refuse("unknown field or bad number", argv[i]);
        } else if (a->job.out != NULL)
            return refuse("a second output", argv[i]);
        else
            a->job.out = argv[i];
    }
    return a->job.out != NULL ? 0 : refuse("no output named", a->size);
}

static int check(struct arguments *a, char name[64]) {
    bool tiny = strcmp(a->size, "tiny") == 0;
    const char *type = a->type != NULL ? a->type : !tiny ? "bf16" : a->hf ? "f32" : "q8_0";
    a->job.recipe = recipe_by_name(type);
    if (a->job.recipe == NULL)
        return refuse("unknown type", type);
    ew__dtype base = a->job.recipe->base;
    if (a->hf && base != EW__F32 && base != EW__F16 && base != EW__BF16)
        return refuse("a folder has no such type", type);
    if (!a->hf && a->job.shape.has_vision)
        return refuse("the vision tower needs --hf, then edgewise convert", a->job.out);
    snprintf(name, 64, "qwen3.5-%.16s-random", a->size);
    if (a->job.name == NULL)
        a->job.name = name;
    return 0;
}

static ew_status make(struct synth_job *job, bool hf) {
    struct ew__config *c = &job->shape.config;
    if (job->shape.vocab != VOCAB_NONE) {
        EW__TRY(vocab_make(job->shape.vocab, &job->vocab));
        if (c->n_vocab == 0)
            c->n_vocab = job->vocab.n_total;
        if (c->n_vocab < job->vocab.n_total)
            return ew__fail(EW_ARGUMENT, "vocab_size %u is less than the tokenizer's %u ids",
                            c->n_vocab, job->vocab.n_total);
        job->vocab.n_total = c->n_vocab;
    } else if (c->n_vocab == 0) {
        c->n_vocab = 512;
    }
    EW__TRY(shape_finish(&job->shape));
    return hf ? write_hf(job) : write_gguf(job);
}

int main(int argc, char **argv) {
    static struct arguments a; // large: it holds a table of layers
    char name[64];
    if (argc < 3 || strcmp(argv[1], "--help") == 0) {
        fputs(usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    a.size = argv[1];
    a.job.seed = 1;
    if (!shape_preset(a.size, &a.job.shape))
        return refuse("unknown size", a.size);
    int refused = parse(argc, argv, &a);
    if (refused == 0)
        refused = check(&a, name);
    if (refused != 0)
        return refused;
    ew_status status = make(&a.job, a.hf);
    vocab_release(&a.job.vocab);
    if (status != EW_OK)
        fprintf(stderr, "synth-model: %s\n", ew_last_error());
    return status == EW_OK ? 0 : 1;
}
