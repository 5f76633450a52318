// SPDX-License-Identifier: Apache-2.0
/* Floats -> blocks: the plain forms byte for byte, the searched ones against the errors of ggml's
 * routines on the same numbers, and both on numbers that no model should have. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "quant/blocks.h"
#include "quant/encode.h"
#include "quant/quant.h"
#include "support/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, COLUMNS = 1024, N = ROWS * COLUMNS };
static float values[N], decoded[N], importance[COLUMNS];
static uint8_t encoded[4 * N], other[4 * N];

#define TYPE_OF(name, tag) EW__##name,
static const ew__dtype searched[] = {EW__SEARCH_MAP(TYPE_OF)};
#undef TYPE_OF
enum { SEARCHED = sizeof searched / sizeof searched[0] };

static size_t row_bytes(ew__dtype type, size_t n) {
    uint64_t bytes = 0;
    assert_true(ew__dtype_row_bytes(type, n, &bytes));
    return (size_t)bytes;
}

/* Rows of the first `rows` into `out`. */
static void encode(ew__dtype type, ew__effort effort, const float *weights, size_t rows,
                   uint8_t *out) {
    for (size_t r = 0; r < rows; r++)
        assert_true(ew__encode_row(type, effort, values + r * COLUMNS, weights,
                                   out + r * row_bytes(type, COLUMNS), COLUMNS));
}

/* Sum of w (x - x')^2 over the sum of w x^2. */
static double relative_error(ew__dtype type, const float *weights, size_t rows) {
    double error = 0, power = 0;
    assert_true(ew__dequantize_row(type, encoded, decoded, rows * COLUMNS));
    for (size_t i = 0; i < rows * COLUMNS; i++) {
        double w = weights != NULL ? weights[i % COLUMNS] : 1.0, x = values[i];
        error += w * (x - decoded[i]) * (x - decoded[i]);
        power += w * x * x;
    }
    return error / power;
}

/* Two blocks of weights_fill(WEIGHTS_HEAVY, 3), as ggml's quantize_row_*_ref at d99724f, compiled
 * without contraction, writes them. */
static const struct {
    ew__dtype type;
    const char *bytes;
} plain[] = {
    {EW__Q4_0, "1fa2988a804a89a669869488b5782a898f789120485ad90b9a8786bc47aa89692a4e9b5a"},
    {EW__Q4_1, "f12105ad67747fa5755986796b674a87d4767076222091ac596bfa0cac9897cd48bb9a7a2b4fac5b"},
    {EW__Q5_0, "1f9e5af2a5472ff50093f33cd10b29105aef44f20df1911c9ffed44691b4b30525fe0c578e4403c144"
               "8b16a5"},
    {EW__Q5_1, "c01d05ada4054818bff9ef6afba21de3c6de850fa9fce0fd001c91acbffff446a3d6e50858203e8b90"
               "7735e4579f49b8"},
    {EW__Q8_0, "2b1204db7fe6eb1cf5253bfe3106ddef98fbed05ff3905e61affeefbd60e5d07ff0a9a10041d142b26"
               "efe43bf120150c1f593025c6d8548110fc0329c02102e1a2c10bd0"},
};

static void plain_forms_are_the_reference_bytes(void **state) {
    (void)state;
    weights_fill(WEIGHTS_HEAVY, 3, values, 64);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        size_t bytes = row_bytes(plain[i].type, 64);
        assert_int_equal(strlen(plain[i].bytes), 2 * bytes);
        assert_true(ew__quantize_row(plain[i].type, values, encoded, 64));
        for (size_t b = 0; b < bytes; b++) {
            const char digits[3] = {plain[i].bytes[2 * b], plain[i].bytes[2 * b + 1], 0};
            assert_int_equal(encoded[b], strtoul(digits, NULL, 16));
        }
    }
}

/* The plain rule does not look at importance, and a type without one is searched. */
static void plain_ignores_importance(void **state) {
    (void)state;
    weights_fill(WEIGHTS_NORMAL, 5, values, COLUMNS);
    weights_importance(6, importance, COLUMNS);
    encode(EW__Q4_0, EW__PLAIN, importance, 1, encoded);
    encode(EW__Q4_0, EW__PLAIN, NULL, 1, other);
    assert_memory_equal(encoded, other, row_bytes(EW__Q4_0, COLUMNS));
    encode(EW__Q4_K, EW__PLAIN, importance, 1, encoded);
    encode(EW__Q4_K, EW__SEARCH, importance, 1, other);
    assert_memory_equal(encoded, other, row_bytes(EW__Q4_K, COLUMNS));
}

/* relative_error of ggml's quantize_<type> at d99724f on weights_fill(kind, 7) and
 * weights_importance(11): normal without and with importance, heavy without and with. */
static const struct {
    ew__dtype type;
    double error[4];
} reference[] = {
    {EW__Q4_0, {7.1709e-03, 4.4484e-03, 1.3309e-02, 9.7916e-03}},
    {EW__Q4_1, {5.9949e-03, 2.3734e-03, 8.7620e-03, 3.7610e-03}},
    {EW__Q5_0, {1.7630e-03, 1.0878e-03, 3.3474e-03, 2.4202e-03}},
    {EW__Q5_1, {1.4044e-03, 5.6654e-04, 2.0337e-03, 8.9450e-04}},
    {EW__Q8_0, {2.7681e-05, 2.8301e-05, 5.3819e-05, 5.5939e-05}},
    {EW__Q2_K, {8.6194e-02, 2.7818e-02, 1.1528e-01, 3.7828e-02}},
    {EW__Q3_K, {2.2332e-02, 1.1848e-02, 3.3427e-02, 2.0581e-02}},
    {EW__Q4_K, {4.9937e-03, 2.5059e-03, 7.4982e-03, 4.1068e-03}},
    {EW__Q5_K, {1.2796e-03, 7.1765e-04, 1.9204e-03, 1.2484e-03}},
    {EW__Q6_K, {3.0703e-04, 1.7501e-04, 5.1954e-04, 3.5069e-04}},
    {EW__IQ4_NL, {5.7040e-03, 3.3820e-03, 8.6792e-03, 5.6036e-03}},
    {EW__IQ4_XS, {5.7875e-03, 3.5012e-03, 8.8601e-03, 5.9482e-03}},
};

static void searched_forms_err_less_than_the_reference(void **state) {
    (void)state;
    weights_importance(11, importance, COLUMNS);
    for (int kind = 0; kind < 2; kind++) {
        weights_fill(kind == 0 ? WEIGHTS_NORMAL : WEIGHTS_HEAVY, 7, values, N);
        for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++) {
            for (int weighted = 0; weighted < 2; weighted++) {
                const float *weights = weighted ? importance : NULL;
                encode(reference[i].type, EW__SEARCH, weights, ROWS, encoded);
                double error = relative_error(reference[i].type, weights, ROWS);
                double bound = 0.97 * reference[i].error[2 * kind + weighted];
                if (!(error < bound))
                    fail_msg("%s, data %d, importance %d: %g, at most %g",
                             ew__dtype_name((uint32_t)reference[i].type), kind, weighted, error,
                             bound);
            }
        }
    }
}

static void searching_is_no_worse_than_the_rule_in_any_block(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        weights_fill(seed % 2 == 0 ? WEIGHTS_HEAVY : WEIGHTS_NORMAL, 100 + seed, values, COLUMNS);
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
            encode(plain[i].type, EW__PLAIN, NULL, 1, encoded);
            double by_rule = relative_error(plain[i].type, NULL, 1);
            encode(plain[i].type, EW__SEARCH, NULL, 1, encoded);
            assert_true(relative_error(plain[i].type, NULL, 1) < by_rule);
        }
    }
}

static void every_instruction_set_writes_the_same_bytes(void **state) {
    (void)state;
    weights_importance(21, importance, COLUMNS);
    weights_fill(WEIGHTS_HEAVY, 20, values, 8 * COLUMNS);
    for (size_t j = 0; j < 64; j++)
        values[512 + j] = ldexpf(values[512 + j], (int)j - 32); // blocks of wild ranges too
    for (size_t i = 0; i < SEARCHED; i++) {
        ew__search_limit(EW__SEARCH_BASE);
        encode(searched[i], EW__SEARCH, importance, 8, encoded);
        for (int isa = EW__SEARCH_AVX2; isa <= EW__SEARCH_AVX512; isa++) {
            ew__search_limit((ew__search_isa)isa);
            encode(searched[i], EW__SEARCH, importance, 8, other);
            assert_memory_equal(encoded, other, 8 * row_bytes(searched[i], COLUMNS));
        }
    }
}

/* A row's bytes are those of its blocks one by one, at any address and nothing beyond them. */
static void rows_are_blocks_and_nothing_more(void **state) {
    (void)state;
    weights_importance(31, importance, COLUMNS);
    weights_fill(WEIGHTS_NORMAL, 30, values, COLUMNS);
    for (size_t i = 0; i < SEARCHED; i++) {
        const struct ew__dtype_info *info = ew__dtype_info((uint32_t)searched[i]);
        size_t elements = info->block_elements, bytes = row_bytes(searched[i], COLUMNS);
        memset(encoded, 0xa5, bytes + 2);
        assert_true(
            ew__encode_row(searched[i], EW__SEARCH, values, importance, encoded + 1, COLUMNS));
        assert_int_equal(encoded[0], 0xa5);
        assert_int_equal(encoded[bytes + 1], 0xa5);
        for (size_t b = 0; b < COLUMNS / elements; b++)
            assert_true(ew__encode_row(searched[i], EW__SEARCH, values + b * elements,
                                       importance + b * elements, other + b * info->block_bytes,
                                       elements));
        assert_memory_equal(encoded + 1, other, bytes);
        assert_false(ew__encode_row(searched[i], EW__SEARCH, values, NULL, other, elements - 1));
    }
}

static void proportions_of_importance_matter_alone(void **state) {
    (void)state;
    static float same[COLUMNS];
    weights_importance(41, importance, COLUMNS);
    weights_fill(WEIGHTS_NORMAL, 40, values, COLUMNS);
    for (size_t i = 0; i < SEARCHED; i++) {
        size_t bytes = row_bytes(searched[i], COLUMNS);
        for (size_t j = 0; j < COLUMNS; j++)
            same[j] = 1024.0f * importance[j];
        encode(searched[i], EW__SEARCH, importance, 1, encoded);
        encode(searched[i], EW__SEARCH, same, 1, other);
        assert_memory_equal(encoded, other, bytes);
        static const float useless[] = {0.0f, -1.0f, NAN, INFINITY};
        encode(searched[i], EW__SEARCH, NULL, 1, encoded);
        for (size_t k = 0; k < 4; k++) {
            for (size_t j = 0; j < COLUMNS; j++)
                same[j] = useless[k];
            encode(searched[i], EW__SEARCH, same, 1, other);
            assert_memory_equal(encoded, other, bytes);
        }
    }
}

/* A column that matters a thousand times more than the others comes out closer. */
static void important_columns_are_closer(void **state) {
    (void)state;
    weights_fill(WEIGHTS_NORMAL, 50, values, N);
    for (size_t j = 0; j < COLUMNS; j++)
        importance[j] = j % 32 == 5 ? 1000.0f : 1.0f;
    for (size_t i = 0; i < SEARCHED; i++) {
        double near = 0, usual = 0;
        for (int weighted = 0; weighted < 2; weighted++) {
            encode(searched[i], EW__SEARCH, weighted ? importance : NULL, ROWS, encoded);
            assert_true(ew__dequantize_row(searched[i], encoded, decoded, N));
            for (size_t j = 5; j < N; j += 32)
                *(weighted ? &near : &usual) += pow((double)values[j] - decoded[j], 2);
        }
        assert_true(near < 0.25 * usual);
    }
}

static void constants_and_zeros_are_kept(void **state) {
    (void)state;
    static const float constants[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.02f, -0.02f, 300.0f, -300.0f};
    for (size_t i = 0; i < SEARCHED; i++) {
        for (size_t k = 0; k < sizeof constants / sizeof constants[0]; k++) {
            for (size_t j = 0; j < COLUMNS; j++)
                values[j] = constants[k];
            for (int effort = EW__PLAIN; effort <= EW__SEARCH; effort++) {
                encode(searched[i], (ew__effort)effort, NULL, 1, encoded);
                assert_true(ew__first_non_finite(searched[i], encoded, COLUMNS) == UINT64_MAX);
                assert_true(ew__dequantize_row(searched[i], encoded, decoded, COLUMNS));
                for (size_t j = 0; j < COLUMNS; j++)
                    assert_true(fabsf(decoded[j] - constants[k]) <= 4e-3f * fabsf(constants[k]));
            }
        }
    }
}

/* One element alone. IQ4 has no level 0: its neighbours become 1/113 of it. */
static void lone_elements_are_kept(void **state) {
    (void)state;
    for (size_t i = 0; i < SEARCHED; i++) {
        for (int exponent = -8; exponent <= 15; exponent++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                float lone = ldexpf((float)sign, exponent);
                memset(values, 0, COLUMNS * sizeof values[0]);
                values[300] = lone;
                encode(searched[i], EW__SEARCH, NULL, 1, encoded);
                assert_true(ew__first_non_finite(searched[i], encoded, COLUMNS) == UINT64_MAX);
                assert_true(ew__dequantize_row(searched[i], encoded, decoded, COLUMNS));
                for (size_t j = 0; j < COLUMNS; j++)
                    assert_true(fabsf(decoded[j] - values[j]) <= 1e-2f * fabsf(lone));
            }
        }
    }
}

static void tiny_numbers_become_zero_or_near(void **state) {
    (void)state;
    static const float scales[] = {0x1p-149f, 1e-40f, 1e-30f, 1e-20f, 1e-10f, 1e-8f, 1e-6f};
    for (size_t i = 0; i < SEARCHED; i++) {
        for (size_t k = 0; k < sizeof scales / sizeof scales[0]; k++) {
            for (size_t j = 0; j < COLUMNS; j++)
                values[j] = scales[k] * (float)((int)(j * 37 % 19) - 9);
            for (int effort = EW__PLAIN; effort <= EW__SEARCH; effort++) {
                encode(searched[i], (ew__effort)effort, NULL, 1, encoded);
                assert_true(ew__dequantize_row(searched[i], encoded, decoded, COLUMNS));
                for (size_t j = 0; j < COLUMNS; j++)
                    assert_true(fabsf(decoded[j] - values[j]) <=
                                fmaxf(20.0f * scales[k], 0x1p-22f));
            }
        }
    }
}

/* What cannot be written is told by the scale, wherever in the block it stands. */
static void numbers_out_of_reach_are_found(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -1e12f};
    for (size_t i = 0; i < SEARCHED; i++) {
        uint32_t elements = ew__dtype_info((uint32_t)searched[i])->block_elements;
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            for (size_t at = 0; at < COLUMNS; at += 31) {
                weights_fill(WEIGHTS_NORMAL, at, values, COLUMNS);
                values[at] = bad[k];
                for (int effort = EW__PLAIN; effort <= EW__SEARCH; effort++) {
                    encode(searched[i], (ew__effort)effort, NULL, 1, encoded);
                    assert_true(ew__first_non_finite(searched[i], encoded, COLUMNS) ==
                                at / elements);
                }
            }
        }
    }
}

/* Blocks of random bits as floats, and of a few values each: nothing traps, finite input within a
 * block's reach gives finite output no further off than its largest element. */
static void random_patterns_survive(void **state) {
    (void)state;
    uint64_t random = 12345;
    for (int round = 0; round < 200; round++) {
        float largest = 0.0f;
        int shift = round % 40;
        for (size_t j = 0; j < 512; j++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            int64_t whole = (int64_t)random >> (23 + shift);
            values[j] = round % 3 == 0 ? (float)(whole % 3) : ldexpf((float)whole, shift - 30);
            largest = fabsf(values[j]) > largest ? fabsf(values[j]) : largest;
        }
        for (size_t i = 0; i < SEARCHED; i++) {
            assert_true(ew__encode_row(searched[i], EW__SEARCH, values, NULL, encoded, 512));
            bool finite = ew__first_non_finite(searched[i], encoded, 512) == UINT64_MAX;
            assert_true(finite || largest > 65504.0f);
            assert_true(ew__dequantize_row(searched[i], encoded, decoded, 512));
            for (size_t j = 0; finite && j < 512; j++)
                assert_true(fabsf(decoded[j] - values[j]) <= largest);
        }
        for (size_t j = 0; j < 512; j++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            values[j] = ew__float_of_bits((uint32_t)(random >> 32));
        }
        for (size_t i = 0; i < SEARCHED; i++)
            assert_true(ew__encode_row(searched[i], round % 2 ? EW__SEARCH : EW__PLAIN, values,
                                       values, encoded, 512));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_forms_are_the_reference_bytes),
        cmocka_unit_test(plain_ignores_importance),
        cmocka_unit_test(searched_forms_err_less_than_the_reference),
        cmocka_unit_test(searching_is_no_worse_than_the_rule_in_any_block),
        cmocka_unit_test(every_instruction_set_writes_the_same_bytes),
        cmocka_unit_test(rows_are_blocks_and_nothing_more),
        cmocka_unit_test(proportions_of_importance_matter_alone),
        cmocka_unit_test(important_columns_are_closer),
        cmocka_unit_test(constants_and_zeros_are_kept),
        cmocka_unit_test(lone_elements_are_kept),
        cmocka_unit_test(tiny_numbers_become_zero_or_near),
        cmocka_unit_test(numbers_out_of_reach_are_found),
        cmocka_unit_test(random_patterns_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
