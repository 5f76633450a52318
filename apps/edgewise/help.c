// SPDX-License-Identifier: Apache-2.0
#include "help.h"

#include "terminal.h"

#include <stdio.h>
#include <string.h>

enum { OPTION_INDENT = 2, TEXT_COLUMN = 26, WIDTH_MAX = 100, WIDTH_MIN = 60 };

static size_t page_width(void) {
    size_t width = terminal_width(stdout);
    return width > WIDTH_MAX ? WIDTH_MAX : width < WIDTH_MIN ? WIDTH_MIN : width;
}

/* Prints words from the column where the line now is, breaking before `width`, with later lines
 * starting at `indent`. An empty line in the text stays one. */
static void print_wrapped(const char *text, size_t column, size_t indent, size_t width) {
    bool fresh = true;
    for (const char *word = text; *word != '\0';) {
        size_t n = strcspn(word, " \n");
        if (!fresh && column + 1 + n > width) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            fresh = true;
        }
        column += (size_t)printf(fresh ? "%.*s" : " %.*s", (int)n, word);
        fresh = false;
        word += n;
        if (word[0] == '\n' && word[1] == '\n') {
            printf("\n\n%*s", (int)indent, "");
            column = indent;
            fresh = true;
        }
        word += strspn(word, " \n");
    }
    putchar('\n');
}

static void heading(const char *words) {
    bool bold = terminal_has_colours(stdout);
    printf("\n%s%s:%s\n", bold ? "\033[1m" : "", words, bold ? "\033[0m" : "");
}

static void print_option(const option *o, size_t width) {
    char left[96];
    int n = o->letter != 0 ? snprintf(left, sizeof(left), "-%c, --%s", o->letter, o->name)
                           : snprintf(left, sizeof(left), "    --%s", o->name);
    if (o->value != NULL)
        n += snprintf(left + n, sizeof(left) - (size_t)n, " %s", o->value);
    size_t column = OPTION_INDENT + (size_t)n;
    printf("%*s%s", OPTION_INDENT, "", left);
    if (column + 2 > TEXT_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", (int)(TEXT_COLUMN - column), "");
    print_wrapped(o->help, TEXT_COLUMN, TEXT_COLUMN, width);
}

void help_command(const command *self) {
    size_t width = page_width();
    printf("Usage: edgewise %s %s\n\n", self->name, self->synopsis);
    print_wrapped(self->about, 0, 0, width);
    heading("Options");
    for (size_t i = 0; i < self->n_options; i++)
        print_option(&self->options[i], width);
    printf("  -h, --help              this text\n");
    heading("Examples");
    for (size_t i = 0; i < self->n_examples; i++) {
        printf("  %s\n      ", self->examples[i].line);
        print_wrapped(self->examples[i].words, 6, 6, width);
    }
}

void help_all(const command *const *commands, size_t n) {
    size_t width = page_width();
    printf("Usage: edgewise COMMAND [arguments]\n\n");
    print_wrapped(
        "edgewise runs the Qwen3.5 small models on this machine. MODEL is a .gguf file or "
        "a checkpoint folder; without one, $EDGEWISE_MODEL or the small model that "
        "comes with edgewise is used.",
        0, 0, width);
    heading("Commands");
    for (size_t i = 0; i < n; i++) {
        printf("  %-12s", commands[i]->name);
        print_wrapped(commands[i]->summary, 14, 14, width);
    }
    printf("  %-12sthe help of a command\n", "help");
    heading("Options");
    printf("  -h, --help              this text; after a command, its options and examples\n"
           "      --version           version and what was built in\n");
    heading("Examples");
    printf("  edgewise run model.gguf -p \"Why is the sky blue?\"\n"
           "  edgewise inspect model.gguf\n"
           "  edgewise bench model.gguf -t 4\n"
           "  edgewise help run\n"
           "\nExit status: 0 done, 1 failed (the reason is on standard error), 2 wrong usage,\n"
           "130 interrupted.\n");
}
