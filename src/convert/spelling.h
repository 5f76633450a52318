// SPDX-License-Identifier: Apache-2.0
/* Raw bytes -> the byte alphabet in which vocabularies are written: the inverse of
 * tokenizer/alphabet.h, made from its table. */
#ifndef EW_CONVERT_SPELLING_H
#define EW_CONVERT_SPELLING_H

#include "base/buf.h"
#include "base/str.h"
#include "base/utf8.h"
#include "tokenizer/alphabet.h"

struct ew__spelling {
    uint16_t code[256]; /* code point of each byte */
};

static inline void ew__spelling_init(struct ew__spelling *spelling) {
    struct ew__alphabet alphabet;
    ew__alphabet_init(&alphabet);
    for (uint32_t code = 0; code < EW__ALPHABET_END; code++)
        if (alphabet.byte_of[code] >= 0)
            spelling->code[alphabet.byte_of[code]] = (uint16_t)code;
}

/* Appends the spelling of `text`: one or two bytes of UTF-8 for each of its bytes. */
static inline ew_status ew__spell(const struct ew__spelling *spelling, struct ew__str text,
                                  struct ew__buf *out) {
    char character[4];
    for (size_t i = 0; i < text.n; i++) {
        size_t n = ew__utf8_encode(spelling->code[(unsigned char)text.bytes[i]], character);
        EW__TRY(ew__buf_add(out, character, n));
    }
    return EW_OK;
}

#endif
