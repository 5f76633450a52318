// SPDX-License-Identifier: Apache-2.0
/* JSON from outside, through jansson, with size and depth caps and duplicate keys refused. Rooms
 * read the tree with jansson's own accessors; the helpers below add range checks and sentences. */
#ifndef EW_BASE_JSON_H
#define EW_BASE_JSON_H

#include "base/status.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses n bytes; `what` names the document in messages. *root is freed with json_decref. */
ew_status ew__json_parse(const char *bytes, size_t n, const char *what, json_t **root);
/* The same from a file of at most max_bytes. */
ew_status ew__json_load(const char *path, size_t max_bytes, json_t **root);

/* Reads object[key] as an integer in [min, max] (also 3.0), a finite number, a boolean, a string.
 * An absent key or null leaves *out alone and returns EW_OK; a wrong kind or range is EW_FORMAT. */
ew_status ew__json_u64(const json_t *object, const char *key, uint64_t min, uint64_t max,
                       uint64_t *out);
ew_status ew__json_u32(const json_t *object, const char *key, uint32_t min, uint32_t max,
                       uint32_t *out);
ew_status ew__json_f64(const json_t *object, const char *key, double *out);
ew_status ew__json_bool(const json_t *object, const char *key, bool *out);
ew_status ew__json_str(const json_t *object, const char *key, struct ew__str *out);

#endif
