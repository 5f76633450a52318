// SPDX-License-Identifier: Apache-2.0
/* A small pull reader for the two members of tokenizer.json that make up nearly all of its 20 MB,
 * model.vocab and model.merges: a tree of them would cost 100 MB and a second. Everything else of
 * the document goes through base/json.h. */
#ifndef EW_TOKENIZER_JSON_SCAN_H
#define EW_TOKENIZER_JSON_SCAN_H

#include "base/limits.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ew__json_scan {
    const char *at, *end;
    const char *what; /* names the document part in messages */
    const char *start;
    char text[EW__TOKEN_BYTES_MAX * 2]; /* a string that has escapes */
};

void ew__json_scan_init(struct ew__json_scan *scan, struct ew__str text, const char *what);

/* Skips white space and tells the next byte; '\0' at the end. */
char ew__json_scan_peek(struct ew__json_scan *scan);
/* Takes `punctuation` if it is next. */
bool ew__json_scan_take(struct ew__json_scan *scan, char punctuation);
/* The same, or fails. */
ew_status ew__json_scan_need(struct ew__json_scan *scan, char punctuation);
/* A string, a view of the document or of scan->text, valid until the next one with escapes. It is
 * not checked to be UTF-8. Fails for anything else and for unescaped control characters. */
ew_status ew__json_scan_string(struct ew__json_scan *scan, struct ew__str *out);
/* A whole number without sign, fraction or exponent. */
ew_status ew__json_scan_u64(struct ew__json_scan *scan, uint64_t *out);
/* Skips one value, checking only that quotes and brackets close. */
ew_status ew__json_scan_skip(struct ew__json_scan *scan);
/* Fails with the sentence, "in <what>, at byte N". */
ew_status ew__json_scan_fail(const struct ew__json_scan *scan, const char *sentence);

/* Elements of the array or members of the object that `text` holds, as far as commas tell: a bound
 * for sizing tables. */
size_t ew__json_scan_count(struct ew__str text);

#endif
