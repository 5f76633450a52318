// SPDX-License-Identifier: Apache-2.0
/* Text <-> token ids: byte-level BPE of the Qwen family. Facts and sources: docs/tokenizer.md. */
#ifndef EW_TOKENIZER_TOKENIZER_H
#define EW_TOKENIZER_TOKENIZER_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "formats/gguf_read.h"
#include "formats/hf_folder.h"

#include <stdbool.h>
#include <stdint.h>

struct ew__tokenizer; /* opaque; immutable after loading, so any number of threads may use it */

/* *out = NULL with EW_NOT_FOUND when the checkpoint carries no tokenizer at all. */
ew_status ew__tokenizer_from_gguf(const struct ew__gguf *gguf, struct ew__tokenizer **out);
/* Reads tokenizer.json and, for added tokens that only it names, tokenizer_config.json. */
ew_status ew__tokenizer_from_hf(const struct ew__hf_folder *folder, struct ew__tokenizer **out);
/* tokenizer.json alone, from memory (tests, fuzzing). */
ew_status ew__tokenizer_from_json(const char *bytes, size_t n, struct ew__tokenizer **out);
void ew__tokenizer_free(struct ew__tokenizer *tokenizer); /* NULL is fine */

typedef enum ew__token_kind {
    EW__TOKEN_NORMAL,  /* a BPE entry: text is its raw bytes, alphabet undone */
    EW__TOKEN_CONTROL, /* special: shown only on request */
    EW__TOKEN_USER,    /* added, not special: always shown (<think>, <tool_call>) */
    EW__TOKEN_UNUSED   /* a row of the embedding that no text uses */
} ew__token_kind;

uint32_t ew__tokenizer_size(const struct ew__tokenizer *tokenizer); /* ids are 0 .. size-1 */
/* The bytes of a token and its kind; empty and UNUSED for an id out of range. */
struct ew__str ew__tokenizer_token(const struct ew__tokenizer *tokenizer, int32_t id,
                                   ew__token_kind *kind);
/* The id of an added token by its text ("<|im_end|>"), or -1. */
int32_t ew__tokenizer_added(const struct ew__tokenizer *tokenizer, struct ew__str text);
int32_t ew__tokenizer_eos(const struct ew__tokenizer *tokenizer); /* -1 when the file names none */
int32_t ew__tokenizer_pad(const struct ew__tokenizer *tokenizer);
int32_t
ew__tokenizer_bos(const struct ew__tokenizer *tokenizer); /* never prepended by this family */

typedef enum ew__encode_flags {
    EW__ENCODE_PLAIN = 0,   /* text is text: "<|im_end|>" becomes ordinary pieces */
    EW__ENCODE_SPECIAL = 1, /* added tokens in the text become their ids */
} ew__encode_flags;

/* Appends ids to *ids (ew__realloc'ed; *count used of *capacity). Ill-formed UTF-8 becomes U+FFFD
 * per maximal part. Time is linear up to a logarithm, whatever the text. */
ew_status ew__tokenizer_encode(const struct ew__tokenizer *tokenizer, struct ew__str text,
                               ew__encode_flags flags, int32_t **ids, size_t *count,
                               size_t *capacity);

/* The pieces that the pre-tokenizer cuts (after NFC), for tests and `inspect`: visit(piece). */
ew_status ew__tokenizer_pieces(const struct ew__tokenizer *tokenizer, struct ew__str text,
                               ew_status (*visit)(void *context, struct ew__str piece),
                               void *context);

/* Streaming decode: never half a character. Concatenated, the output equals decoding all ids at
 * once with U+FFFD for ill-formed parts. Zero-initialise before first use. */
struct ew__decode_stream {
    char pending[4];
    uint8_t n_pending;
};
/* Appends the text that id completes. Control tokens are skipped unless `show_control`. */
ew_status ew__decode_next(const struct ew__tokenizer *tokenizer, struct ew__decode_stream *stream,
                          int32_t id, bool show_control, struct ew__buf *out);
ew_status ew__decode_finish(struct ew__decode_stream *stream, struct ew__buf *out);

#endif
