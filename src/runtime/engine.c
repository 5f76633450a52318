// SPDX-License-Identifier: Apache-2.0
/* Models: opening, sharing, closing; what they tell about themselves. */
#include "runtime/engine.h"

#include "base/cache_dir.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "kernels/probe.h"
#include "runtime/threads.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { default_batch = 512, max_batch = 4096 };

const char *ew_version(void) {
    return EW_VERSION;
}

void ew_set_log(ew_log_fn *receiver, void *context) {
    ew__log_set(receiver, context);
}

void ew_free(void *pointer) {
    ew__free(pointer);
}

/* Copies as much of the caller's struct as both sides know; fields beyond its size stay zero. */
static ew_status read_options(const ew_model_options *from, ew_model_options *to) {
    *to = (ew_model_options)EW_INIT(ew_model_options);
    if (from != NULL && from->size < sizeof from->size)
        return ew__fail(EW_ARGUMENT, "the option struct's size field is not set");
    if (from != NULL)
        memcpy(to, from, ew__min_size(from->size, sizeof *to));
    to->size = sizeof *to;
    if (to->n_batch == 0)
        to->n_batch = default_batch;
    if (to->n_batch > max_batch || to->n_threads > EW__THREADS_MAX ||
        to->n_threads_batch > EW__THREADS_MAX)
        return ew__fail(
            EW_ARGUMENT,
            "n_batch %u, n_threads %u or n_threads_batch %u is out of range (at most %d "
            "and %u)",
            to->n_batch, to->n_threads, to->n_threads_batch, max_batch, EW__THREADS_MAX);
    if (to->kv_type > EW_KV_Q4_0)
        return ew__fail(EW_ARGUMENT, "unknown kv_type %d", (int)to->kv_type);
    return EW_OK;
}

static ew_status load_tokenizer(ew_model *model) {
    const struct ew__checkpoint *checkpoint = &model->model.checkpoint;
    ew_status status = checkpoint->gguf != NULL
                           ? ew__tokenizer_from_gguf(checkpoint->gguf, &model->tokenizer)
                           : ew__tokenizer_from_hf(&checkpoint->hf, &model->tokenizer);
    return status == EW_NOT_FOUND ? EW_OK : status;
}

static void add_stop(ew_model *model, int32_t id) {
    for (size_t i = 0; i < model->n_stop_tokens; i++)
        if (model->stop_tokens[i] == id)
            return;
    if (id >= 0 && (uint32_t)id < model->model.config->n_vocab &&
        model->n_stop_tokens < EW__STOP_TOKENS_MAX)
        model->stop_tokens[model->n_stop_tokens++] = id;
}

/* The eos of config.json alone never ends a chat turn: both it and the turn's end stop. */
static void collect_token_facts(ew_model *model) {
    const struct ew__tokenizer *tokenizer = model->tokenizer;
    model->n_usable = model->model.config->n_vocab;
    add_stop(model, model->model.config->eos);
    if (tokenizer == NULL)
        return;
    add_stop(model, ew__tokenizer_eos(tokenizer));
    add_stop(model, ew__tokenizer_added(tokenizer, ew__str("<|im_end|>")));
    add_stop(model, ew__tokenizer_added(tokenizer, ew__str("<|endoftext|>")));
    uint32_t n = (uint32_t)ew__min_size(ew__tokenizer_size(tokenizer), model->n_usable);
    for (; n > 0; n--) {
        ew__token_kind kind;
        (void)ew__tokenizer_token(tokenizer, (int32_t)n - 1, &kind);
        if (kind != EW__TOKEN_UNUSED)
            break;
    }
    if (n > 0)
        model->n_usable = n;
}

static ew_status keep_chat_template(ew_model *model) {
    const struct ew__checkpoint *checkpoint = &model->model.checkpoint;
    struct ew__str text = ew__str_of(NULL, 0);
    if (checkpoint->gguf != NULL)
        EW__TRY(ew__gguf_str(checkpoint->gguf, "tokenizer.chat_template", &text));
    else if (checkpoint->hf.chat_template != NULL)
        text = ew__str(checkpoint->hf.chat_template);
    if (text.bytes == NULL)
        return EW_OK;
    model->chat_template = ew__strndup(text.bytes, text.n);
    return model->chat_template != NULL ? EW_OK : EW_NO_MEMORY;
}

static ew__dtype kv_dtype(ew_kv_type type) {
    switch (type) {
    case EW_KV_F32:
        return EW__F32;
    case EW_KV_Q8_0:
        return EW__Q8_0;
    case EW_KV_Q4_0:
        return EW__Q4_0;
    default:
        return EW__F16;
    }
}

static ew_status start_threads(ew_model *model, uint32_t n_threads, uint32_t n_threads_batch) {
    struct ew__thread_counts counts = {n_threads_batch != 0 ? n_threads_batch : n_threads,
                                       n_threads, false};
    if (n_threads == 0) {
        struct ew__cores cores;
        char *dir;
        ew__cores_read(&cores);
        if (model->options.no_cache || ew__cache_dir_path(&dir) != EW_OK)
            dir = NULL;
        ew__threads_choose(dir, &cores, model->model.kernels, &counts);
        ew__free(dir);
        counts.batch = n_threads_batch != 0 ? n_threads_batch : counts.batch;
    }
    struct ew__pool *pool;
    uint32_t most = counts.batch > counts.decode ? counts.batch : counts.decode;
    EW__TRY(ew__pool_new(most, ew__forward_scratch_bytes(&model->model), &pool));
    pthread_mutex_lock(&model->compute);
    ew__pool_free(model->pool);
    model->pool = model->ws.pool = pool;
    model->n_threads = counts.decode;
    model->n_threads_batch = counts.batch;
    pthread_mutex_unlock(&model->compute);
    return EW_OK;
}

/* EDGEWISE_HEAD=plain | two-stage, the default. */
static ew_status read_head_variable(bool *plain) {
    const char *text = getenv("EDGEWISE_HEAD");
    if (text == NULL || text[0] == '\0' || strcmp(text, "two-stage") == 0)
        return EW_OK;
    if (strcmp(text, "plain") != 0)
        return ew__fail(EW_ARGUMENT, "EDGEWISE_HEAD is neither \"plain\" nor \"two-stage\"");
    *plain = true;
    return EW_OK;
}

static ew_status take_buffers(ew_model *model) {
    const struct ew__config *c = model->model.config;
    size_t T = model->options.n_batch;
    ew__dtype kv = kv_dtype(model->options.kv_type);
    if (c->head_dim % ew__dtype_info(kv)->block_elements != 0)
        return ew__fail(EW_ARGUMENT,
                        "keys and values cannot be %s: heads of %u are no multiple of %u",
                        ew__dtype_name(kv), c->head_dim, ew__dtype_info(kv)->block_elements);
    struct ew__workspace_options options = {
        .max_tokens = model->options.n_batch,
        .max_ctx = c->n_ctx_train,
        .kv_type = kv,
        .exact = model->options.exact,
        .plain_head = model->options.plain_head,
    };
    EW__TRY(read_head_variable(&options.plain_head));
    EW__TRY(start_threads(model, model->options.n_threads, model->options.n_threads_batch));
    EW__TRY(ew__workspace_init(&model->ws, &model->model, model->pool, &options));
    model->hidden = ew__arena_alloc(&model->arena, T * c->n_embd * sizeof(float));
    model->logits_many =
        ew__arena_alloc(&model->arena, EW__HEAD_ROWS * (size_t)c->n_vocab * sizeof(float));
    model->batch_tokens = ew__arena_alloc(&model->arena, T * sizeof *model->batch_tokens);
    model->positions = ew__arena_alloc(&model->arena, T * sizeof *model->positions);
    return model->hidden != NULL && model->logits_many != NULL && model->batch_tokens != NULL &&
                   model->positions != NULL
               ? EW_OK
               : EW_NO_MEMORY;
}

static ew_status load(const char *path, ew_model *model) {
    const struct ew__model_options options = {.isa = model->options.isa,
                                              .check_finite = model->options.check_finite,
                                              .no_cache = model->options.no_cache,
                                              .no_weights = model->options.tokenizer_only,
                                              .unpacked = model->options.exact};
    EW__TRY(ew__model_open(path, &options, &model->model));
    model->options.isa = NULL; // the caller's string
    ew_status status = load_tokenizer(model);
    if (status == EW_OK)
        status = keep_chat_template(model);
    if (status != EW_OK)
        return ew__fail_in(status, "%s", path);
    collect_token_facts(model);
    if (model->model.checkpoint.gguf != NULL)
        ew__gguf_give_back(model->model.checkpoint.gguf);
    return model->options.tokenizer_only ? EW_OK : take_buffers(model);
}

ew_status ew_model_load(const char *path, const ew_model_options *options, ew_model **out) {
    if (path == NULL || out == NULL)
        return ew__fail(EW_ARGUMENT, "ew_model_load needs a path and a place for the model");
    *out = NULL;
    ew_model_options checked;
    EW__TRY(read_options(options, &checked));
    ew_model *model = ew__calloc(1, sizeof *model);
    if (model == NULL)
        return EW_NO_MEMORY;
    model->options = checked;
    pthread_mutex_init(&model->compute, NULL);
    ew_status status = load(path, model);
    if (status != EW_OK) {
        ew_model_free(model);
        return status;
    }
    *out = model;
    return EW_OK;
}

void ew_model_free(ew_model *model) {
    if (model == NULL)
        return;
    ew__workspace_release(&model->ws);
    ew__pool_free(model->pool);
    ew__tokenizer_free(model->tokenizer);
    ew__model_close(&model->model);
    ew__arena_release(&model->arena);
    ew__free(model->chat_template);
    pthread_mutex_destroy(&model->compute);
    ew__free(model);
}

ew_status ew__model_needs_weights(const ew_model *model) {
    if (model->options.tokenizer_only)
        return ew__fail(EW_STATE, "the model was loaded for its tokenizer alone");
    return EW_OK;
}

ew_status ew_model_set_threads(ew_model *model, uint32_t n_threads) {
    if (model == NULL || n_threads > EW__THREADS_MAX)
        return ew__fail(EW_ARGUMENT, "n_threads must be at most %u", EW__THREADS_MAX);
    EW__TRY(ew__model_needs_weights(model));
    EW__TRY(start_threads(model, n_threads, 0));
    model->options.n_threads = n_threads;
    model->options.n_threads_batch = 0;
    return EW_OK;
}

const char *ew_model_chat_template(const ew_model *model) {
    return model->chat_template;
}

/* The widest that this machine could multiply the main type in. */
static const char *main_arithmetic(const ew_model *model) {
    const struct ew__kernels *kernels = model->model.kernels;
    ew__dtype type = ew__model_main_type(&model->model);
    if (kernels->unpack[type] != NULL && !model->options.exact)
        return "int8";
    return type == EW__BF16 && kernels->peak_bf16 != NULL ? "bf16" : "f32";
}

static void tell_shape(const ew_model *model, ew_model_info *info) {
    const struct ew__config *c = model->model.config;
    info->n_layer = c->n_layer;
    info->n_embd = c->n_embd;
    info->n_ff = c->n_ff;
    info->n_vocab = c->n_vocab;
    info->n_ctx_train = c->n_ctx_train;
    info->n_head = c->n_head;
    info->n_head_kv = c->n_head_kv;
    info->head_dim = c->head_dim;
    info->n_full_attention_layers = ew__n_full_layers(c);
    info->n_linear_key_heads = c->n_k_head;
    info->n_linear_value_heads = c->n_v_head;
    info->has_mtp = model->model.mtp != NULL;
    info->has_tokenizer = model->tokenizer != NULL;
    info->tied_head = c->tied;
    info->eos_token = model->n_stop_tokens > 0 ? model->stop_tokens[0] : -1;
}

static void tell_memory(const ew_model *model, ew_model_info *info) {
    const struct ew__memory_layout *layout = &model->ws.layout;
    const struct ew__pack_store *packed = &model->model.packed;
    info->weight_bytes = ew__model_weight_bytes(&model->model);
    info->bytes_per_token = ew__model_bytes_per_token(&model->model);
    info->kv_bytes_per_token = layout->page_bytes / EW__KV_PAGE_TOKENS;
    info->state_bytes = layout->state_floats * sizeof(float);
    info->scratch_bytes = model->ws.arena.total + model->arena.total;
    info->copied_bytes = ew__model_copied_bytes(&model->model);
    info->packed_bytes = ew__pack_store_bytes(packed);
    info->cache_file = packed->path;
    info->cache_note = packed->why_not[0] != '\0' ? packed->why_not : NULL;
}

static void tell_arithmetic(const ew_model *model, ew_model_info *info) {
    info->n_threads = model->n_threads;
    info->n_threads_batch = model->n_threads_batch;
    info->isa = model->model.kernels->isa;
    info->prompt_ops_per_token = 2 * ew__model_prompt_macs(&model->model);
    info->weight_type = ew__dtype_name(ew__model_main_type(&model->model));
    info->arithmetic = main_arithmetic(model);
}

ew_status ew_model_get_info(const ew_model *model, ew_model_info *out) {
    if (model == NULL || out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT,
                        "ew_model_get_info needs a model and a struct with its size set");
    ew_model_info info = {.size = out->size};
    tell_shape(model, &info);
    tell_memory(model, &info);
    tell_arithmetic(model, &info);
    memcpy(out, &info, ew__min_size(out->size, sizeof info));
    return EW_OK;
}

ew_status ew_model_measure_peak(ew_model *model, ew_machine_peak *out) {
    struct ew__probe probe;
    if (model == NULL || out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT,
                        "ew_model_measure_peak needs a model and a struct with its size set");
    EW__TRY(ew__model_needs_weights(model));
    pthread_mutex_lock(&model->compute);
    ew_status status =
        ew__probe_machine(model->model.kernels, model->pool, ew__probe_bytes(), &probe);
    pthread_mutex_unlock(&model->compute);
    if (status != EW_OK)
        return status;
    ew_machine_peak peak = {
        .size = out->size,
        .read_bytes_per_second = probe.read_bytes_per_second,
        .int8_ops_per_second = probe.i8_ops_per_second,
        .bf16_ops_per_second = probe.bf16_ops_per_second,
        .f32_ops_per_second = probe.f32_ops_per_second,
    };
    memcpy(out, &peak, ew__min_size(out->size, sizeof peak));
    return EW_OK;
}
