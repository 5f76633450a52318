// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_BYTES ((size_t)2 << 20)
#define BAND         64u
#define PATTERN      0xA5
#define SHOWN        5u /* failures of one op that are printed in full */

static void region_open(struct region *region, size_t page) {
    uint8_t *all =
        mmap(NULL, REGION_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, REGION_BYTES, PROT_READ | PROT_WRITE) != 0) {
        perror("kernel_check: guard pages");
        exit(2);
    }
    region->base = all + page;
    region->size = REGION_BYTES;
}

void check_open(struct check *c) {
    for (size_t i = 0; i < CHECK_REGIONS; i++)
        region_open(&c->regions[i], (size_t)sysconf(_SC_PAGESIZE));
}

void check_close(struct check *c) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < CHECK_REGIONS; i++)
        munmap(c->regions[i].base - page, REGION_BYTES + 2 * page);
}

void check_begin(struct check *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(c->params, sizeof c->params, format, args);
    va_end(args);
    c->used = 0;
    c->cases++;
}

void check_fail(struct check *c, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->failures++ < SHOWN)
        printf("FAIL %s/%s [%s]: %s\n", c->k->isa, c->op, c->params, text);
}

void *check_buffer(struct check *c, size_t bytes, size_t align) {
    if (c->used == CHECK_REGIONS || bytes + 4 * BAND > REGION_BYTES) {
        fprintf(stderr, "kernel_check: case too large: %s [%s]\n", c->op, c->params);
        exit(2);
    }
    struct region *region = &c->regions[c->used++];
    size_t at_end = (region->size - bytes) / align * align; /* a gap only if bytes is no multiple */
    size_t at_odd = BAND + align * (1 + 2 * check_below(c, 8 / (align < 8 ? align : 8)));
    region->start = region->base + (check_below(c, 2) ? at_end : at_odd);
    region->length = bytes;
    uint8_t *from = region->start - BAND, *to = region->start + bytes + BAND;
    uint8_t *limit = region->base + region->size;
    memset(from, PATTERN, (size_t)((to < limit ? to : limit) - from));
    return region->start;
}

float *check_floats(struct check *c, size_t n) {
    return check_buffer(c, n * sizeof(float), sizeof(float));
}

static bool is_pattern(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != PATTERN)
            return false;
    }
    return true;
}

bool check_untouched(const float *p, size_t n) {
    return is_pattern((const uint8_t *)p, n * sizeof *p);
}

void check_end(struct check *c) {
    for (size_t i = 0; i < c->used; i++) {
        const struct region *region = &c->regions[i];
        const uint8_t *end = region->start + region->length;
        size_t after = (size_t)(region->base + region->size - end);
        if (!is_pattern(region->start - BAND, BAND))
            check_fail(c, "wrote before buffer %zu", i);
        if (!is_pattern(end, after < BAND ? after : BAND))
            check_fail(c, "wrote behind buffer %zu", i);
    }
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t check_random(struct check *c) {
    uint64_t z = c->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t check_below(struct check *c, size_t n) {
    return (size_t)(check_random(c) % n);
}

double check_uniform(struct check *c, double low, double high) {
    return low + (high - low) * (double)(check_random(c) >> 11) * 0x1p-53;
}

/* The sum of twelve uniform numbers: near enough, and bounded by 6. */
double check_normal(struct check *c) {
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += check_uniform(c, 0, 1);
    return sum;
}

enum distribution check_distribution(struct check *c) {
    /* every second case is normal */
    return check_below(c, 2) ? NORMAL : (enum distribution)check_below(c, DISTRIBUTIONS);
}

const char *check_distribution_name(enum distribution d) {
    static const char *const names[DISTRIBUTIONS] = {"normal",      "zeros",   "tiny", "huge",
                                                     "alternating", "one-hot", "wide"};
    return names[d];
}

static double draw(struct check *c, enum distribution d, size_t i) {
    switch (d) {
    case ZEROS:
    case ONE_HOT:
        return 0;
    case TINY_VALUES:
        return check_uniform(c, -1e-39, 1e-39);
    case HUGE_VALUES:
        return check_normal(c) * 1e15;
    case ALTERNATING:
        return i % 2 ? -0.75 : 0.75;
    case WIDE:
        return check_normal(c) * pow(10, check_uniform(c, -6, 6));
    case NORMAL:
    case DISTRIBUTIONS:
        break;
    }
    return check_normal(c);
}

void check_fill(struct check *c, enum distribution d, float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = (float)draw(c, d, i);
    if (d == ONE_HOT && n > 0)
        x[check_below(c, n)] = 3.5f;
}

bool check_near(struct check *c, const char *what, size_t i, double got, double truth,
                double bound) {
    if (fabs(got - truth) <= bound)
        return true;
    check_fail(c, "%s[%zu] = %.9g, expected %.9g, off by %.3g, allowed %.3g", what, i, got, truth,
               fabs(got - truth), bound);
    return false;
}

bool check_bits(struct check *c, const char *what, const void *got, const void *expected,
                size_t bytes) {
    const uint8_t *a = got, *b = expected;
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != b[i]) {
            check_fail(c, "%s differs at byte %zu of %zu: %02x, expected %02x", what, i, bytes,
                       a[i], b[i]);
            return false;
        }
    }
    return true;
}

size_t check_length(struct check *c, size_t i) {
    static const size_t wide[] = {255, 256, 257, 1024, 2048, 2560};
    if (i < 67)
        return i + 1;
    if (i < 73)
        return wide[i - 67];
    return 68 + check_below(c, 3000);
}

size_t check_count(size_t i) {
    static const size_t counts[CHECK_COUNTS] = {1, 2, 3, 4, 5, 7, 8, 16, 17, 33};
    return counts[i];
}

double check_half(uint16_t bits) {
    double sign = bits & 0x8000 ? -1 : 1;
    int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}
