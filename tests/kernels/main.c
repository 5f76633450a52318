// SPDX-License-Identifier: Apache-2.0
/* kernel_check [--seed N] [--op NAME] [--isa NAME] [--list] [--bench] [--threads N] */
#include "check.h"

#include "quant/blocks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options {
    uint64_t seed;
    const char *op, *isa;
    uint32_t threads;
    bool list, bench;
};

struct entry {
    const char *name;
    void (*check)(struct check *c); /* NULL: the next one, of `type` */
    void (*check_type)(struct check *c, ew__dtype type);
    ew__dtype type;
};

static const struct entry entries[] = {
#define CHECK_OP(name, result, parameters) {#name, check_##name, NULL, EW__F32},
    EW__OPS(CHECK_OP)
#undef CHECK_OP
#define CHECK_UNPACK(name, suffix) {"unpack_" #suffix, NULL, check_unpack, EW__##name},
        EW__BLOCK_MAP(CHECK_UNPACK)
#undef CHECK_UNPACK
#define CHECK_PACKED(name, tag, ...) {"mul_packed_" #tag, NULL, check_mul_packed, EW__##name},
            EW__PACKED_MAP(CHECK_PACKED)
#undef CHECK_PACKED
#define CHECK_PACKED(name, tag, ...) {"mul_packed_" #tag, NULL, check_mul_packed_float, EW__##name},
                EW__PACKED_FLOAT_MAP(CHECK_PACKED)
#undef CHECK_PACKED
#define CHECK_SPLIT(name, tag, low)                                                                \
    {"mul_split_" #tag, NULL, check_mul_split, EW__##name},                                        \
        {"screen_split_" #tag, NULL, check_screen_split, EW__##name},
                    EW__SPLIT_MAP(CHECK_SPLIT)
#undef CHECK_SPLIT
};
#define ENTRIES (sizeof entries / sizeof *entries)

static bool wanted(const char *filter, const char *name) {
    return filter == NULL || strcmp(filter, name) == 0;
}

/* The bytes of the names mix into the seed, so that an op alone repeats what it did among all. */
static uint64_t seed_for(uint64_t seed, const char *isa, const char *op) {
    for (const char *p = isa; *p; p++)
        seed = (seed ^ (uint8_t)*p) * 0x100000001b3u;
    for (const char *p = op; *p; p++)
        seed = (seed ^ (uint8_t)*p) * 0x100000001b3u;
    return seed;
}

static size_t run_entry(struct check *c, const struct entry *entry, uint64_t seed) {
    c->op = entry->name;
    c->rng = seed_for(seed, c->k->isa, entry->name);
    c->cases = c->failures = 0;
    if (entry->check != NULL)
        entry->check(c);
    else
        entry->check_type(c, entry->type);
    if (c->cases == 0) {
        printf("FAIL %s/%s: no case ran\n", c->k->isa, c->op);
        c->failures++;
    }
    if (c->failures > 0)
        printf("     %s/%s: %zu failures in %zu cases\n", c->k->isa, c->op, c->failures, c->cases);
    return c->failures;
}

/* Products of packed weights exist where a set has them. */
static bool has_kernel(const struct ew__kernels *k, const struct entry *entry) {
    if (entry->check_type == check_mul_split || entry->check_type == check_screen_split)
        return k->mul_split[entry->type] != NULL && k->screen_split[entry->type] != NULL;
    if (entry->check_type == check_mul_packed_float)
        return k->mul_packed_float[entry->type] != NULL;
    return entry->check_type != check_mul_packed || k->mul_packed[entry->type] != NULL;
}

/* Returns the number of failures; adds to *cases. */
static size_t run_set(struct check *c, const struct options *options, size_t *cases) {
    size_t failures = 0, ops = 0, set_cases = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (!wanted(options->op, entries[i].name) || !has_kernel(c->k, &entries[i]))
            continue;
        failures += run_entry(c, &entries[i], options->seed);
        set_cases += c->cases;
        ops++;
    }
    printf("%-14s %3zu kernels, %zu cases, %zu failures\n", c->k->isa, ops, set_cases, failures);
    fflush(stdout);
    *cases += set_cases;
    return failures;
}

static const struct check *current;

static void say(const char *text) {
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(3);
}

/* A read or write beyond a guard page: which case it was. */
static void on_fault(int signal_number) {
    (void)signal_number;
    say("FAIL ");
    say(current->k->isa);
    say("/");
    say(current->op);
    say(" [");
    say(current->params);
    say("]: touched memory outside its buffers\n");
    _exit(1);
}

static int check_all(const struct options *options) {
    struct check c = {.scalar = ew__kernels_select("scalar")};
    size_t failures = 0, cases = 0;
    printf("seed %llu\n", (unsigned long long)options->seed);
    fflush(stdout);
    current = &c;
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    check_open(&c);
    for (size_t i = 0; i < ew__kernels_isa_count(); i++) {
        if (!wanted(options->isa, ew__kernels_isa_name(i)))
            continue;
        c.k = ew__kernels_select(ew__kernels_isa_name(i));
        failures += run_set(&c, options, &cases);
    }
    check_close(&c);
    if (cases == 0)
        printf("FAIL: no case ran\n");
    return failures > 0 || cases == 0;
}

static void list(void) {
    for (size_t i = 0; i < ew__kernels_isa_count(); i++)
        printf("isa %s\n", ew__kernels_isa_name(i));
    for (size_t i = 0; i < ENTRIES; i++)
        printf("op %s\n", entries[i].name);
}

static int usage(void) {
    fprintf(stderr, "usage: kernel_check [--seed N] [--op NAME] [--isa NAME] [--list] [--bench] "
                    "[--threads N]\n");
    return 2;
}

/* An option without a value; false when it is none. */
static bool read_flag(const char *name, struct options *options) {
    if (strcmp(name, "--list") == 0)
        options->list = true;
    else if (strcmp(name, "--bench") == 0)
        options->bench = true;
    else
        return false;
    return true;
}

static bool read_value(const char *name, const char *value, struct options *options) {
    if (value == NULL)
        return false;
    if (strcmp(name, "--seed") == 0)
        options->seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--op") == 0)
        options->op = value;
    else if (strcmp(name, "--isa") == 0)
        options->isa = value;
    else if (strcmp(name, "--threads") == 0)
        options->threads = (uint32_t)strtoul(value, NULL, 10);
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    struct options options = {.seed = (uint64_t)time(NULL)};
    for (int i = 1; i < argc; i++) {
        if (read_flag(argv[i], &options))
            continue;
        if (!read_value(argv[i], i + 1 < argc ? argv[i + 1] : NULL, &options))
            return usage();
        i++;
    }
    if (options.list) {
        list();
        return 0;
    }
    if (!options.bench)
        return check_all(&options);
    const struct ew__kernels *k = ew__kernels_select(options.isa);
    if (k == NULL)
        return usage();
    bench_run(k, options.threads, options.op);
    return 0;
}
