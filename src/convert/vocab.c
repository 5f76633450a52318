// SPDX-License-Identifier: Apache-2.0
#include "convert/vocab.h"

#include "base/arena.h"
#include "convert/metadata.h"
#include "convert/spelling.h"
#include "convert/string_list.h"
#include "tokenizer/vocab.h"

/* ggml's llama_token_type */
enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

struct vocab_lists {
    struct ew__spelling spelling;
    struct ew__string_list tokens, merges;
    int32_t *types;
    struct ew__arena arena;
};

/* llama.cpp's conversion calls every "<|...|>" control, also those that the checkpoint does not. */
static int32_t type_of(ew__token_kind kind, struct ew__str text) {
    switch (kind) {
    case EW__TOKEN_NORMAL:
        return TYPE_NORMAL;
    case EW__TOKEN_CONTROL:
        return TYPE_CONTROL;
    case EW__TOKEN_USER:
        return ew__str_starts(text, "<|") && ew__str_ends(text, "|>") ? TYPE_CONTROL
                                                                      : TYPE_USER_DEFINED;
    case EW__TOKEN_UNUSED:
        return TYPE_UNUSED;
    }
    return TYPE_UNUSED;
}

static ew_status list_tokens(const struct ew__tokenizer *tokenizer, uint32_t n_vocab,
                             struct vocab_lists *lists) {
    for (uint32_t id = 0; id < n_vocab; id++) {
        ew__token_kind kind;
        struct ew__str text = ew__tokenizer_token(tokenizer, (int32_t)id, &kind);
        lists->types[id] = type_of(kind, text);
        if (kind == EW__TOKEN_UNUSED)
            (void)ew__buf_add_format(&lists->tokens.text, "[PAD%u]", id);
        else if (kind == EW__TOKEN_NORMAL)
            (void)ew__spell(&lists->spelling, text, &lists->tokens.text);
        else
            (void)ew__buf_add(&lists->tokens.text, text.bytes, text.n);
        EW__TRY(ew__string_list_end(&lists->tokens));
    }
    ew__string_list_cut(&lists->tokens);
    return EW_OK;
}

static ew_status list_merges(const struct ew__tokenizer *tokenizer, struct vocab_lists *lists) {
    const struct ew__merges *merges = &tokenizer->merges;
    const struct ew__merge **by_rank =
        ew__arena_alloc(&lists->arena, merges->count * sizeof *by_rank + 1);
    ew__token_kind kind;
    if (by_rank == NULL)
        return EW_NO_MEMORY;
    for (size_t i = 0; i <= merges->mask; i++)
        if (merges->slots[i].rank < merges->count)
            by_rank[merges->slots[i].rank] = &merges->slots[i];
    for (uint32_t rank = 0; rank < merges->count; rank++) {
        const struct ew__merge *merge = by_rank[rank];
        struct ew__buf *text = &lists->merges.text;
        (void)ew__spell(&lists->spelling,
                        ew__tokenizer_token(tokenizer, (int32_t)merge->left, &kind), text);
        (void)ew__buf_add(text, " ", 1);
        (void)ew__spell(&lists->spelling,
                        ew__tokenizer_token(tokenizer, (int32_t)merge->right, &kind), text);
        EW__TRY(ew__string_list_end(&lists->merges));
    }
    ew__string_list_cut(&lists->merges);
    return EW_OK;
}

static ew_status add_keys(struct ew__gguf_writer *writer, const struct ew__tokenizer *tokenizer,
                          uint32_t n_vocab, const char *chat_template, struct vocab_lists *lists) {
    ew__spelling_init(&lists->spelling);
    lists->types = ew__arena_alloc(&lists->arena, n_vocab * sizeof *lists->types + 1);
    if (lists->types == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__string_list_init(&lists->tokens, &lists->arena, n_vocab));
    EW__TRY(ew__string_list_init(&lists->merges, &lists->arena, tokenizer->merges.count));
    EW__TRY(list_tokens(tokenizer, n_vocab, lists));
    EW__TRY(list_merges(tokenizer, lists));
    struct ew__vocab_keys keys = {
        .n_tokens = lists->tokens.count,
        .n_merges = lists->merges.count,
        .tokens = lists->tokens.strings,
        .types = lists->types,
        .merges = lists->merges.strings,
        .eos = ew__tokenizer_eos(tokenizer),
        .pad = ew__tokenizer_pad(tokenizer),
        .bos = ew__tokenizer_bos(tokenizer),
    };
    if (chat_template != NULL)
        keys.chat_template = ew__str(chat_template);
    return ew__add_vocab_keys(writer, &keys);
}

ew_status ew__add_tokenizer(struct ew__gguf_writer *writer, const struct ew__tokenizer *tokenizer,
                            uint32_t n_vocab, const char *chat_template) {
    struct vocab_lists lists = {.types = NULL};
    if (ew__tokenizer_size(tokenizer) > n_vocab)
        return ew__fail(EW_FORMAT, "the tokenizer has %u ids, the embedding %u rows",
                        ew__tokenizer_size(tokenizer), n_vocab);
    ew_status status = add_keys(writer, tokenizer, n_vocab, chat_template, &lists);
    ew__buf_release(&lists.tokens.text);
    ew__buf_release(&lists.merges.text);
    ew__arena_release(&lists.arena);
    return status;
}
