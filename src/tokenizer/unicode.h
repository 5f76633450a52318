// SPDX-License-Identifier: Apache-2.0
/* The few Unicode properties that splitting and NFC need, packed into one table that a tokenizer
 * owns: two loads per code point. The data are libutf8proc's (Unicode 15.0 in version 2.8). */
#ifndef EW_TOKENIZER_UNICODE_H
#define EW_TOKENIZER_UNICODE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ew__char_class {
    EW__CHAR_OTHER,  /* punctuation, symbols, controls, unassigned, private use */
    EW__CHAR_LETTER, /* \p{L} */
    EW__CHAR_MARK,   /* \p{M} */
    EW__CHAR_NUMBER, /* \p{N} */
    EW__CHAR_SPACE,  /* White_Space other than CR and LF */
    EW__CHAR_NEWLINE /* CR, LF */
} ew__char_class;

/* An entry: class in bits 0-2, EW__CHAR_UNSETTLED, canonical combining class in bits 8-15. */
#define EW__CHAR_CLASS_BITS 7u
#define EW__CHAR_UNSETTLED  8u /* NFC_Quick_Check is No or Maybe: NFC may change or absorb it */

struct ew__unicode {
    uint16_t *blocks;       /* distinct blocks of 256 entries */
    uint16_t index[0x1100]; /* code point / 256 -> block */
    uint16_t n_blocks;
};

ew_status ew__unicode_init(struct ew__unicode *unicode);
void ew__unicode_release(struct ew__unicode *unicode); /* a zeroed one is fine */

/* code <= U+10FFFF */
static inline uint16_t ew__unicode_entry(const struct ew__unicode *unicode, uint32_t code) {
    return unicode->blocks[(uint32_t)unicode->index[code >> 8] << 8 | (code & 0xFF)];
}
static inline ew__char_class ew__unicode_class(const struct ew__unicode *unicode, uint32_t code) {
    return (ew__char_class)(ew__unicode_entry(unicode, code) & EW__CHAR_CLASS_BITS);
}
static inline uint8_t ew__entry_combining(uint16_t entry) {
    return (uint8_t)(entry >> 8);
}
/* True when NFC never joins the character with, or moves it before, what stands to its left. */
static inline bool ew__entry_is_boundary(uint16_t entry) {
    return (entry & EW__CHAR_UNSETTLED) == 0 && ew__entry_combining(entry) == 0;
}

#endif
