// SPDX-License-Identifier: Apache-2.0
#include "write.h"

#include "base/mem.h"
#include "convert/spelling.h"
#include "convert/string_list.h"
#include "weights.h"

#include <stdio.h>
#include <string.h>

/* Calls each(job, role, layer, context) for every tensor of the model, MTP blocks included. */
typedef ew_status tensor_visit(const struct synth_job *job, ew__role role, uint32_t layer,
                               struct ew__gguf_writer *writer);

static ew_status each_tensor(const struct synth_job *job, tensor_visit *visit,
                             struct ew__gguf_writer *writer) {
    const struct ew__config *c = &job->shape.config;
    EW__TRY(visit(job, EW__TOKEN_EMBD, 0, writer));
    if (!c->tied)
        EW__TRY(visit(job, EW__OUTPUT, 0, writer));
    EW__TRY(visit(job, EW__OUTPUT_NORM, 0, writer));
    for (uint32_t layer = 0; layer < c->n_layer + c->n_mtp; layer++)
        for (int role = 0; role < EW__ROLE_COUNT; role++)
            if (ew__role_in_layer(c, (ew__role)role, layer))
                EW__TRY(visit(job, (ew__role)role, layer, writer));
    return EW_OK;
}

static ew_status declare(const struct synth_job *job, ew__role role, uint32_t layer,
                         struct ew__gguf_writer *writer) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint64_t dims[2];
    ew__gguf_tensor_name(role, layer, name);
    ew__role_shape(&job->shape.config, role, &dims[0], &dims[1]);
    uint32_t n_dims = ew__roles[role].rank == 1 && dims[1] == 1 ? 1 : 2;
    return ew__gguf_add_tensor(writer, ew__str(name),
                               recipe_type(job->recipe, &job->shape.config, role, layer), n_dims,
                               dims);
}

static ew_status put(void *context, const void *bytes, size_t n) {
    return ew__gguf_write(context, bytes, n);
}

static ew_status fill(const struct synth_job *job, ew__role role, uint32_t layer,
                      struct ew__gguf_writer *writer) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint64_t columns, rows;
    ew__gguf_tensor_name(role, layer, name);
    ew__role_shape(&job->shape.config, role, &columns, &rows);
    struct random_source source = random_for(job->seed, name);
    return weight_stream(weight_law_of(role, &job->shape.config), ew__roles[role].transform,
                         recipe_type(job->recipe, &job->shape.config, role, layer), columns * rows,
                         &source, put, writer);
}

static ew_status list_tokens(const struct vocab *vocab, struct ew__string_list *tokens,
                             int32_t *types) {
    struct ew__spelling spelling;
    ew__spelling_init(&spelling);
    for (uint32_t id = 0; id < vocab->n_total; id++) {
        uint32_t added = id - vocab->n_base; // only meaningful from n_base on
        types[id] = 1;
        if (id < vocab->n_base) {
            (void)ew__spell(&spelling, vocab->tokens[id], &tokens->text);
        } else if (added < VOCAB_ADDED_COUNT) {
            const char *text = vocab_added[added].text;
            types[id] = vocab_added[added].special || text[1] == '|' ? 3 : 4;
            (void)ew__buf_add_text(&tokens->text, text);
        } else {
            types[id] = 5;
            (void)ew__buf_add_format(&tokens->text, "[PAD%u]", id);
        }
        EW__TRY(ew__string_list_end(tokens));
    }
    ew__string_list_cut(tokens);
    return EW_OK;
}

static ew_status list_merges(const struct vocab *vocab, struct ew__string_list *merges) {
    struct ew__spelling spelling;
    ew__spelling_init(&spelling);
    for (uint32_t i = 0; i < vocab->n_merges; i++) {
        (void)ew__spell(&spelling, vocab->tokens[vocab->merges[i].left], &merges->text);
        (void)ew__buf_add(&merges->text, " ", 1);
        (void)ew__spell(&spelling, vocab->tokens[vocab->merges[i].right], &merges->text);
        EW__TRY(ew__string_list_end(merges));
    }
    ew__string_list_cut(merges);
    return EW_OK;
}

static ew_status add_lists(const struct vocab *vocab, struct ew__string_list *tokens,
                           struct ew__string_list *merges, int32_t *types,
                           struct ew__gguf_writer *writer) {
    EW__TRY(list_tokens(vocab, tokens, types));
    EW__TRY(list_merges(vocab, merges));
    const struct ew__vocab_keys keys = {
        .n_tokens = vocab->n_total,
        .n_merges = vocab->n_merges,
        .tokens = tokens->strings,
        .types = types,
        .merges = merges->strings,
        .eos = (int32_t)vocab_added_id(vocab, "<|im_end|>"),
        .pad = (int32_t)vocab_added_id(vocab, "<|endoftext|>"),
        .bos = -1,
        .chat_template = ew__str(vocab_chat_template),
    };
    return ew__add_vocab_keys(writer, &keys);
}

static ew_status add_vocab(const struct vocab *vocab, struct ew__gguf_writer *writer) {
    struct ew__arena arena = {0};
    struct ew__string_list tokens = {0}, merges = {0};
    int32_t *types = ew__arena_alloc(&arena, vocab->n_total * sizeof *types);
    ew_status status = types != NULL ? EW_OK : EW_NO_MEMORY;
    if (status == EW_OK)
        status = ew__string_list_init(&tokens, &arena, vocab->n_total);
    if (status == EW_OK)
        status = ew__string_list_init(&merges, &arena, vocab->n_merges);
    if (status == EW_OK)
        status = add_lists(vocab, &tokens, &merges, types, writer);
    ew__buf_release(&tokens.text);
    ew__buf_release(&merges.text);
    ew__arena_release(&arena);
    return status;
}

static ew_status write_all(const struct synth_job *job, struct ew__gguf_writer *writer) {
    EW__TRY(
        ew__add_model_keys(writer, &job->shape.config, ew__str(job->name), job->recipe->file_type));
    EW__TRY(ew__gguf_add_str(writer, "general.description",
                             ew__str("random weights made by synth-model; the text it writes means "
                                     "nothing")));
    if (job->vocab.n_total != 0)
        EW__TRY(add_vocab(&job->vocab, writer));
    EW__TRY(each_tensor(job, declare, writer));
    EW__TRY(ew__gguf_begin(writer, job->out));
    EW__TRY(each_tensor(job, fill, writer));
    return ew__gguf_commit(writer);
}

ew_status write_gguf(const struct synth_job *job) {
    struct ew__gguf_writer *writer = NULL;
    EW__TRY(ew__gguf_writer_new(&writer));
    ew_status status = write_all(job, writer);
    ew__gguf_writer_free(writer);
    return status;
}
