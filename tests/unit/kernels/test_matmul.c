// SPDX-License-Identifier: Apache-2.0
/* The driver above the kernels: every weight type through every path, independent of threads and
 * batch, against products in double precision with the reference decoder's weights. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/matmul.h"
#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS   75u /* several row blocks and a short one */
#define TOKENS 37u

struct fixture {
    const struct ew__kernels *kernels;
    struct ew__pool *pool;
    struct ew__matrix w;
    struct ew__acts acts;
    uint8_t *data, *packed;
    float *x, *y, *decoded;
    size_t n;
};

/* What the product is made of. */
enum path { FLOATS, BYTES, TWO_TERMS };

static bool has_byte_form(ew__dtype type) {
#define IS_TYPE(name, tag)                                                                         \
    if (type == EW__##name)                                                                        \
        return true;
    EW__BLOCK_MAP(IS_TYPE)
#undef IS_TYPE
    return false;
}

static float number(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1.0f;
}

/* Random bytes, then decoded; a block with an infinite or huge scale is zeroed, so that the sums
 * mean something. */
static void fill_weights(struct fixture *f, uint32_t *seed) {
    const struct ew__dtype_info *info = ew__dtype_info(f->w.type);
    size_t blocks = ROWS * f->n / info->block_elements;
    float values[256];
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *block = f->data + 1 + b * info->block_bytes; /* at an odd address */
        for (size_t i = 0; i < info->block_bytes; i++)
            block[i] = (uint8_t)(number(seed) * 127);
        assert_true(ew__dequantize_row(f->w.type, block, values, info->block_elements));
        for (size_t i = 0; i < info->block_elements; i++) {
            if (!(fabsf(values[i]) < 1e4f)) {
                memset(block, 0, info->block_bytes);
                break;
            }
        }
    }
    for (size_t i = 0; i < ROWS; i++)
        assert_true(ew__dequantize_row(f->w.type, f->data + 1 + i * f->w.row_bytes,
                                       f->decoded + i * f->n, f->n));
}

static void open_qact(struct ew__qact *q, size_t n) {
    size_t n_pad = ew__round_up(n, 64);
    q->q = ew__alloc_aligned(2 * TOKENS * n_pad); /* two terms */
    q->d = ew__alloc_aligned(2 * TOKENS * n_pad / 32 * sizeof(float));
    q->sum = ew__alloc_aligned(2 * TOKENS * n_pad / 16 * sizeof(float));
    q->isum = ew__alloc_aligned(2 * TOKENS * n_pad / 16 * sizeof(int16_t));
    q->dsum = ew__alloc_aligned(2 * TOKENS * n_pad / 32 * sizeof(float));
}

static void close_qact(struct ew__qact *q) {
    ew__free_aligned(q->q);
    ew__free_aligned(q->d);
    ew__free_aligned(q->sum);
    ew__free_aligned(q->isum);
    ew__free_aligned(q->dsum);
}

static void open_fixture(struct fixture *f, ew__dtype type, size_t n, uint32_t threads) {
    uint32_t seed = 1 + (uint32_t)type;
    uint64_t row_bytes = 0;
    assert_true(ew__dtype_row_bytes(type, n, &row_bytes));
    memset(f, 0, sizeof *f);
    f->kernels = ew__kernels_select(NULL);
    f->n = n;
    f->data = ew__alloc(ROWS * row_bytes + 1);
    f->x = ew__alloc_aligned(TOKENS * n * sizeof(float));
    f->y = ew__alloc_aligned(TOKENS * ROWS * sizeof(float));
    f->decoded = ew__alloc_aligned(ROWS * n * sizeof(float));
    open_qact(&f->acts.q, n);
    f->w = (struct ew__matrix){.data = f->data + 1,
                               .type = type,
                               .rows = ROWS,
                               .n = n,
                               .row_bytes = row_bytes,
                               .decode = ew__dequantize_row};
    fill_weights(f, &seed);
    for (size_t i = 0; i < TOKENS * n; i++)
        f->x[i] = number(&seed);
    assert_int_equal(ew__pool_new(threads, ew__matmul_scratch_bytes(n), &f->pool), EW_OK);
    f->acts.x = f->x;
    f->acts.ldx = n;
    f->acts.t = TOKENS;
    if (n % 32 == 0) {
        ew__quantise_acts(f->kernels, f->pool, f->x, n, n, TOKENS, &f->acts.q);
        ew__quantise_rest(f->kernels, f->pool, f->x, n, n, TOKENS, &f->acts.q);
        f->acts.quantised = true;
    }
}

static void close_fixture(struct fixture *f) {
    ew__pool_free(f->pool);
    ew__free(f->data);
    ew__free_aligned(f->packed);
    ew__free_aligned(f->x);
    ew__free_aligned(f->y);
    ew__free_aligned(f->decoded);
    close_qact(&f->acts.q);
}

static double term(const struct ew__qact *q, size_t j, size_t k) {
    return (double)q->d[j * q->n_pad / 32 + k / 32] * q->q[j * q->n_pad + k];
}

/* Input k of token j as the path sees it. */
static double input(const struct fixture *f, enum path path, size_t j, size_t k) {
    if (path == FLOATS)
        return (double)f->x[j * f->n + k];
    return term(&f->acts.q, j, k) + (path == TWO_TERMS ? term(&f->acts.q, TOKENS + j, k) : 0);
}

/* Two int8 terms carry 15 bits: half a step of the second is 1 / (2 * 254 * 127) of the block's
 * largest value, which is at most 1 here. */
static void compare_rest(const struct fixture *f) {
    for (size_t i = 0; i < TOKENS * f->n; i++) {
        double x = (double)f->x[i], got = input(f, TWO_TERMS, i / f->n, i % f->n);
        assert_true(fabs(got - x) <= 1.0 / (2 * 254 * 127) + 0x1p-22);
    }
}

static void compare(const struct fixture *f, enum path path) {
    for (size_t j = 0; j < TOKENS; j += 3) {
        for (size_t i = 0; i < ROWS; i++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < f->n; k++) {
                double w = (double)f->decoded[i * f->n + k], v = input(f, path, j, k);
                sum += w * v;
                size += fabs(w * v);
            }
            /* s u + m: both parts can be some sixteen times larger than the value */
            double bound = 0x1p-24 * size * ((double)f->n + 8) * (path == FLOATS ? 1 : 16) + 1e-30;
            if (fabs((double)f->y[j * ROWS + i] - sum) > bound)
                fail_msg("type %s path %d token %zu row %zu: %g, expected %g",
                         ew__dtype_name(f->w.type), path, j, i, (double)f->y[j * ROWS + i], sum);
        }
    }
}

/* The same bits from one thread token by token as from many threads at once. */
static void compare_alone(struct fixture *f, bool exact) {
    struct ew__pool *one;
    float y[ROWS];
    assert_int_equal(ew__pool_new(1, ew__matmul_scratch_bytes(f->n), &one), EW_OK);
    for (size_t j = 0; j < TOKENS; j += 5) {
        struct ew__acts acts = f->acts;
        size_t n_pad = acts.q.n_pad;
        acts.x += j * f->n;
        acts.t = 1;
        struct ew__qact *q = &acts.q;
        q->q += j * n_pad;
        q->d += j * n_pad / 32;
        q->sum += j * n_pad / 16;
        q->isum += j * n_pad / 16;
        q->dsum += j * n_pad / 32;
        ew__matmul(f->kernels, one, &f->w, &acts, exact, y, ROWS);
        assert_memory_equal(y, f->y + j * ROWS, sizeof y);
    }
    ew__pool_free(one);
}

static void run_path(struct fixture *f, bool exact, enum path path) {
    f->acts.q.rest = path == TWO_TERMS ? TOKENS : 0;
    ew__matmul(f->kernels, f->pool, &f->w, &f->acts, exact, f->y, ROWS);
    compare(f, path);
    compare_alone(f, exact);
}

static void pack(struct fixture *f) {
    size_t panel_bytes = ew__packed_panel_bytes(f->w.type, f->n);
    f->packed = ew__alloc_aligned(ew__packed_bytes(f->w.type, ROWS, f->n));
    assert_non_null(f->packed);
    for (size_t row = 0; row < ROWS; row += EW__PANEL_ROWS)
        ew__pack_panel(f->w.type, f->data + 1 + row * f->w.row_bytes, f->w.row_bytes,
                       ew__min_size(EW__PANEL_ROWS, ROWS - row), f->n,
                       f->packed + row / EW__PANEL_ROWS * panel_bytes);
    f->w.packed = f->packed;
}

/* Several products in one region: the numbers of each alone. */
static void run_list(struct fixture *f) {
    float *y = ew__alloc(3 * TOKENS * ROWS * sizeof *y);
    assert_non_null(y);
    struct ew__matrix plain = f->w;
    plain.packed = NULL;
    plain.rows = 21;
    const struct ew__product list[] = {{&plain, y, 21, EW__EXACT},
                                       {&f->w, y + TOKENS * ROWS, ROWS, EW__COARSE},
                                       {&f->w, y + 2 * TOKENS * ROWS, ROWS, EW__FINE}};
    f->acts.q.rest = TOKENS;
    ew__matmul_list(f->kernels, f->pool, list, 3, &f->acts);
    ew__matmul(f->kernels, f->pool, &plain, &f->acts, true, f->y, 21);
    assert_memory_equal(f->y, y, TOKENS * 21 * sizeof *y);
    ew__matmul(f->kernels, f->pool, &f->w, &f->acts, false, f->y, ROWS);
    assert_memory_equal(f->y, y + 2 * TOKENS * ROWS, TOKENS * ROWS * sizeof *y);
    f->acts.q.rest = 0;
    ew__matmul(f->kernels, f->pool, &f->w, &f->acts, false, f->y, ROWS);
    assert_memory_equal(f->y, y + TOKENS * ROWS, TOKENS * ROWS * sizeof *y);
    ew__free(y);
}

static void run_packed(struct fixture *f) {
    pack(f);
    if (!ew__matmul_wants_q8(f->kernels, &f->w)) { /* float weights meet f32 activations */
        assert_false(has_byte_form(f->w.type));
        run_path(f, true, FLOATS);
        run_path(f, false, FLOATS);
        return;
    }
    run_path(f, true, FLOATS);
    run_path(f, false, BYTES);
    run_path(f, false, TWO_TERMS);
    run_list(f);
}

static void run_type(ew__dtype type, size_t n) {
    struct fixture f;
    open_fixture(&f, type, n, 3);
    bool wants = ew__matmul_wants_q8(f.kernels, &f.w);
    assert_int_equal(wants, has_byte_form(type) && n % 32 == 0);
    run_path(&f, true, FLOATS);
    run_path(&f, false, wants ? BYTES : FLOATS);
    if (wants) {
        compare_rest(&f);
        run_path(&f, false, TWO_TERMS);
        run_list(&f);
    }
    if (ew__matmul_can_pack(f.kernels, &f.w))
        run_packed(&f);
    close_fixture(&f);
}

static void every_type_multiplies(void **state) {
    (void)state;
    for (uint32_t type = 0; type < EW__DTYPE_COUNT; type++) {
        const struct ew__dtype_info *info = ew__dtype_info(type);
        if (info->name != NULL && ew__dtype_decodable((ew__dtype)type))
            run_type((ew__dtype)type, info->block_elements == 256 ? 512 : 96);
    }
}

static void float_rows_of_any_length_multiply(void **state) {
    (void)state;
    static const ew__dtype types[] = {EW__F32, EW__F16, EW__BF16};
    for (size_t i = 0; i < 3; i++) {
        for (size_t n = 1; n < 40; n += 6)
            run_type(types[i], n);
    }
}

static void exact_mode_without_a_decoder_shows(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, EW__Q4_0, 64, 2);
    f.w.decode = NULL;
    ew__matmul(f.kernels, f.pool, &f.w, &f.acts, true, f.y, ROWS);
    assert_true(isnan(f.y[0]) && isnan(f.y[TOKENS * ROWS - 1]));
    close_fixture(&f);
}

static void sets_are_chosen_by_name(void **state) {
    (void)state;
    size_t count = ew__kernels_isa_count();
    assert_true(count >= 1);
    assert_string_equal(ew__kernels_isa_name(0), "scalar");
    assert_null(ew__kernels_isa_name(count));
    for (size_t i = 0; i < count; i++) {
        const char *name = ew__kernels_isa_name(i);
        assert_string_equal(ew__kernels_select(name)->isa, name);
    }
    assert_null(ew__kernels_select("z80"));
    assert_int_equal(unsetenv("EDGEWISE_ISA"), 0);
    assert_string_equal(ew__kernels_select(NULL)->isa, ew__kernels_isa_name(count - 1));
    assert_int_equal(setenv("EDGEWISE_ISA", "scalar", 1), 0);
    assert_string_equal(ew__kernels_select("")->isa, "scalar");
    assert_int_equal(setenv("EDGEWISE_ISA", "z80", 1), 0);
    assert_null(ew__kernels_select(NULL));
    assert_int_equal(unsetenv("EDGEWISE_ISA"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_multiplies),
        cmocka_unit_test(float_rows_of_any_length_multiply),
        cmocka_unit_test(exact_mode_without_a_decoder_shows),
        cmocka_unit_test(sets_are_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
