// SPDX-License-Identifier: Apache-2.0
/* The two-stage head against the plain one, on heads and states made to be difficult. */
#include "model/head.h"

#include "base/mem.h"
#include "model/pack.h"
#include "quant/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { H = 512, V = 4103, usable = 4001 };

struct fixture {
    struct ew__config config;
    struct ew__model model;
    struct ew__pool *pool;
    struct ew__workspace ws;
    struct ew__arena arena; /* of what the workspace would hold */
    uint8_t *rows, *packed;
    float *plain, *best;
    float hidden[H];
    uint64_t random;
};

static uint32_t draw(struct fixture *f) {
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(f->random >> 33);
}

/* Roughly normal: twelve uniform numbers. */
static float draw_normal(struct fixture *f) {
    float sum = -6;
    for (unsigned i = 0; i < 12; i++)
        sum += (float)draw(f) * 0x1p-31f;
    return sum;
}

static uint8_t *row_of(struct fixture *f, size_t row) {
    return f->rows + row * f->model.head.row_bytes;
}

/* d of every block of a row. */
static void set_scale(struct fixture *f, size_t row, uint16_t half) {
    const struct ew__matrix *head = &f->model.head;
    size_t block =
        head->type == EW__Q6_K ? sizeof(struct ew__block_q6_k) : sizeof(struct ew__block_q8_0);
    size_t at = head->type == EW__Q6_K ? offsetof(struct ew__block_q6_k, d)
                                       : offsetof(struct ew__block_q8_0, d);
    for (size_t i = 0; i < head->row_bytes; i += block)
        memcpy(row_of(f, row) + i + at, &half, 2);
}

static void take_memory(struct fixture *f) {
    size_t q = H / 32 * sizeof(float);
    f->ws.q.q = ew__arena_alloc(&f->arena, H);
    f->ws.q.d = ew__arena_alloc(&f->arena, q);
    f->ws.q.sum = ew__arena_alloc(&f->arena, 2 * q);
    f->ws.q.dsum = ew__arena_alloc(&f->arena, q);
    f->ws.q.isum = ew__arena_alloc(&f->arena, q);
    f->plain = ew__arena_alloc(&f->arena, V * sizeof(float));
    f->best = ew__arena_alloc(&f->arena, V * sizeof(float));
    f->rows = ew__arena_alloc(&f->arena, V * f->model.head.row_bytes);
    f->packed = ew__arena_alloc(&f->arena, ew__pack_bytes(&f->model.head));
    assert_non_null(f->packed);
    f->model.head.data = f->rows;
    f->model.head.packed = f->packed;
}

/* A head of random weights; not yet packed. False where this machine has no kernels for planes. */
static bool open_head(struct fixture *f, ew__dtype type, const char *isa) {
    *f = (struct fixture){.random = 1 + (uint64_t)type};
    f->model.kernels = ew__kernels_select(isa);
    if (f->model.kernels == NULL || f->model.kernels->mul_split[type] == NULL)
        return false;
    f->config.n_embd = H;
    f->config.n_vocab = V;
    f->model.config = &f->config;
    f->model.head =
        (struct ew__matrix){.type = type,
                            .rows = V,
                            .n = H,
                            .split = true,
                            .row_bytes = type == EW__Q6_K ? H / 256 * sizeof(struct ew__block_q6_k)
                                                          : H / 32 * sizeof(struct ew__block_q8_0)};
    take_memory(f);
    for (size_t i = 0; i < V * f->model.head.row_bytes; i++)
        f->rows[i] = (uint8_t)draw(f);
    for (size_t row = 0; row < V; row++)
        set_scale(f, row, 0x1400); // 2^-10
    size_t scratch = ew__matmul_scratch_bytes(H);
    assert_int_equal(ew__pool_new(2, scratch, &f->pool), EW_OK);
    f->ws.model = &f->model;
    f->ws.pool = f->pool;
    assert_int_equal(ew__head_screen_init(&f->ws.screen, &f->model.head, &f->ws.arena), EW_OK);
    return true;
}

static void pack(struct fixture *f) {
    ew__pack_matrix(f->pool, &f->model.head, f->packed);
}

static void close_head(struct fixture *f) {
    ew__pool_free(f->pool);
    ew__arena_release(&f->ws.arena);
    ew__arena_release(&f->arena);
}

/* How many of the first n come before value `at` in the sampler's order, and are not NaN. */
static size_t rank_of(const float *logits, size_t n, size_t at) {
    size_t before = 0;
    for (size_t i = 0; i < n; i++)
        before += logits[i] > logits[at] || (logits[i] == logits[at] && i < at);
    return before;
}

static int falling(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The n-th largest of the usable plain logits; -infinity when fewer are numbers. */
static float nth_largest(const struct fixture *f, size_t n) {
    float sorted[usable];
    size_t count = 0;
    for (size_t i = 0; i < usable; i++)
        if (!isnan(f->plain[i]))
            sorted[count++] = f->plain[i];
    qsort(sorted, count, sizeof *sorted, falling);
    return n <= count ? sorted[n - 1] : -INFINITY;
}

/* Every logit has the plain head's bits or is left out; those left out are below the n_best
 * largest, also after a division by a temperature. */
static void compare(struct fixture *f, size_t n_best) {
    ew__head(&f->ws, f->hidden, 1, f->plain);
    memset(f->best, 0x5a, V * sizeof *f->best);
    f->ws.screen.rest = 0;
    bool all = ew__head_best(&f->ws, f->hidden, usable, n_best, f->best);
    float least = nth_largest(f, n_best);
    for (size_t i = 0; i < usable; i++) {
        if (ew__bits_of_float(f->best[i]) == ew__bits_of_float(f->plain[i]))
            continue;
        assert_false(all);
        assert_true(f->best[i] == -INFINITY);
        assert_true(f->plain[i] / 0.7f < least / 0.7f);
    }
    for (size_t i = 0; i < usable; i++)
        if (f->plain[i] >= least && n_best <= 2)
            assert_int_equal(rank_of(f->plain, usable, i), rank_of(f->best, usable, i));
}

static void compare_all(struct fixture *f) {
    static const size_t counts[] = {1, 2, 21, EW__HEAD_BEST_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        compare(f, counts[i]);
}

static void draw_state(struct fixture *f, float spread) {
    for (size_t k = 0; k < H; k++)
        f->hidden[k] = draw_normal(f) * expf(spread * draw_normal(f));
}

static const ew__dtype types[] = {EW__Q6_K, EW__Q8_0};

/* Calls a check with a fresh head of each type on each instruction set that has kernels. */
static void each_head(void (*check)(struct fixture *f)) {
    for (size_t i = 0; i < ew__kernels_isa_count(); i++) {
        for (size_t k = 0; k < 2; k++) {
            struct fixture f;
            if (!open_head(&f, types[k], ew__kernels_isa_name(i)))
                continue;
            check(&f);
            close_head(&f);
        }
    }
}

static void random_states_of(struct fixture *f) {
    pack(f);
    for (size_t i = 0; i < 12; i++) {
        draw_state(f, (float)(i % 3) * 0.5f);
        compare_all(f);
    }
    assert_true(f->ws.screen.n_screened >= 24); // of 48
}

static void random_states(void **state) {
    (void)state;
    each_head(random_states_of);
}

/* The best row stands in several places, also where no token is; one row is barely better. */
static void ties_of(struct fixture *f) {
    pack(f);
    draw_state(f, 0.5f);
    ew__head(&f->ws, f->hidden, 1, f->plain);
    size_t top = f->model.kernels->argmax(f->plain, usable);
    static const size_t places[] = {3, 17, 18, 2000, usable - 1, usable + 5};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (places[i] != top)
            memcpy(row_of(f, places[i]), row_of(f, top), f->model.head.row_bytes);
    pack(f);
    compare_all(f);
    row_of(f, 2000)[1] ^= 1;
    row_of(f, 2000)[40] ^= 3;
    set_scale(f, V - 1, 0x3c00); // an unused row, a thousand times larger than the others
    pack(f);
    compare_all(f);
    assert_true(f->ws.screen.n_screened > 0);
}

/* Weight k of a row in the file: its byte, the place of its lowest bit there, and whether a larger
 * value makes the logit larger. */
struct weight {
    uint8_t *byte;
    unsigned at;
    bool raises;
};

static struct weight weight_of(struct fixture *f, size_t row, size_t k) {
    bool positive = f->hidden[k] > 0;
    uint8_t *bytes = row_of(f, row);
    if (f->model.head.type == EW__Q8_0) {
        size_t at = k / 32 * sizeof(struct ew__block_q8_0) + offsetof(struct ew__block_q8_0, qs);
        return (struct weight){bytes + at + k % 32, 0, positive};
    }
    struct ew__block_q6_k *block = (struct ew__block_q6_k *)(void *)bytes + k / 256;
    size_t b = k % 128 / 32;
    return (struct weight){&block->ql[k % 256 / 128 * 64 + b % 2 * 32 + k % 32], b < 2 ? 0 : 4,
                           positive == (block->scales[k % 256 / 16] > 0)};
}

/* Sets what the upper plane lacks of a row so that its logit becomes as large as can be, or as
 * small. */
static void set_low_bits(struct fixture *f, size_t row, bool large) {
    unsigned mask = f->model.head.type == EW__Q6_K ? 1 : 7;
    for (size_t k = 0; k < H; k++) {
        struct weight w = weight_of(f, row, k);
        *w.byte = (uint8_t)(*w.byte & ~(mask << w.at));
        if (w.raises == large)
            *w.byte = (uint8_t)(*w.byte | mask << w.at);
    }
}

/* Moves `share` of 40 weights of a row one step of the upper plane towards a smaller logit, where
 * that needs no carry. */
static void lower(struct fixture *f, size_t row, size_t share) {
    unsigned mask = f->model.head.type == EW__Q6_K ? 15 : 127, step = mask == 15 ? 2 : 8;
    for (size_t k = 0; k < H; k++) {
        struct weight w = weight_of(f, row, k);
        unsigned value = *w.byte >> w.at & mask;
        if (k % 40 >= share || value < step || value > mask - step)
            continue;
        value = w.raises ? value - step : value + step;
        *w.byte = (uint8_t)((*w.byte & ~(mask << w.at)) | value << w.at);
    }
}

/* The worst that the upper plane can hide: a row that seems best and is less by the whole bound,
 * and one that seems less and is more by the whole bound. */
static void worst_rows_of(struct fixture *f) {
    const size_t seems = 100, is = 3000;
    draw_state(f, 0);
    pack(f);
    ew__head(&f->ws, f->hidden, 1, f->plain);
    size_t top = f->model.kernels->argmax(f->plain, usable);
    memmove(row_of(f, seems), row_of(f, top), f->model.head.row_bytes);
    memmove(row_of(f, is), row_of(f, top), f->model.head.row_bytes);
    set_scale(f, seems, 0x2400); // sixteen times the others
    set_scale(f, is, 0x2400);
    set_low_bits(f, seems, false);
    set_low_bits(f, is, true);
    lower(f, is, f->model.head.type == EW__Q6_K ? 17 : 26);
    pack(f);
    compare_all(f);
    assert_int_equal(f->model.kernels->argmax(f->plain, usable), is);
    assert_true(f->ws.screen.n_screened > 0);
}

static void worst_rows(void **state) {
    (void)state;
    each_head(worst_rows_of);
}

static void ties(void **state) {
    (void)state;
    each_head(ties_of);
}

static void equal_rows_of(struct fixture *f) {
    for (size_t row = 1; row < V; row++)
        memcpy(row_of(f, row), row_of(f, 0), f->model.head.row_bytes);
    pack(f);
    draw_state(f, 0);
    compare_all(f);
    assert_int_equal(f->ws.screen.n_screened, 0); // nothing can be left out
    memset(f->hidden, 0, sizeof f->hidden);
    compare_all(f);
}

static void equal_rows(void **state) {
    (void)state;
    each_head(equal_rows_of);
}

static void extreme_states_of(struct fixture *f) {
    static const float scales[] = {1e-44f, 1e-30f, 1e25f, 3e37f};
    pack(f);
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        draw_state(f, 0.5f);
        for (size_t k = 0; k < H; k++)
            f->hidden[k] *= scales[i];
        compare_all(f);
    }
    static const float wrong[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        draw_state(f, 0);
        f->hidden[100 + i] = wrong[i];
        compare_all(f);
    }
}

static void extreme_states(void **state) {
    (void)state;
    each_head(extreme_states_of);
}

/* Rows that are NaN or infinite, and a head of nothing else. */
static void broken_rows_of(struct fixture *f) {
    set_scale(f, 0, 0x7e00);
    set_scale(f, 33, 0x7c00);
    set_scale(f, 3000, 0xfc00);
    pack(f);
    for (size_t i = 0; i < 3; i++) {
        draw_state(f, 0);
        compare_all(f);
    }
    for (size_t row = 0; row < V; row++)
        set_scale(f, row, 0x7e00);
    pack(f);
    compare_all(f);
    assert_true(isnan(f->best[5]));
}

static void broken_rows(void **state) {
    (void)state;
    each_head(broken_rows_of);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_states),  cmocka_unit_test(ties),
        cmocka_unit_test(equal_rows),     cmocka_unit_test(worst_rows),
        cmocka_unit_test(extreme_states), cmocka_unit_test(broken_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
