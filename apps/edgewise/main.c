// SPDX-License-Identifier: Apache-2.0
/* edgewise, the program: finds the command that the first argument names. */
#include "commands.h"
#include "edgewise/edgewise.h"
#include "help.h"
#include "terminal.h"
#include "text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const command *const COMMANDS[] = {
    &cmd_run,     &cmd_logits,     &cmd_tokenize, &cmd_inspect,  &cmd_convert, &cmd_quantize,
    &cmd_imatrix, &cmd_perplexity, &cmd_bench,    &cmd_selftest, &cmd_doctor,
};
enum { N_COMMANDS = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static const command *find(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(COMMANDS[i]->name, name) == 0)
            return COMMANDS[i];
    return NULL;
}

static const char *command_name_at(const void *context, size_t index) {
    return ((const command *const *)context)[index]->name;
}

static int unknown_command(const char *name) {
    const char *near = options_nearest(name, N_COMMANDS, command_name_at, COMMANDS);
    fprintf(stderr, "edgewise: there is no command '");
    text_print_line(stderr, name, 60);
    fputc('\'', stderr);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near);
    fprintf(stderr, "; 'edgewise --help' lists the commands\n");
    return EXIT_USAGE;
}

static int print_version(void) {
    ew_system_info system = EW_INIT(ew_system_info);
    printf("edgewise %s\n", ew_version());
    ew_status status = ew_system_get_info(&system);
    if (status != EW_OK)
        return text_fail_with(status);
    printf("built with: %s\ninstruction sets: %s\n", system.built_with, system.isas);
    return EXIT_DONE;
}

static int print_help(const char *name) {
    const command *found = name == NULL ? NULL : find(name);
    if (name != NULL && found == NULL)
        return unknown_command(name);
    if (found != NULL)
        help_command(found);
    else
        help_all(COMMANDS, N_COMMANDS);
    return EXIT_DONE;
}

/* EDGEWISE_LOG=0..3 chooses how much the library tells; without it, warnings on a terminal. */
static int log_level(void) {
    const char *text = getenv("EDGEWISE_LOG");
    if (text != NULL && text[0] >= '0' && text[0] <= '3' && text[1] == '\0')
        return text[0] - '0';
    return terminal_is(stderr) ? 1 : 0;
}

static void print_log(void *context, int level, const char *line) {
    static const char *const words[] = {"", "warning: ", "", "debug: "};
    if (level < 1 || level > 3 || level > *(const int *)context)
        return;
    fprintf(stderr, "edgewise: %s%s\n", words[level], line);
}

static bool is_either(const char *word, const char *a, const char *b) {
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "edgewise: no command; 'edgewise --help' lists them\n");
        return EXIT_USAGE;
    }
    if (is_either(argv[1], "--version", "-V"))
        return print_version();
    if (is_either(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    const command *found = find(argv[1]);
    return found == NULL ? unknown_command(argv[1]) : found->main(argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    static int level;
    level = log_level();
    /* a reader that went away ends the program in silence, also where the parent ignores SIGPIPE */
    signal(SIGPIPE, SIG_DFL);
    ew_set_log(print_log, &level);
    return text_finish(dispatch(argc, argv));
}
