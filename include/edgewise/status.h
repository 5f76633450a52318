// SPDX-License-Identifier: Apache-2.0
/* Status codes of the public API.
 *
 * Every function that can fail returns an ew_status; EW_OK is 0, everything else is a failure. The
 * sentence that says what went wrong is kept per thread and read with ew_last_error(). */
#ifndef EDGEWISE_STATUS_H
#define EDGEWISE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define EW_API
#else
#define EW_API __attribute__((visibility("default")))
#endif

/* X(name, number, words): the one list that makes the enum and the names. Numbers are ABI: append.
 */
#define EW_STATUS_MAP(X)                                                                           \
    X(OK, 0, "done")                                                                               \
    X(NO_MEMORY, 1, "out of memory")                                                               \
    X(IO, 2, "a file could not be read or written")                                                \
    X(FORMAT, 3, "malformed data")                                                                 \
    X(UNSUPPORTED, 4, "well-formed data that this build cannot use")                               \
    X(ARGUMENT, 5, "an argument is out of range")                                                  \
    X(LIMIT, 6, "a limit was reached")                                                             \
    X(STATE, 7, "the call does not fit the object's state")                                        \
    X(CANCELLED, 8, "cancelled by the caller")                                                     \
    X(NOT_FOUND, 9, "no such thing")                                                               \
    X(INTERNAL, 10, "a defect in edgewise")

typedef enum ew_status {
#define EW_STATUS_ENUM(name, number, words) EW_##name = number,
    EW_STATUS_MAP(EW_STATUS_ENUM)
#undef EW_STATUS_ENUM
} ew_status;

/* The constant name of a status, such as "FORMAT"; "?" for a number that is none. Thread-safe. */
EW_API const char *ew_status_name(ew_status status);

/* The sentence for the calling thread's most recent failure; "" before the first one. It belongs to
 * the library and stays valid until the next call that fails on this thread. Thread-safe. */
EW_API const char *ew_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
