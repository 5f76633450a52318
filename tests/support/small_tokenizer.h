// SPDX-License-Identifier: Apache-2.0
/* A tokenizer small enough to read: ids 0 to 255 are the bytes, then nine merges, a gap, and four
 * added tokens. */
#ifndef SUPPORT_SMALL_TOKENIZER_H
#define SUPPORT_SMALL_TOKENIZER_H

#include "base/str.h"
#include "tokenizer/tokenizer.h"

#define SMALL_HE         256
#define SMALL_LL         257
#define SMALL_HELL       258
#define SMALL_HELLO      259
#define SMALL_SPACE_H    260
#define SMALL_NEWLINES   261
#define SMALL_AA         262
#define SMALL_AAAA       263
#define SMALL_E_ACUTE    264
#define SMALL_START      270 /* <|im_start|>, special */
#define SMALL_END        271 /* <|im_end|>, special */
#define SMALL_THINK      272 /* <think>, not special */
#define SMALL_THINK_LONG 273 /* <think>>, not special */
#define SMALL_SIZE       274

#define QWEN35_REGEX_JSON                                                                          \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{L}\\\\p{M}]+|\\\\p{N}"      \
    "| ?[^\\\\s\\\\p{L}\\\\p{M}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN2_REGEX_JSON                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}"                \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

/* Its tokenizer.json; the caller frees it with free(). Aborts without memory. */
char *small_tokenizer_json(void);
/* A copy of `text` with the first `from` replaced; aborts when there is none. free() it. */
char *replaced(const char *text, const char *from, const char *to);
/* The UTF-8 of a byte in the byte alphabet. */
struct ew__str alphabet_character(unsigned byte);

/* Loads small_tokenizer_json(), or exits with the message. */
struct ew__tokenizer *small_tokenizer(void);

/* All ids decoded with a stream, control tokens shown; free() the text. */
char *decode_all(const struct ew__tokenizer *tokenizer, const int32_t *ids, size_t count,
                 size_t *n);

#endif
