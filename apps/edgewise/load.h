// SPDX-License-Identifier: Apache-2.0
/* From the MODEL argument to a loaded model. */
#ifndef EDGEWISE_APP_LOAD_H
#define EDGEWISE_APP_LOAD_H

#include "edgewise/edgewise.h"
#include "options.h"

typedef struct model_args {
    uint64_t threads, threads_batch; /* 0: what suits the machine; the second: as the first */
    const char *kv; /* "f16", "q8_0", "q4_0", "f32", or NULL for the library's default */
    bool exact, no_cache, plain_head;
    uint64_t n_batch;
    bool tokenizer_only;
} model_args;

/* Rows of option tables; `args` is the command's struct, with a model_args named `model`. */
#define OPT_THREADS(args)                                                                          \
    OPT_COUNT(args, model.threads, 't', "threads", "N", 0, 256,                                    \
              "threads to compute with; 0, the default: what suits the machine, found out once"),  \
        OPT_COUNT(args, model.threads_batch, 0, "threads-batch", "N", 0, 256,                      \
                  "threads for the prompt, where they should be others than those that generate")
#define OPT_KV(args, default_)                                                                     \
    OPT_CHOICE(                                                                                    \
        args, model.kv, "kv", "f16|q8_0|q4_0|f32",                                                 \
        "type of the keys and values in the cache: q8_0 and q4_0 are smaller and faster in "       \
        "long contexts and less exact; default " default_)
#define OPT_EXACT(args)                                                                            \
    OPT_FLAG(args, model.exact, 0, "exact",                                                        \
             "32-bit float activations also for quantised weights: slower, the reference "         \
             "arithmetic")
#define OPT_NO_CACHE(args)                                                                         \
    OPT_FLAG(args, model.no_cache, 0, "no-cache",                                                  \
             "keep the weights that are rearranged for this machine in memory, not in a file of "  \
             "the cache folder ('edgewise doctor' shows it)")
#define OPT_PLAIN_HEAD(args)                                                                       \
    OPT_FLAG(args, model.plain_head, 0, "plain-head",                                              \
             "compute every logit of every token, not those alone that can be chosen; the answer " \
             "is the same")
#define OPT_JSON(args) OPT_FLAG(args, json, 0, "json", "print one JSON object")

/* The path to load: the operand, or without one $EDGEWISE_MODEL, or the model that comes with
 * edgewise. NULL when there is none, after telling what to do. Valid until the program ends. */
const char *load_path(const operands *found);

/* Opens the model; returns EXIT_DONE or EXIT_FAILED after telling why. Free with ew_model_free. */
int load_model(const char *path, const model_args *args, ew_model **out);

/* A session with room for n_ctx positions; the same returns. */
int load_session(ew_model *model, size_t n_ctx, ew_session **out);

#endif
