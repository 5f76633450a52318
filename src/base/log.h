// SPDX-License-Identifier: Apache-2.0
/* The library never prints: what is worth telling goes to a callback, which is silent by default.
 */
#ifndef EW_BASE_LOG_H
#define EW_BASE_LOG_H

#include "base/status.h"

typedef enum ew__log_level {
    EW__LOG_WARNING = 1,
    EW__LOG_INFO = 2,
    EW__LOG_DEBUG = 3
} ew__log_level;

typedef void ew__log_fn(void *context, int level, const char *line);

/* Sets the receiver for the whole process; NULL silences. Call it before other threads use the
 * library. The callback may run on any thread. */
void ew__log_set(ew__log_fn *receiver, void *context);
void ew__log(ew__log_level level, const char *format, ...) EW__PRINTF(2, 3);

#endif
