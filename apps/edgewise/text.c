// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static bool is_tail(unsigned char byte) {
    return (byte & 0xC0) == 0x80;
}

/* Table 3-7 of the Unicode standard: the second byte's range depends on the first. */
static bool second_fits(unsigned char first, unsigned char second) {
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return second >= low && second <= high;
}

size_t text_character(const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text;
    if (n == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                    : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                    : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                   : 0;
    if (length == 0 || n < length || !second_fits(s[0], s[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_tail(s[i]))
            return 0;
    return length;
}

/* C0, DEL and C1 (U+0080 to U+009F): the characters that terminals act on. */
static bool is_control(const char *text, size_t length) {
    unsigned char first = (unsigned char)text[0];
    if (length == 1)
        return first < 0x20 || first == 0x7F;
    return length == 2 && first == 0xC2 && (unsigned char)text[1] < 0xA0;
}

void text_print(FILE *out, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t length = text_character(text + i, n - i);
        if (length == 0 || (is_control(text + i, length) && text[i] != '\n' && text[i] != '\t'))
            fputs("\xEF\xBF\xBD", out);
        else
            fwrite(text + i, 1, length, out);
        i += length == 0 ? 1 : length;
    }
}

static void print_escaped(FILE *out, const char *text, size_t length) {
    static const char letters[] = "\n\t\r\"\\";
    const char *found = length == 1 && text[0] != '\0' ? strchr(letters, text[0]) : NULL;
    if (found != NULL) {
        fprintf(out, "\\%c", "ntr\"\\"[found - letters]);
        return;
    }
    if (length > 0 && !is_control(text, length)) {
        fwrite(text, 1, length, out);
        return;
    }
    for (size_t i = 0; i < (length == 0 ? 1 : length); i++)
        fprintf(out, "\\x%02X", (unsigned)(unsigned char)text[i]);
}

void text_print_quoted(FILE *out, const char *text, size_t n) {
    fputc('"', out);
    for (size_t i = 0; i < n;) {
        size_t length = text_character(text + i, n - i);
        print_escaped(out, text + i, length);
        i += length == 0 ? 1 : length;
    }
    fputc('"', out);
}

void text_print_line(FILE *out, const char *text, size_t max_characters) {
    size_t n = strlen(text);
    size_t printed = 0;
    for (size_t i = 0; i < n; printed++) {
        if (printed == max_characters) {
            fputs("...", out);
            return;
        }
        size_t length = text_character(text + i, n - i);
        if (length == 1 && (text[i] == '"' || text[i] == '\\'))
            fputc(text[i], out);
        else
            print_escaped(out, text + i, length);
        i += length == 0 ? 1 : length;
    }
}

void text_size(char out[TEXT_SIZE_MAX], uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        snprintf(out, TEXT_SIZE_MAX, "%u B", (unsigned)bytes);
        return;
    }
    for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1024;
    snprintf(out, TEXT_SIZE_MAX, "%.1f %s", value, units[unit]);
}

int text_fail(const char *format, ...) {
    char sentence[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    fflush(stdout);
    fputs("edgewise: ", stderr);
    text_print_line(stderr, sentence, sizeof(sentence));
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int text_fail_with(ew_status status) {
    if (status == EW_CANCELLED)
        return EXIT_INTERRUPTED;
    const char *sentence = ew_last_error();
    return text_fail("%s", sentence[0] != '\0' ? sentence : ew_status_name(status));
}

int text_finish(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return text_fail("standard output could not be written: %s", strerror(errno));
}
