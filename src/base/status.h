// SPDX-License-Identifier: Apache-2.0
/* How every room reports failure: return a status, leave one sentence for the calling thread. */
#ifndef EW_BASE_STATUS_H
#define EW_BASE_STATUS_H

#include "edgewise/status.h"

#if defined(__GNUC__)
#define EW__PRINTF(text, first) __attribute__((format(printf, text, first)))
#define EW__MUST_USE            __attribute__((warn_unused_result))
#else
#define EW__PRINTF(text, first)
#define EW__MUST_USE
#endif

/* Sets the thread's message (lower case, no full stop, file data shown through ew__quote) and
 * returns `code`. The message is cut at EW__MESSAGE_MAX bytes. */
ew_status ew__fail(ew_status code, const char *format, ...) EW__PRINTF(2, 3);

/* Puts "context: " before the thread's message and returns `code`; does nothing for EW_OK. */
ew_status ew__fail_in(ew_status code, const char *format, ...) EW__PRINTF(2, 3);

/* A printable rendering of untrusted bytes for messages: control and non-ASCII bytes as \xHH, cut
 * with "..." after 64 bytes. The result lives in one of four rotating per-thread buffers. */
const char *ew__quote(const char *bytes, unsigned long n);

/* Returns early with the status of a failing expression. */
#define EW__TRY(expression)                                                                        \
    do {                                                                                           \
        ew_status ew__try_status = (expression);                                                   \
        if (ew__try_status != EW_OK)                                                               \
            return ew__try_status;                                                                 \
    } while (0)

#endif
