// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

static ew__log_fn *log_receiver;
static void *log_context;

void ew__log_set(ew__log_fn *receiver, void *context) {
    log_receiver = receiver;
    log_context = context;
}

void ew__log(ew__log_level level, const char *format, ...) {
    if (log_receiver == NULL)
        return;
    char line[EW__MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_receiver(log_context, (int)level, line);
}
