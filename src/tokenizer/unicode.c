// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/unicode.h"
#include "base/mem.h"

#include <string.h>
#include <utf8proc.h>

enum { block_size = 256, block_count = 0x1100 };

/* White_Space of PropList.txt; CR and LF are classed apart. U+001C..001F, 200B and FEFF are not in
 * it. */
static bool is_white_space(uint32_t code) {
    return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static ew__char_class class_of(uint32_t code, utf8proc_propval_t category) {
    if (code == '\r' || code == '\n')
        return EW__CHAR_NEWLINE;
    if (is_white_space(code))
        return EW__CHAR_SPACE;
    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return EW__CHAR_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return EW__CHAR_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return EW__CHAR_NUMBER;
    default:
        return EW__CHAR_OTHER;
    }
}

/* Canonical decomposition of one code point; 1 and the code point itself when it has none. */
static size_t decompose(uint32_t code, utf8proc_int32_t out[8]) {
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)code, out, 8, UTF8PROC_DECOMPOSE, NULL);
    return n < 1 || n > 8 ? 0 : (size_t)n;
}

/* The quick-check value is not in utf8proc's interface, but follows from the decompositions:
 * No where the character's own NFC differs from it; Maybe for what can stand second in a pair that
 * composes (UAX #15, section 9). Marking every later part of a decomposition errs on the side of
 * the slow path only. */
static void mark_unsettled(uint16_t *entries, uint32_t code) {
    utf8proc_int32_t parts[8];
    size_t n = decompose(code, parts);
    if (n == 0 || (n == 1 && (uint32_t)parts[0] == code))
        return;
    for (size_t i = 1; i < n; i++)
        entries[parts[i]] |= EW__CHAR_UNSETTLED;
    utf8proc_ssize_t composed =
        utf8proc_normalize_utf32(parts, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (composed != 1 || (uint32_t)parts[0] != code)
        entries[code] |= EW__CHAR_UNSETTLED;
}

/* No character has been assigned between the end of plane 3 and plane 14, nor, except for private
 * use, after U+E0FFF: those stay zero, which is class other. */
static void fill(uint16_t *entries) {
    for (uint32_t code = 0; code < 0xE1000; code++) {
        if (code == 0x40000)
            code = 0xE0000;
        const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
        entries[code] |= (uint16_t)((unsigned)property->combining_class << 8 |
                                    (unsigned)class_of(code, property->category));
        if (code >= 0xC0)
            mark_unsettled(entries, code);
    }
}

static uint16_t find_or_add(uint16_t *blocks, uint16_t *n_blocks, const uint16_t *block) {
    uint16_t at = 0;
    while (at < *n_blocks && memcmp(blocks + at * block_size, block, block_size * 2) != 0)
        at++;
    if (at == *n_blocks)
        memmove(blocks + (*n_blocks)++ * block_size, block, block_size * 2);
    return at;
}

ew_status ew__unicode_init(struct ew__unicode *unicode) {
    *unicode = (struct ew__unicode){0};
    uint16_t *entries = ew__calloc(block_count * block_size, sizeof *entries);
    if (entries == NULL)
        return EW_NO_MEMORY;
    fill(entries);
    for (uint32_t i = 0; i < block_count; i++) // in place: the packed part never passes block i
        unicode->index[i] = find_or_add(entries, &unicode->n_blocks, entries + i * block_size);
    unicode->blocks = ew__realloc(entries, (size_t)unicode->n_blocks * block_size * 2);
    if (unicode->blocks == NULL) {
        ew__free(entries);
        return EW_NO_MEMORY;
    }
    return EW_OK;
}

void ew__unicode_release(struct ew__unicode *unicode) {
    ew__free(unicode->blocks);
    *unicode = (struct ew__unicode){0};
}
