// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CELLS = 24 };
static const double FIRST_DRAWN_SECONDS = 1.0;
static const double BETWEEN_DRAWINGS = 0.1;

bool terminal_is(FILE *stream) {
    return isatty(fileno(stream)) == 1;
}

bool terminal_has_colours(FILE *stream) {
    const char *refused = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    if (refused != NULL && refused[0] != '\0')
        return false;
    return terminal_is(stream) && kind != NULL && strcmp(kind, "dumb") != 0;
}

size_t terminal_width(FILE *stream) {
    struct winsize size;
    if (terminal_is(stream) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

double clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void progress_begin(progress *bar, const char *label, const char *unit, uint64_t total) {
    *bar = (progress){.label = label, .unit = unit, .total = total, .started = clock_now()};
    bar->terminal = terminal_is(stderr);
}

static void format_rate(const progress *bar, double per_second, char *out, size_t size) {
    char bytes[TEXT_SIZE_MAX];
    if (bar->unit != NULL) {
        snprintf(out, size, "%.1f %s/s", per_second, bar->unit);
        return;
    }
    text_size(bytes, (uint64_t)per_second);
    snprintf(out, size, "%s/s", bytes);
}

static void draw(const progress *bar, double fraction, double elapsed, double per_second) {
    char cells[BAR_CELLS + 1];
    char rate[64];
    char line[256];
    size_t filled = (size_t)(fraction * BAR_CELLS);
    double left = fraction > 0 ? elapsed / fraction - elapsed : 0;
    memset(cells, ' ', BAR_CELLS);
    memset(cells, '=', filled);
    cells[BAR_CELLS] = '\0';
    format_rate(bar, per_second, rate, sizeof(rate));
    snprintf(line, sizeof(line), "%s [%s] %3.0f%%  %s  %.0f s left", bar->label, cells,
             100 * fraction, rate, left);
    size_t width = terminal_width(stderr); /* a full line would wrap and could not be removed */
    fprintf(stderr, "\r\033[K%.*s", (int)(width > 1 ? width - 1 : 0), line);
    fflush(stderr);
}

void progress_at(progress *bar, uint64_t done) {
    if (!bar->terminal || bar->total == 0)
        return;
    double now = clock_now();
    double elapsed = now - bar->started;
    if (elapsed < FIRST_DRAWN_SECONDS || now - bar->drawn < BETWEEN_DRAWINGS)
        return;
    double fraction = (double)done / (double)bar->total;
    bar->drawn = now;
    bar->shown = true;
    draw(bar, fraction > 1 ? 1 : fraction, elapsed, (double)done / elapsed);
}

void progress_end(progress *bar) {
    if (bar->shown)
        fprintf(stderr, "\r\033[K");
    bar->shown = false;
}
