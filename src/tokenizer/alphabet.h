// SPDX-License-Identifier: Apache-2.0
/* The byte alphabet of GPT-2: every byte has a printable character, and vocabularies and merges
 * are written in those. Source: openai/gpt-2 encoder.py, bytes_to_unicode. */
#ifndef EW_TOKENIZER_ALPHABET_H
#define EW_TOKENIZER_ALPHABET_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define EW__ALPHABET_END 0x144u /* one past the last code point */

struct ew__alphabet {
    int16_t byte_of[EW__ALPHABET_END]; /* -1 where no byte has the character */
    uint16_t code_of[256];
};

void ew__alphabet_init(struct ew__alphabet *alphabet);
/* Writes the bytes that `text` stands for (at most text.n) and returns their number; false when a
 * character is outside the alphabet. */
bool ew__alphabet_decode(const struct ew__alphabet *alphabet, struct ew__str text, char *out,
                         size_t *n);
/* Writes the characters that stand for the bytes (at most 2 * bytes.n) and returns their length. */
size_t ew__alphabet_encode(const struct ew__alphabet *alphabet, struct ew__str bytes, char *out);

#endif
