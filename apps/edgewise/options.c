// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "help.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int options_wrong(const command *self, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "edgewise: %s: ", self->name);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; 'edgewise %s --help' lists the options\n", self->name);
    return EXIT_USAGE;
}

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance by rows; words longer than any name of ours are merely far away. */
enum { WORD_MAX = 31 };

static size_t distance(const char *a, const char *b) {
    size_t row[WORD_MAX + 1];
    size_t n_a = strlen(a);
    size_t n_b = strlen(b);
    if (n_a > WORD_MAX || n_b > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n_b];
}

const char *options_nearest(const char *word, size_t count,
                            const char *(*word_at)(const void *context, size_t index),
                            const void *context) {
    const char *nearest = NULL;
    size_t best = 1 + strlen(word) / 3; /* one slip in three letters */
    for (size_t i = 0; i < count; i++) {
        const char *candidate = word_at(context, i);
        size_t d = distance(word, candidate);
        if (d < best || (d == best && nearest == NULL)) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}

static const char *option_name_at(const void *context, size_t index) {
    return ((const option *)context)[index].name;
}

static const option *by_name(const command *self, const char *name, size_t n) {
    for (size_t i = 0; i < self->n_options; i++)
        if (strlen(self->options[i].name) == n && memcmp(self->options[i].name, name, n) == 0)
            return &self->options[i];
    return NULL;
}

static const option *by_letter(const command *self, char letter) {
    for (size_t i = 0; i < self->n_options; i++)
        if (self->options[i].letter == letter && letter != 0)
            return &self->options[i];
    return NULL;
}

static int unknown_option(const command *self, const char *argument, const char *name) {
    const char *near = options_nearest(name, self->n_options, option_name_at, self->options);
    if (near != NULL)
        return options_wrong(self, "there is no option '%s'; did you mean --%s?", argument, near);
    return options_wrong(self, "there is no option '%s'", argument);
}

/* strtoull takes signs and leading blanks; a count here is digits only. */
static bool read_count(const char *text, uint64_t *out) {
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return errno == 0 && *end == '\0' && value <= UINT64_MAX;
}

static bool read_real(const char *text, double *out) {
    char *end;
    if (strchr("+-.0123456789", text[0]) == NULL || text[0] == '\0')
        return false;
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && *end == '\0' && isfinite(*out);
}

static bool is_choice(const char *words, const char *text) {
    size_t n = strlen(text);
    for (const char *word = words;; word++) {
        size_t length = strcspn(word, "|");
        if (length == n && memcmp(word, text, n) == 0)
            return true;
        word += length;
        if (*word == '\0')
            return false;
    }
}

static int store_count(const command *self, const option *o, const char *text, void *values) {
    uint64_t number;
    if (!read_count(text, &number) || number < o->least || number > o->most)
        return options_wrong(self, "--%s takes a whole number from %llu to %llu, not '%s'", o->name,
                             (unsigned long long)o->least, (unsigned long long)o->most, text);
    memcpy((char *)values + o->offset, &number, sizeof(number));
    return OPTIONS_GO_ON;
}

static int store_real(const command *self, const option *o, const char *text, void *values) {
    double number;
    if (!read_real(text, &number) || number < o->low || number > o->high)
        return options_wrong(self, "--%s takes a number from %g to %g, not '%s'", o->name, o->low,
                             o->high, text);
    memcpy((char *)values + o->offset, &number, sizeof(number));
    return OPTIONS_GO_ON;
}

static int store(const command *self, const option *o, const char *text, void *values) {
    if (o->kind == OPTION_COUNT)
        return store_count(self, o, text, values);
    if (o->kind == OPTION_REAL)
        return store_real(self, o, text, values);
    if (o->kind == OPTION_CHOICE && !is_choice(o->value, text))
        return options_wrong(self, "--%s takes one of %s, not '%s'", o->name, o->value, text);
    memcpy((char *)values + o->offset, &text, sizeof(text));
    return OPTIONS_GO_ON;
}

/* What is left to read: argv[at], and the letters still to come in a group such as -xyz. */
typedef struct reader {
    const command *self;
    int argc, at;
    char **argv;
    void *values;
} reader;

/* `attached` is the value in the same argument, NULL when there is none. */
static int take(reader *r, const option *o, const char *attached) {
    if (o->kind == OPTION_FLAG) {
        const bool yes = true;
        if (attached != NULL)
            return options_wrong(r->self, "--%s takes no value", o->name);
        memcpy((char *)r->values + o->offset, &yes, sizeof(yes));
        return OPTIONS_GO_ON;
    }
    if (attached == NULL) {
        if (r->at >= r->argc)
            return options_wrong(r->self, "--%s needs a value", o->name);
        attached = r->argv[r->at++];
    }
    return store(r->self, o, attached, r->values);
}

static int take_long(reader *r, const char *argument) {
    const char *name = argument + 2;
    size_t n = strcspn(name, "=");
    const option *o = by_name(r->self, name, n);
    if (o == NULL) {
        char bare[WORD_MAX + 1];
        snprintf(bare, sizeof(bare), "%.*s", (int)(n < WORD_MAX ? n : WORD_MAX), name);
        return unknown_option(r->self, argument, bare);
    }
    return take(r, o, name[n] == '=' ? name + n + 1 : NULL);
}

/* -t 4, -t4, -t=4; letters of flags may be grouped. */
static int take_letters(reader *r, const char *argument) {
    for (const char *letter = argument + 1; *letter != '\0'; letter++) {
        const option *o = by_letter(r->self, *letter);
        if (o == NULL)
            return options_wrong(r->self, "there is no option '-%c'", *letter);
        if (o->kind != OPTION_FLAG) {
            const char *rest = letter[1] == '=' ? letter + 2 : letter + 1;
            return take(r, o, letter[1] == '\0' ? NULL : rest);
        }
        int status = take(r, o, NULL);
        if (status != OPTIONS_GO_ON)
            return status;
    }
    return OPTIONS_GO_ON;
}

static int take_operand(const command *self, operands *found, const char *argument) {
    if (found->n >= self->most_operands)
        return options_wrong(self, "unexpected argument '%s'", argument);
    found->at[found->n++] = argument;
    return OPTIONS_GO_ON;
}

static bool asks_for_help(const char *argument) {
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int options_parse(const command *self, int argc, char **argv, void *values, operands *found) {
    reader r = {.self = self, .argc = argc, .argv = argv, .values = values};
    bool only_operands = false;
    *found = (operands){.n = 0};
    while (r.at < argc) {
        const char *argument = argv[r.at++];
        int status;
        if (only_operands || argument[0] != '-' || argument[1] == '\0') {
            status = take_operand(self, found, argument);
        } else if (strcmp(argument, "--") == 0) {
            only_operands = true;
            continue;
        } else if (asks_for_help(argument)) {
            help_command(self);
            return EXIT_DONE;
        } else {
            status = argument[1] == '-' ? take_long(&r, argument) : take_letters(&r, argument);
        }
        if (status != OPTIONS_GO_ON)
            return status;
    }
    if (found->n < self->least_operands)
        return options_wrong(self, "%s is missing", self->operand);
    return OPTIONS_GO_ON;
}
