// SPDX-License-Identifier: Apache-2.0
/* The commands, one file each. */
#ifndef EDGEWISE_APP_COMMANDS_H
#define EDGEWISE_APP_COMMANDS_H

#include "options.h"

extern const command cmd_run;
extern const command cmd_logits;
extern const command cmd_tokenize;
extern const command cmd_inspect;
extern const command cmd_convert;
extern const command cmd_quantize;
extern const command cmd_imatrix;
extern const command cmd_perplexity;
extern const command cmd_bench;
extern const command cmd_selftest;
extern const command cmd_doctor;

#endif
