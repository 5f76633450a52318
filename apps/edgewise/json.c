// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void separate(json *j) {
    if (j->comma)
        fputs(", ", j->out);
    j->comma = true;
}

void json_open(json *j, char bracket) {
    separate(j);
    fputc(bracket, j->out);
    j->comma = false;
}

void json_close(json *j, char bracket) {
    fputc(bracket, j->out);
    j->comma = true;
}

static void print_character(FILE *out, const char *text, size_t length) {
    unsigned char first = (unsigned char)text[0];
    if (length == 0)
        fputs("\xEF\xBF\xBD", out);
    else if (first == '\n')
        fputs("\\n", out);
    else if (first < 0x20 || first == 0x7F)
        fprintf(out, "\\u%04x", first);
    else if (first == '"' || first == '\\')
        fprintf(out, "\\%c", first);
    else
        fwrite(text, 1, length, out);
}

void json_text(json *j, const char *text, size_t n) {
    separate(j);
    fputc('"', j->out);
    for (size_t i = 0; i < n;) {
        size_t length = text_character(text + i, n - i);
        print_character(j->out, text + i, length);
        i += length == 0 ? 1 : length;
    }
    fputc('"', j->out);
}

void json_key(json *j, const char *key) {
    json_text(j, key, strlen(key));
    fputs(": ", j->out);
    j->comma = false;
}

void json_count(json *j, uint64_t value) {
    separate(j);
    fprintf(j->out, "%" PRIu64, value);
}

void json_integer(json *j, int64_t value) {
    separate(j);
    fprintf(j->out, "%" PRId64, value);
}

void json_real(json *j, double value) {
    separate(j);
    if (isfinite(value))
        fprintf(j->out, "%.9g", value);
    else
        fputs("null", j->out);
}

void json_flag(json *j, bool value) {
    separate(j);
    fputs(value ? "true" : "false", j->out);
}

void json_put_text(json *j, const char *key, const char *text) {
    json_key(j, key);
    if (text != NULL) {
        json_text(j, text, strlen(text));
        return;
    }
    fputs("null", j->out);
    j->comma = true;
}

void json_put_count(json *j, const char *key, uint64_t value) {
    json_key(j, key);
    json_count(j, value);
}

void json_put_real(json *j, const char *key, double value) {
    json_key(j, key);
    json_real(j, value);
}

void json_put_flag(json *j, const char *key, bool value) {
    json_key(j, key);
    json_flag(j, value);
}
