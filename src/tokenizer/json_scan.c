// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/json_scan.h"
#include "base/utf8.h"

void ew__json_scan_init(struct ew__json_scan *scan, struct ew__str text, const char *what) {
    scan->at = scan->start = text.bytes;
    scan->end = text.bytes + text.n;
    scan->what = what;
}

ew_status ew__json_scan_fail(const struct ew__json_scan *scan, const char *sentence) {
    return ew__fail(EW_FORMAT, "%s (in %s, at byte %zu)", sentence, scan->what,
                    (size_t)(scan->at - scan->start));
}

char ew__json_scan_peek(struct ew__json_scan *scan) {
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

bool ew__json_scan_take(struct ew__json_scan *scan, char punctuation) {
    if (ew__json_scan_peek(scan) != punctuation || scan->at == scan->end)
        return false;
    scan->at++;
    return true;
}

ew_status ew__json_scan_need(struct ew__json_scan *scan, char punctuation) {
    char sentence[] = "expected '?'";
    sentence[sizeof sentence - 3] = punctuation;
    return ew__json_scan_take(scan, punctuation) ? EW_OK : ew__json_scan_fail(scan, sentence);
}

static bool hex4(const char *p, const char *end, uint32_t *code) {
    *code = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

/* \uXXXX, with the second half of a surrogate pair; scan->at stands after the 'u'. */
static bool unicode_escape(struct ew__json_scan *scan, uint32_t *code) {
    uint32_t low;
    if (!hex4(scan->at, scan->end, code))
        return false;
    scan->at += 4;
    if (*code < 0xD800 || *code > 0xDFFF)
        return true;
    if (*code > 0xDBFF || scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u' ||
        !hex4(scan->at + 2, scan->end, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    scan->at += 6;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* One escape after its backslash, written to out (4 bytes of room); 0 when it is none. */
static size_t escape(struct ew__json_scan *scan, char *out) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t code;
    if (scan->at == scan->end)
        return 0;
    char c = *scan->at++;
    if (c == 'u')
        return unicode_escape(scan, &code) ? ew__utf8_encode(code, out) : 0;
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (name == NULL)
        return 0;
    *out = values[name - names];
    return 1;
}

static ew_status string_with_escapes(struct ew__json_scan *scan, const char *start,
                                     struct ew__str *out) {
    size_t n = (size_t)(scan->at - start);
    if (n > sizeof scan->text - 4)
        return ew__json_scan_fail(scan, "a string is too long");
    memcpy(scan->text, start, n);
    while (scan->at < scan->end && *scan->at != '"') {
        char c = *scan->at++;
        size_t more = 1;
        scan->text[n] = c;
        if ((uint8_t)c < 0x20 || (c == '\\' && (more = escape(scan, scan->text + n)) == 0))
            return ew__json_scan_fail(scan, "a string has a bad escape or control character");
        n += more;
        if (n > sizeof scan->text - 4)
            return ew__json_scan_fail(scan, "a string is too long");
    }
    if (scan->at == scan->end)
        return ew__json_scan_fail(scan, "a string does not end");
    scan->at++;
    *out = ew__str_of(scan->text, n);
    return EW_OK;
}

ew_status ew__json_scan_string(struct ew__json_scan *scan, struct ew__str *out) {
    if (!ew__json_scan_take(scan, '"'))
        return ew__json_scan_fail(scan, "expected a string");
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' &&
           (uint8_t)*scan->at >= 0x20)
        scan->at++;
    if (scan->at == scan->end || *scan->at != '"')
        return string_with_escapes(scan, start, out);
    *out = ew__str_of(start, (size_t)(scan->at++ - start));
    return EW_OK;
}

ew_status ew__json_scan_u64(struct ew__json_scan *scan, uint64_t *out) {
    char c = ew__json_scan_peek(scan);
    uint64_t value = 0;
    if (c < '0' || c > '9')
        return ew__json_scan_fail(scan, "expected a whole number");
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++) {
        value = value * 10 + (uint64_t)(*scan->at - '0');
        if (value > UINT32_MAX)
            return ew__json_scan_fail(scan, "a number is too large");
    }
    if (scan->at < scan->end && (*scan->at == '.' || *scan->at == 'e' || *scan->at == 'E'))
        return ew__json_scan_fail(scan, "expected a whole number");
    *out = value;
    return EW_OK;
}

/* Moves past the string whose opening quote has been taken; false when it does not end. */
static bool skip_string(struct ew__json_scan *scan) {
    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    return scan->at < scan->end && *scan->at++ == '"';
}

ew_status ew__json_scan_skip(struct ew__json_scan *scan) {
    size_t depth = 0;
    if (ew__json_scan_peek(scan) == '\0')
        return ew__json_scan_fail(scan, "expected a value");
    while (scan->at < scan->end) {
        char c = *scan->at;
        bool closes = c == '}' || c == ']', separates = c == ',' || closes;
        if (depth == 0 && separates)
            return EW_OK;
        scan->at++;
        if (c == '"' && !skip_string(scan))
            break;
        depth += c == '{' || c == '[';
        depth -= closes;
        if (depth == 0 && (closes || c == '"'))
            return EW_OK;
    }
    return depth == 0 ? EW_OK : ew__json_scan_fail(scan, "a value does not end");
}

size_t ew__json_scan_count(struct ew__str text) {
    struct ew__json_scan scan;
    size_t depth = 0, commas = 0;
    for (ew__json_scan_init(&scan, text, ""); scan.at < scan.end;) {
        char c = *scan.at++;
        if (c == '"' && !skip_string(&scan))
            break;
        depth += c == '{' || c == '[';
        depth -= depth > 0 && (c == '}' || c == ']');
        commas += c == ',' && depth == 1;
    }
    return commas + 1;
}
