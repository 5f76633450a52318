// SPDX-License-Identifier: Apache-2.0
#include "input.h"

#include "options.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct growing {
    char *bytes;
    size_t n, size;
} growing;

static bool make_room(growing *g) {
    if (g->n + 1 < g->size)
        return true;
    size_t size = g->size == 0 ? 65536 : g->size * 2;
    char *bytes = realloc(g->bytes, size);
    if (bytes == NULL)
        return false;
    g->bytes = bytes;
    g->size = size;
    return true;
}

/* NULL, or what went wrong. */
static const char *read_stream(FILE *file, growing *g) {
    for (;;) {
        if (!make_room(g))
            return "out of memory";
        size_t got = fread(g->bytes + g->n, 1, g->size - g->n - 1, file);
        g->n += got;
        if (g->n > INPUT_MAX)
            return "it is larger than 1 GiB";
        if (got == 0)
            break;
    }
    g->bytes[g->n] = '\0';
    return ferror(file) ? strerror(errno) : NULL;
}

int input_read(const char *path, char **text, size_t *n) {
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    growing g = {.n = 0};
    const char *wrong = file == NULL ? strerror(errno) : read_stream(file, &g);
    if (file != NULL && !standard)
        fclose(file);
    if (wrong != NULL) {
        free(g.bytes);
        return text_fail("'%s' could not be read: %s", standard ? "standard input" : path, wrong);
    }
    *text = g.bytes;
    *n = g.n;
    return EXIT_DONE;
}

static const char BETWEEN_IDS[] = " \t\r\n,";

static size_t count_ids(const char *text) {
    size_t count = 0;
    for (const char *at = text + strspn(text, BETWEEN_IDS); *at != '\0'; count++) {
        at += strcspn(at, BETWEEN_IDS);
        at += strspn(at, BETWEEN_IDS);
    }
    return count;
}

static int read_ids(const char *text, int32_t *ids, size_t count) {
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        char *end;
        at += strspn(at, BETWEEN_IDS);
        size_t n = strcspn(at, BETWEEN_IDS);
        errno = 0;
        unsigned long long id = strtoull(at, &end, 10);
        if (at[0] < '0' || at[0] > '9' || errno != 0 || end != at + n || id > INT32_MAX)
            return text_fail("token %zu of the list, '%.*s', is not a token id", i + 1,
                             (int)(n < 40 ? n : 40), at);
        ids[i] = (int32_t)id;
        at = end;
    }
    return EXIT_DONE;
}

int input_ids(const char *text, int32_t **ids, size_t *count) {
    size_t n = count_ids(text);
    if (n == 0)
        return text_fail("the list of token ids is empty");
    int32_t *list = calloc(n, sizeof(*list));
    if (list == NULL)
        return text_fail("out of memory for %zu token ids", n);
    int status = read_ids(text, list, n);
    if (status != EXIT_DONE) {
        free(list);
        return status;
    }
    *ids = list;
    *count = n;
    return EXIT_DONE;
}
