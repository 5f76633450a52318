// SPDX-License-Identifier: Apache-2.0
/* Cuts text into the pieces inside which BPE merges: hand-written matchers for the published
 * regular expressions of the family (docs/tokenizer.md). */
#ifndef EW_TOKENIZER_PRETOKENIZE_H
#define EW_TOKENIZER_PRETOKENIZE_H

#include "base/str.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum ew__split_rule {
    EW__SPLIT_QWEN35, /* Qwen3.5 and later: marks belong to letter runs */
    EW__SPLIT_QWEN2   /* Qwen2, 2.5, 3: marks are punctuation */
} ew__split_rule;

/* The rule of a regular expression in its published spelling; false for any other. */
bool ew__split_rule_by_regex(struct ew__str regex, ew__split_rule *rule);

/* Bytes of the first piece of n >= 1 bytes of well-formed UTF-8. Walking a text costs linear time:
 * a byte is looked at a bounded number of times. */
size_t ew__split_next(const struct ew__unicode *unicode, ew__split_rule rule, const char *text,
                      size_t n);

#endif
