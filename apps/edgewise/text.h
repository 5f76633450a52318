// SPDX-License-Identifier: Apache-2.0
/* Text on its way to the user: what comes from files and models may hold anything, also sequences
 * that would take over a terminal. */
#ifndef EDGEWISE_APP_TEXT_H
#define EDGEWISE_APP_TEXT_H

#include "edgewise/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of the well-formed UTF-8 character at the start of text[0..n), 0 when there is none. */
size_t text_character(const char *text, size_t n);

/* Writes the text with control characters (other than tab and line end) and ill-formed bytes
 * replaced by U+FFFD. */
void text_print(FILE *out, const char *text, size_t n);
/* In double quotes on one line: \n, \t, \", \\, and \xNN for control characters and ill-formed
 * bytes. */
void text_print_quoted(FILE *out, const char *text, size_t n);
/* Without quotes, at most max_characters, the rest shown as "...". */
void text_print_line(FILE *out, const char *text, size_t max_characters);

/* "512 B", "1.5 MiB". */
enum { TEXT_SIZE_MAX = 32 };
void text_size(char out[TEXT_SIZE_MAX], uint64_t bytes);

/* Prints "edgewise: sentence" as one line on standard error; returns EXIT_FAILED. */
int text_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with the library's last error; EXIT_INTERRUPTED, in silence, for EW_CANCELLED. */
int text_fail_with(ew_status status);
/* Flushes standard output; returns `status`, or EXIT_FAILED with a sentence when what was written
 * did not arrive. */
int text_finish(int status);

#endif
