// SPDX-License-Identifier: Apache-2.0
/* What a terminal changes: width, colours, and a progress line on standard error. Piped output
 * never has any of it. */
#ifndef EDGEWISE_APP_TERMINAL_H
#define EDGEWISE_APP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool terminal_is(FILE *stream);
/* A terminal other than "dumb", and NO_COLOR (no-color.org) is not set to anything. */
bool terminal_has_colours(FILE *stream);
/* Columns of the stream's terminal; 80 when it is none or does not tell. */
size_t terminal_width(FILE *stream);

/* Seconds of a clock that only runs forward. */
double clock_now(void);

/* A bar with rate and time to go on standard error. It shows up when the work has taken a second,
 * on terminals only, and removes itself at the end. */
typedef struct progress {
    const char *label;
    const char *unit; /* "tokens"; NULL: bytes */
    uint64_t total;
    double started, drawn;
    bool terminal, shown;
} progress;

void progress_begin(progress *bar, const char *label, const char *unit, uint64_t total);
void progress_at(progress *bar, uint64_t done);
void progress_end(progress *bar);

#endif
