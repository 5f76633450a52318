// SPDX-License-Identifier: Apache-2.0
/* Commands and their options. One table per command drives the parser and the help text, so that
 * neither can know an option that the other does not. */
#ifndef EDGEWISE_APP_OPTIONS_H
#define EDGEWISE_APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

typedef enum option_kind {
    OPTION_FLAG,   /* bool, set to true */
    OPTION_COUNT,  /* uint64_t in [least, most] */
    OPTION_REAL,   /* double in [low, high] */
    OPTION_TEXT,   /* const char *, the argument itself */
    OPTION_CHOICE, /* const char *, one of the words in `value`, which are separated by '|' */
} option_kind;

typedef struct option {
    char letter;       /* 0: none */
    const char *name;  /* without dashes */
    const char *value; /* word for the value in the help; for a choice, what is allowed */
    option_kind kind;
    size_t offset; /* where the value goes in the command's own struct */
    uint64_t least, most;
    double low, high;
    const char *help;
} option;

/* offsetof, and a comparison that does not compile when the field has another type. */
#define OPTION_FIELD(args, field, type)                                                            \
    (offsetof(args, field) + 0 * sizeof(&((args *)0)->field == (type *)0))

#define OPT_FLAG(args, field, short_, long_, help_)                                                \
    {                                                                                              \
        .letter = (short_), .name = (long_), .kind = OPTION_FLAG,                                  \
        .offset = OPTION_FIELD(args, field, bool), .help = (help_)                                 \
    }
#define OPT_COUNT(args, field, short_, long_, value_, least_, most_, help_)                        \
    {                                                                                              \
        .letter = (short_), .name = (long_), .value = (value_), .kind = OPTION_COUNT,              \
        .offset = OPTION_FIELD(args, field, uint64_t), .least = (least_), .most = (most_),         \
        .help = (help_)                                                                            \
    }
#define OPT_REAL(args, field, long_, value_, low_, high_, help_)                                   \
    {                                                                                              \
        .name = (long_), .value = (value_), .kind = OPTION_REAL,                                   \
        .offset = OPTION_FIELD(args, field, double), .low = (low_), .high = (high_),               \
        .help = (help_)                                                                            \
    }
#define OPT_TEXT(args, field, short_, long_, value_, help_)                                        \
    {                                                                                              \
        .letter = (short_), .name = (long_), .value = (value_), .kind = OPTION_TEXT,               \
        .offset = OPTION_FIELD(args, field, const char *), .help = (help_)                         \
    }
#define OPT_CHOICE(args, field, long_, words_, help_)                                              \
    {                                                                                              \
        .name = (long_), .value = (words_), .kind = OPTION_CHOICE,                                 \
        .offset = OPTION_FIELD(args, field, const char *), .help = (help_)                         \
    }

enum { OPERANDS_MAX = 3 };
typedef struct operands {
    const char *at[OPERANDS_MAX];
    size_t n;
} operands;

typedef struct example {
    const char *line, *words; /* what to type, and what it does */
} example;

typedef struct command {
    const char *name;
    const char *synopsis; /* what follows the name in the usage line */
    const char *summary;  /* one line for the list of commands */
    const char *about;    /* paragraphs, separated by an empty line */
    const option *options;
    size_t n_options;
    const char *operand; /* what a missing or further operand is called in a message */
    size_t least_operands, most_operands;
    const example *examples;
    size_t n_examples;
    int (*main)(int argc, char **argv); /* arguments after the name; returns the exit status */
} command;

enum { OPTIONS_GO_ON = -1 };

/* Reads the arguments after the command's name into `values`, the command's own struct (set to its
 * defaults before), and `found`. Returns OPTIONS_GO_ON, or the status to exit with: after --help,
 * or after telling what is wrong. */
int options_parse(const command *self, int argc, char **argv, void *values, operands *found);

/* Tells a usage error of the command and returns EXIT_USAGE. */
int options_wrong(const command *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The word of `count` nearest to the given one, or NULL when none is near. word_at gives the words.
 */
const char *options_nearest(const char *word, size_t count,
                            const char *(*word_at)(const void *context, size_t index),
                            const void *context);

#endif
