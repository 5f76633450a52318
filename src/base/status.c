// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[EW__MESSAGE_MAX];

const char *ew_status_name(ew_status status) {
    switch (status) {
#define NAME_CASE(name, number, words)                                                             \
    case EW_##name:                                                                                \
        return #name;
        EW_STATUS_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

const char *ew_last_error(void) {
    return message;
}

ew_status ew__fail(ew_status code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[EW__MESSAGE_MAX]; // the arguments may point into `message`
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof message);
    return code;
}

ew_status ew__fail_in(ew_status code, const char *format, ...) {
    if (code == EW_OK)
        return code;
    char context[EW__MESSAGE_MAX / 2], text[EW__MESSAGE_MAX * 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    snprintf(text, sizeof text, "%s: %s", context, message);
    text[sizeof message - 1] = '\0';
    memcpy(message, text, sizeof message);
    return code;
}

const char *ew__quote(const char *bytes, unsigned long n) {
    enum { shown_max = 64, buffers = 4 };
    static _Thread_local char text[buffers][shown_max * 4 + 4];
    static _Thread_local unsigned next;
    char *out = text[next++ % buffers];
    size_t at = 0;
    for (unsigned long i = 0; i < n && i < shown_max; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c < 0x7f)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
    }
    if (n > shown_max)
        memcpy(out + at, "...", 3), at += 3;
    out[at] = '\0';
    return out;
}
