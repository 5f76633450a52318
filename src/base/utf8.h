// SPDX-License-Identifier: Apache-2.0
/* UTF-8 by the Unicode standard's table 3-7: no surrogates, no overlong forms, at most U+10FFFF. */
#ifndef EW_BASE_UTF8_H
#define EW_BASE_UTF8_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define EW__REPLACEMENT 0xFFFDu

/* Decodes one code point from n >= 1 bytes. Returns the bytes used. Ill-formed input gives *code =
 * EW__REPLACEMENT, *valid = false and the length of the maximal ill-formed part (Unicode 3.9,
 * U+FFFD substitution), so that stream and whole agree. */
size_t ew__utf8_decode(const char *bytes, size_t n, uint32_t *code, bool *valid);
/* Writes 1 to 4 bytes; an invalid code point is written as U+FFFD. Returns the bytes written. */
size_t ew__utf8_encode(uint32_t code, char out[4]);
bool ew__utf8_valid(struct ew__str text);
/* Bytes at the end (0 to 3) that begin a character which more input could complete. */
size_t ew__utf8_open_tail(struct ew__str text);

#endif
