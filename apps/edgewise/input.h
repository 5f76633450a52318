// SPDX-License-Identifier: Apache-2.0
/* What the user hands in: whole files or standard input, and lists of token ids. */
#ifndef EDGEWISE_APP_INPUT_H
#define EDGEWISE_APP_INPUT_H

#include <stddef.h>
#include <stdint.h>

/* Reads all of a file ("-": standard input) into *text, with a NUL after it; freed with free().
 * Returns EXIT_DONE, or EXIT_FAILED after telling why. At most INPUT_MAX bytes. */
#define INPUT_MAX ((size_t)1 << 30)
int input_read(const char *path, char **text, size_t *n);

/* Token ids separated by blanks, line ends or commas: "1, 2 3". Freed with free(). Returns
 * EXIT_DONE or EXIT_FAILED after telling where the list is wrong; an empty list is wrong. */
int input_ids(const char *text, int32_t **ids, size_t *count);

#endif
