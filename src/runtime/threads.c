// SPDX-License-Identifier: Apache-2.0
#include "runtime/threads.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "kernels/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES  ((size_t)128 << 20) /* more than the caches of most machines hold */
#define READ_PIECE  ((size_t)1 << 20)
#define PASSES      5u
#define TILE        8u    /* rows and tokens of the products */
#define TILE_WIDTH  1024u /* their length: weights and activations in the first cache */
#define TILE_ROUNDS 16u   /* products of a piece: some 100 us */
/* Fewer threads are taken when they reach this share of the best rate: they leave the machine to
 * others and stay cooler. */
#define GOOD_ENOUGH 0.97

enum { FILE_MAX = 4096 };

/* ---- what was measured before ---- */

static void print_facts(const struct ew__cores *cores, const struct ew__kernels *kernels,
                        char facts[128]) {
    snprintf(facts, 128, "edgewise threads 1 %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32,
             kernels->isa, cores->logical, cores->physical, cores->performance, cores->quota);
}

static ew_status file_path(const char *dir, struct ew__buf *path) {
    ew__buf_init(path, EW__PATH_BYTES_MAX);
    return ew__buf_add_format(path, "%s/threads", dir);
}

/* The file holds the facts, a line break, and the two counts. */
static bool read_counts(const char *dir, const char *facts, struct ew__thread_counts *out) {
    struct ew__buf path, text;
    uint32_t batch = 0, decode = 0;
    size_t n = strlen(facts);
    bool known = false;
    if (file_path(dir, &path) == EW_OK && ew__file_read(path.bytes, FILE_MAX, &text) == EW_OK) {
        known = ew__buf_add(&text, "", 1) == EW_OK && text.n > n + 1 &&
                memcmp(text.bytes, facts, n) == 0 && text.bytes[n] == '\n' &&
                sscanf(text.bytes + n + 1, "%" SCNu32 " %" SCNu32, &batch, &decode) == 2 &&
                batch >= 1 && batch <= EW__THREADS_MAX && decode >= 1 && decode <= EW__THREADS_MAX;
        ew__buf_release(&text);
    }
    ew__buf_release(&path);
    if (known)
        *out = (struct ew__thread_counts){batch, decode, true};
    return known;
}

static void keep_counts(const char *dir, const char *facts,
                        const struct ew__thread_counts *counts) {
    struct ew__buf path;
    struct ew__file_out file;
    char text[192];
    int n = snprintf(text, sizeof text, "%s\n%" PRIu32 " %" PRIu32 "\n", facts, counts->batch,
                     counts->decode);
    if (file_path(dir, &path) == EW_OK && ew__make_private_dirs(dir) == EW_OK &&
        ew__file_out_open(&file, path.bytes) == EW_OK &&
        (ew__file_out_write(&file, text, (size_t)n) != EW_OK ||
         ew__file_out_commit(&file) != EW_OK))
        ew__file_out_abort(&file);
    ew__buf_release(&path);
}

/* ---- measuring ---- */

struct trial {
    const struct ew__kernels *kernels;
    struct ew__pool *pool;
    unsigned char *memory; /* READ_BYTES; its start serves the products */
};

static void read_pieces(void *context, size_t begin, size_t end, void *scratch) {
    const struct trial *trial = context;
    const uint64_t *words = (const uint64_t *)(const void *)(trial->memory + begin * READ_PIECE);
    uint64_t sums[4] = {0};
    for (size_t i = 0; i < (end - begin) * READ_PIECE / 8; i += 8)
        for (size_t k = 0; k < 4; k++)
            sums[k] ^= words[i + k] ^ words[i + 4 + k];
    *(volatile uint64_t *)scratch = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

static void multiply(void *context, size_t begin, size_t end, void *scratch) {
    const struct trial *trial = context;
    const float *w = (const float *)(const void *)trial->memory, *x = w + TILE * TILE_WIDTH;
    for (size_t i = begin * TILE_ROUNDS; i < end * TILE_ROUNDS; i++)
        trial->kernels->mul_f32(w, TILE_WIDTH, TILE, x, TILE_WIDTH, TILE, scratch, TILE,
                                TILE_WIDTH);
}

static uint64_t best_time(struct trial *trial, size_t pieces, ew__task_fn *task) {
    uint64_t best = UINT64_MAX;
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        uint64_t start = ew__now_ns();
        ew__pool_run(trial->pool, pieces, 1, task, trial);
        uint64_t spent = ew__now_ns() - start;
        best = spent < best ? spent : best;
    }
    return best;
}

/* The smallest of the rising counts that is good enough. */
static uint32_t best_count(struct trial *trial, const uint32_t *counts, uint32_t n, size_t pieces,
                           ew__task_fn *task) {
    uint64_t times[EW__CORES_CHOICES], best = UINT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        ew__pool_use(trial->pool, counts[i]);
        times[i] = best_time(trial, pieces, task);
        best = times[i] < best ? times[i] : best;
    }
    for (uint32_t i = 0; i < n; i++)
        if ((double)best >= GOOD_ENOUGH * (double)times[i])
            return counts[i];
    return counts[n - 1];
}

static bool measure(const struct ew__kernels *kernels, const uint32_t *counts, uint32_t n,
                    struct ew__thread_counts *out) {
    struct trial trial = {.kernels = kernels, .memory = ew__alloc_aligned(READ_BYTES)};
    bool ready = trial.memory != NULL &&
                 ew__pool_new(counts[n - 1], TILE * TILE * sizeof(float), &trial.pool) == EW_OK;
    if (ready) {
        memset(trial.memory, 0, READ_BYTES);
        size_t products = (size_t)counts[n - 1] * 16;
        out->batch = best_count(&trial, counts, n, products, multiply);
        out->decode = best_count(&trial, counts, n, READ_BYTES / READ_PIECE, read_pieces);
        out->measured = true;
        ew__pool_free(trial.pool);
    }
    ew__free_aligned(trial.memory);
    return ready;
}

/* ---- the whole ---- */

static bool has_choice(const struct ew__cores *cores) {
    uint32_t counts[EW__CORES_CHOICES];
    return ew__cores_choices(cores, counts) > 1;
}

void ew__threads_known(const char *dir, const struct ew__cores *cores,
                       const struct ew__kernels *kernels, struct ew__thread_counts *out) {
    char facts[128];
    uint32_t threads = ew__cores_threads(cores);
    print_facts(cores, kernels, facts);
    if (dir == NULL || !has_choice(cores) || !read_counts(dir, facts, out))
        *out = (struct ew__thread_counts){threads, threads, false};
}

void ew__threads_choose(const char *dir, const struct ew__cores *cores,
                        const struct ew__kernels *kernels, struct ew__thread_counts *out) {
    char facts[128];
    uint32_t counts[EW__CORES_CHOICES], n = ew__cores_choices(cores, counts);
    ew__threads_known(dir, cores, kernels, out);
    if (n < 2 || out->measured || !measure(kernels, counts, n, out) || dir == NULL)
        return;
    print_facts(cores, kernels, facts);
    keep_counts(dir, facts, out);
}
