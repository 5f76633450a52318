// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* <prefix>/bin/edgewise -> <prefix>/share/edgewise/tiny.gguf; NULL when that cannot be told. */
static const char *installed_model(void) {
    static char path[PATH_BYTES + 32];
    ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (n <= 0 || n >= PATH_BYTES - 1)
        return NULL;
    path[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return NULL;
        *slash = '\0';
    }
    snprintf(path + strlen(path), 32, "/share/edgewise/tiny.gguf");
    return path;
}

static bool is_there(const char *path) {
    return path != NULL && access(path, R_OK) == 0;
}

const char *load_path(const operands *found) {
    const char *chosen = getenv("EDGEWISE_MODEL");
    const char *installed;
    if (found->n > 0)
        return found->at[0];
    if (chosen != NULL && chosen[0] != '\0')
        return chosen;
    installed = installed_model();
    if (is_there(installed))
        return installed;
    if (is_there(EW_DEFAULT_MODEL))
        return EW_DEFAULT_MODEL;
    text_fail("no model was named and none comes with this edgewise; name a .gguf file or a "
              "checkpoint folder, or set EDGEWISE_MODEL to one");
    return NULL;
}

static ew_kv_type kv_type(const char *word) {
    static const struct {
        const char *word;
        ew_kv_type type;
    } types[] = {
        {"f16", EW_KV_F16}, {"f32", EW_KV_F32}, {"q8_0", EW_KV_Q8_0}, {"q4_0", EW_KV_Q4_0}};
    for (size_t i = 0; word != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(word, types[i].word) == 0)
            return types[i].type;
    return EW_KV_DEFAULT;
}

int load_model(const char *path, const model_args *args, ew_model **out) {
    ew_model_options options = EW_INIT(ew_model_options);
    options.n_threads = (uint32_t)args->threads;
    options.n_threads_batch = (uint32_t)args->threads_batch;
    options.n_batch = (uint32_t)args->n_batch;
    options.kv_type = kv_type(args->kv);
    options.exact = args->exact;
    options.no_cache = args->no_cache;
    options.tokenizer_only = args->tokenizer_only;
    options.plain_head = args->plain_head;
    ew_status status = ew_model_load(path, &options, out);
    return status == EW_OK ? EXIT_DONE : text_fail_with(status);
}

int load_session(ew_model *model, size_t n_ctx, ew_session **out) {
    ew_session_options options = EW_INIT(ew_session_options);
    if (n_ctx > UINT32_MAX)
        return text_fail("%zu positions are more than a session can have", n_ctx);
    options.n_ctx = (uint32_t)n_ctx;
    ew_status status = ew_session_new(model, &options, out);
    return status == EW_OK ? EXIT_DONE : text_fail_with(status);
}
