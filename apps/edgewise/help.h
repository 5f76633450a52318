// SPDX-License-Identifier: Apache-2.0
/* The help texts, laid out from the command tables for the width of the terminal. */
#ifndef EDGEWISE_APP_HELP_H
#define EDGEWISE_APP_HELP_H

#include "options.h"

/* Usage, what the command does, its options and examples, on standard output. */
void help_command(const command *self);
/* What edgewise is and the list of commands, on standard output. */
void help_all(const command *const *commands, size_t n);

#endif
