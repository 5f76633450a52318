// SPDX-License-Identifier: Apache-2.0
/* A loaded tokenizer -> the tokenizer.ggml.* keys of a GGUF file. */
#ifndef EW_CONVERT_VOCAB_H
#define EW_CONVERT_VOCAB_H

#include "base/status.h"
#include "formats/gguf_write.h"
#include "tokenizer/tokenizer.h"

/* n_vocab rows of the embedding: ids without a token become "[PADn]". chat_template may be NULL. */
ew_status ew__add_tokenizer(struct ew__gguf_writer *writer, const struct ew__tokenizer *tokenizer,
                            uint32_t n_vocab, const char *chat_template);

#endif
