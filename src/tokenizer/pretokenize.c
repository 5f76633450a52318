// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pretokenize.h"

/* Both expressions, alternative by alternative (the first that matches wins):
 *   1  (?i:'s|'t|'re|'ve|'m|'ll|'d)
 *   2  [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+            qwen2: [^\r\n\p{L}\p{N}]?\p{L}+
 *   3  \p{N}
 *   4   ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*             qwen2:  ?[^\s\p{L}\p{N}]+[\r\n]*
 *   5  \s*[\r\n]+
 *   6  \s+(?!\S)
 *   7  \s+
 * so the two differ only in whether a mark counts as a letter or as punctuation. */
bool ew__split_rule_by_regex(struct ew__str regex, ew__split_rule *rule) {
    static const char *const published[] = {
        [EW__SPLIT_QWEN35] =
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
            "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        [EW__SPLIT_QWEN2] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                            "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    };
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (ew__str_is(regex, published[i])) {
            *rule = (ew__split_rule)i;
            return true;
        }
    return false;
}

struct input {
    const struct ew__unicode *unicode;
    const uint8_t *bytes;
    size_t n;
    ew__char_class mark_as; /* letter or other, by the rule */
};

/* Class of the character at `at` < n, and its length; the text is well-formed. */
static inline ew__char_class class_at(const struct input *in, size_t at, size_t *length) {
    const uint8_t *p = in->bytes + at;
    uint32_t code = p[0];
    *length = 1;
    if (code >= 0xF0) {
        code = (code & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u);
        *length = 4;
    } else if (code >= 0xE0) {
        code = (code & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
        *length = 3;
    } else if (code >= 0x80) {
        code = (code & 31u) << 6 | (p[1] & 63u);
        *length = 2;
    }
    ew__char_class class = ew__unicode_class(in->unicode, code);
    return class == EW__CHAR_MARK ? in->mark_as : class;
}

/* End of the run of characters of one class that starts at `at`. */
static inline size_t run_end(const struct input *in, size_t at, ew__char_class wanted) {
    size_t length;
    while (at < in->n && class_at(in, at, &length) == wanted)
        at += length;
    return at;
}

static inline bool starts_with_class(const struct input *in, size_t at, ew__char_class wanted) {
    size_t length;
    return at < in->n && class_at(in, at, &length) == wanted;
}

/* Alternative 1; 0 when there is no contraction. Case is ignored, and U+017F LONG S is an s then
 * (CaseFolding.txt; no other character folds to one of these letters). */
static size_t contraction(const struct input *in) {
    if (in->n < 2 || in->bytes[0] != '\'')
        return 0;
    uint8_t first = in->bytes[1] | 0x20u, second = in->n > 2 ? in->bytes[2] | 0x20u : 0;
    if (in->bytes[1] == 0xC5 && in->n > 2 && in->bytes[2] == 0xBF)
        return 3;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    if (((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l'))
        return 3;
    return 0;
}

/* Alternative 4 after its optional space: [punctuation]+[\r\n]* */
static size_t punctuation(const struct input *in, size_t at) {
    return run_end(in, run_end(in, at, EW__CHAR_OTHER), EW__CHAR_NEWLINE);
}

/* Alternatives 5 to 7: up to the last CR or LF of the run; else all of it at the end of the text;
 * else all but its last character, which the next piece may want; else that one character. */
static size_t white_space(const struct input *in) {
    size_t at = 0, last = 0, newline_end = 0, length;
    while (at < in->n) {
        ew__char_class class = class_at(in, at, &length);
        if (class != EW__CHAR_SPACE && class != EW__CHAR_NEWLINE)
            break;
        last = at;
        at += length;
        if (class == EW__CHAR_NEWLINE)
            newline_end = at;
    }
    if (newline_end != 0)
        return newline_end;
    return at == in->n || last == 0 ? at : last;
}

size_t ew__split_next(const struct ew__unicode *unicode, ew__split_rule rule, const char *text,
                      size_t n) {
    struct input in = {unicode, (const uint8_t *)text, n,
                       rule == EW__SPLIT_QWEN35 ? EW__CHAR_LETTER : EW__CHAR_OTHER};
    size_t length;
    ew__char_class class = class_at(&in, 0, &length);
    if (class == EW__CHAR_LETTER)
        return run_end(&in, length, EW__CHAR_LETTER);
    if (class == EW__CHAR_NUMBER)
        return length;
    size_t contracted = contraction(&in);
    if (contracted != 0)
        return contracted;
    if (class != EW__CHAR_NEWLINE && starts_with_class(&in, length, EW__CHAR_LETTER))
        return run_end(&in, length, EW__CHAR_LETTER);
    if (class == EW__CHAR_OTHER)
        return punctuation(&in, length);
    if (text[0] == ' ' && starts_with_class(&in, 1, EW__CHAR_OTHER))
        return punctuation(&in, 1);
    return white_space(&in);
}
