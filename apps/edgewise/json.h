// SPDX-License-Identifier: Apache-2.0
/* Writes one JSON value, compactly, as it comes. The caller keeps the order right: a key before
 * each value in an object, and a close for each open. */
#ifndef EDGEWISE_APP_JSON_H
#define EDGEWISE_APP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct json {
    FILE *out;
    bool comma; /* something came before in this object or array */
} json;

void json_open(json *j, char bracket); /* '{' or '[' */
void json_close(json *j, char bracket);
void json_key(json *j, const char *key);
/* Ill-formed UTF-8 becomes U+FFFD. */
void json_text(json *j, const char *text, size_t n);
void json_count(json *j, uint64_t value);
void json_integer(json *j, int64_t value);
void json_real(json *j, double value); /* null when not finite */
void json_flag(json *j, bool value);

/* Key and value in one call. A NULL text is null. */
void json_put_text(json *j, const char *key, const char *text);
void json_put_count(json *j, const char *key, uint64_t value);
void json_put_real(json *j, const char *key, double value);
void json_put_flag(json *j, const char *key, bool value);

#endif
