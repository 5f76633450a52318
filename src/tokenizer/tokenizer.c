// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"
#include "base/mem.h"
#include "tokenizer/vocab.h"

void ew__tokenizer_free(struct ew__tokenizer *tokenizer) {
    if (tokenizer == NULL)
        return;
    ew__unicode_release(&tokenizer->unicode);
    ew__merges_release(&tokenizer->merges);
    ew__added_release(&tokenizer->added);
    ew__free(tokenizer->tokens);
    ew__free(tokenizer->bytes);
    ew__free(tokenizer);
}

uint32_t ew__tokenizer_size(const struct ew__tokenizer *tokenizer) {
    return tokenizer->n_tokens;
}

struct ew__str ew__tokenizer_token(const struct ew__tokenizer *tokenizer, int32_t id,
                                   ew__token_kind *kind) {
    if (id < 0 || (uint32_t)id >= tokenizer->n_tokens) {
        *kind = EW__TOKEN_UNUSED;
        return ew__str_of("", 0);
    }
    const struct ew__token *token = &tokenizer->tokens[id];
    *kind = (ew__token_kind)token->kind;
    return ew__str_of(tokenizer->bytes + token->start, token->n);
}

int32_t ew__tokenizer_added(const struct ew__tokenizer *tokenizer, struct ew__str text) {
    return ew__added_id(&tokenizer->added, text);
}

int32_t ew__tokenizer_eos(const struct ew__tokenizer *tokenizer) {
    return tokenizer->eos;
}

int32_t ew__tokenizer_pad(const struct ew__tokenizer *tokenizer) {
    return tokenizer->pad;
}

int32_t ew__tokenizer_bos(const struct ew__tokenizer *tokenizer) {
    return tokenizer->bos;
}
