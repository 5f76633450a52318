// SPDX-License-Identifier: Apache-2.0
/* What is common to all types: which are refused, plain floats, encoding, and the search for values
 * that are not finite. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>
#include <string.h>

static void types_without_floats_are_refused(void **state) {
    (void)state;
    static const uint32_t refused[] = {EW__I8,  EW__I16, EW__I32,  EW__I64,  EW__U8,    EW__U16,
                                       EW__U32, EW__U64, EW__BOOL, 4,        19,        39,
                                       63,      69,      70,       1u << 31, UINT32_MAX};
    static const uint8_t src[256];
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ew__dtype type = (ew__dtype)refused[i];
        float out[32] = {7.0f};
        uint8_t bytes[256] = {9};
        assert_false(ew__dtype_decodable(type));
        assert_false(ew__dequantize_row(type, src, out, 32));
        assert_false(ew__quantize_row(type, out, bytes, 32));
        assert_true(out[0] == 7.0f && bytes[0] == 9);
        assert_true(ew__first_non_finite(type, src, 32) == UINT64_MAX);
    }
}

static void all_float_and_quantised_types_decode(void **state) {
    (void)state;
    for (uint32_t id = 0; id < EW__DTYPE_COUNT; id++) {
        bool floating = id == EW__F32 || id == EW__F16 || id == EW__BF16 || id == EW__F64;
        assert_int_equal(ew__dtype_decodable((ew__dtype)id),
                         floating || ew__dtype_info(id)->quantised);
    }
}

/* All that is decoded, but F64 and the types on lattices and of other projects. */
static void fifteen_types_are_written(void **state) {
    (void)state;
    static const uint32_t read_only[] = {EW__F64,   EW__IQ2_XXS, EW__IQ2_XS, EW__IQ2_S, EW__IQ3_XXS,
                                         EW__IQ3_S, EW__IQ3_K,   EW__IQ4_K,  EW__IQ5_K};
    const float x[256] = {0};
    int count = 0;
    for (uint32_t id = 0; id < EW__DTYPE_COUNT; id++) {
        uint8_t out[1024];
        bool written = ew__dtype_decodable((ew__dtype)id);
        for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++)
            written = written && id != read_only[i];
        count += written;
        assert_int_equal(ew__dtype_encodable((ew__dtype)id), written);
        assert_int_equal(ew__quantize_row((ew__dtype)id, x, out, 256), written);
    }
    assert_int_equal(count, 15);
}

/* Thirty-seven values that every float type can hold, written and read at odd addresses. */
static void plain_floats_pass_through(void **state) {
    (void)state;
    static const ew__dtype types[] = {EW__F32, EW__F16, EW__BF16};
    enum { N = 37 };
    float x[N], back[N + 1];
    for (int i = 0; i < N; i++)
        x[i] = ldexpf((float)(i - 18), i % 7 - 3);
    for (size_t t = 0; t < 3; t++) {
        uint8_t bytes[4 * N + 4];
        size_t size = ew__dtype_info((uint32_t)types[t])->block_bytes;
        memset(bytes, 0xa5, sizeof bytes);
        assert_true(ew__quantize_row(types[t], x, bytes + 1, N));
        assert_int_equal(bytes[0], 0xa5);
        assert_int_equal(bytes[1 + N * size], 0xa5);
        back[N] = 5.0f;
        assert_true(ew__dequantize_row(types[t], bytes + 1, back, N));
        assert_memory_equal(back, x, sizeof x);
        assert_true(back[N] == 5.0f);
    }
}

static void plain_floats_lie_in_little_endian(void **state) {
    (void)state;
    static const uint8_t f32[] = {0, 0, 0x80, 0xbf}, f16[] = {0, 0xbc}, bf16[] = {0x80, 0xbf};
    static const uint8_t f64[] = {0, 0, 0, 0, 0, 0, 0xf0, 0xbf};
    const float minus_one = -1.0f;
    float out = 0;
    uint8_t bytes[4];
    assert_true(ew__dequantize_row(EW__F32, f32, &out, 1) && out == -1.0f);
    assert_true(ew__dequantize_row(EW__F16, f16, &out, 1) && out == -1.0f);
    assert_true(ew__dequantize_row(EW__BF16, bf16, &out, 1) && out == -1.0f);
    out = 0;
    assert_true(ew__dequantize_row(EW__F64, f64, &out, 1) && out == -1.0f);
    assert_true(ew__quantize_row(EW__F32, &minus_one, bytes, 1));
    assert_memory_equal(bytes, f32, 4);
    assert_true(ew__quantize_row(EW__F16, &minus_one, bytes, 1));
    assert_memory_equal(bytes, f16, 2);
    assert_true(ew__quantize_row(EW__BF16, &minus_one, bytes, 1));
    assert_memory_equal(bytes, bf16, 2);
}

/* Expected values worked out with single-precision rounding at each step of the formula. */
static void q8_0_encodes_the_known_blocks(void **state) {
    (void)state;
    static const int8_t ramp[32] = {-127, -119, -111, -103, -95, -87, -79, -71, -64, -56, -48,
                                    -40,  -32,  -24,  -16,  -8,  0,   8,   16,  24,  32,  40,
                                    48,   56,   64,   71,   79,  87,  95,  103, 111, 119};
    static const int8_t mixed[32] = {-127, -111, -64, 16, 127, 0,    -95,  111,  79,  79, 111,
                                     -95,  0,    127, 16, -64, -111, -127, -111, -64, 16, 127,
                                     0,    -95,  111, 79, 79,  111,  -95,  0,    127, 16};
    float x[64];
    for (int j = 0; j < 32; j++) {
        x[j] = (float)(j - 16);
        x[32 + j] = (float)(0.1 * (j * j % 17 - 8));
    }
    struct ew__block_q8_0 blocks[2];
    assert_true(ew__quantize_row(EW__Q8_0, x, blocks, 64));
    assert_int_equal(ew__load_u16(blocks[0].d), 0x3008);
    assert_memory_equal(blocks[0].qs, ramp, 32);
    assert_int_equal(ew__load_u16(blocks[1].d), 0x1e73);
    assert_memory_equal(blocks[1].qs, mixed, 32);
    assert_false(ew__quantize_row(EW__Q8_0, x, blocks, 33));
}

static void q8_0_rounds_halves_away_from_zero(void **state) {
    (void)state;
    float x[32] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -126.5f, 0.49999997f};
    static const int8_t q[32] = {127, 1, 2, 3, -1, -2, -3, 127, -127, 0};
    struct ew__block_q8_0 block;
    assert_true(ew__quantize_row(EW__Q8_0, x, &block, 32));
    assert_int_equal(ew__load_u16(block.d), 0x3c00);
    assert_memory_equal(block.qs, q, 32);
}

/* With d = 1 the bytes are roundf of the values, at every boundary and beside it. */
static void q8_0_rounds_as_roundf(void **state) {
    (void)state;
    for (int k = -127; k < 127; k++) {
        float middle = (float)k + 0.5f;
        float x[32] = {127.0f,
                       middle,
                       nextafterf(middle, -200.0f),
                       nextafterf(middle, 200.0f),
                       (float)k,
                       nextafterf((float)k, 0.0f)};
        struct ew__block_q8_0 block;
        assert_true(ew__quantize_row(EW__Q8_0, x, &block, 32));
        for (int j = 0; j < 32; j++)
            assert_int_equal(block.qs[j], (int)roundf(x[j]));
    }
}

static void q8_0_survives_extreme_blocks(void **state) {
    (void)state;
    static const struct {
        float value;
        uint16_t d;
        int8_t q;
    } extremes[] = {
        {0.0f, 0x0000, 0},
        {-0.0f, 0x0000, 0},
        {0x1p-149f, 0x0000, 0}, // d is zero as float
        {1e-37f, 0x0000, 0},    // 1 / d would be infinite
        {-1e-9f, 0x0000, -127}, // d is zero only as half
        {65504.0f * 127, 0x7bff, 127},
        {3e38f, 0x7c00, 127}, // d beyond half
        {INFINITY, 0x7c00, 0},
        {-INFINITY, 0x7c00, 0},
    };
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
        float x[32] = {0};
        struct ew__block_q8_0 block;
        x[17] = extremes[i].value;
        assert_true(ew__quantize_row(EW__Q8_0, x, &block, 32));
        assert_int_equal(ew__load_u16(block.d), extremes[i].d);
        assert_int_equal(block.qs[17], extremes[i].q);
        assert_int_equal(block.qs[0], 0);
    }
    for (int at = 0; at < 32; at++) { // a NaN anywhere is not lost
        float x[32] = {1.0f};
        struct ew__block_q8_0 block;
        x[at] = NAN;
        assert_true(ew__quantize_row(EW__Q8_0, x, &block, 32));
        assert_true(isnan(ew__half_at(block.d)));
        assert_true(ew__first_non_finite(EW__Q8_0, &block, 32) == 0);
    }
}

/* Where the halves of a block lie, from the format's description; 255: there is no second. */
static const struct {
    ew__dtype type;
    uint8_t at[2];
} scales[] = {
    {EW__Q4_0, {0, 255}},    {EW__Q4_1, {0, 2}},     {EW__Q5_0, {0, 255}},
    {EW__Q5_1, {0, 2}},      {EW__Q8_0, {0, 255}},   {EW__Q2_K, {80, 82}},
    {EW__Q3_K, {108, 255}},  {EW__Q4_K, {0, 2}},     {EW__Q5_K, {0, 2}},
    {EW__Q6_K, {208, 255}},  {EW__IQ4_NL, {0, 255}}, {EW__IQ4_XS, {0, 255}},
    {EW__IQ2_XXS, {0, 255}}, {EW__IQ2_XS, {0, 255}}, {EW__IQ2_S, {0, 255}},
    {EW__IQ3_XXS, {0, 255}}, {EW__IQ3_S, {0, 255}},
};

static void poison(uint8_t *half, uint16_t bits) {
    half[0] = (uint8_t)(bits & 0xff);
    half[1] = (uint8_t)(bits >> 8);
}

static void a_poisoned_scale_is_found_in_its_block(void **state) {
    (void)state;
    enum { BLOCKS = 6 };
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7c01};
    for (size_t t = 0; t < sizeof scales / sizeof scales[0]; t++) {
        const struct ew__dtype_info *info = ew__dtype_info((uint32_t)scales[t].type);
        uint64_t n = (uint64_t)BLOCKS * info->block_elements;
        for (size_t k = 0; k < (size_t)BLOCKS * 2; k++) {
            uint8_t at = scales[t].at[k % 2], row[BLOCKS * 256 + 1];
            if (at == 255)
                continue;
            memset(row, 0xff, sizeof row); // NaN patterns in every byte but the scales
            for (size_t s = 0; s < (size_t)BLOCKS * 2; s++) {
                if (scales[t].at[s % 2] != 255)
                    poison(row + 1 + s / 2 * info->block_bytes + scales[t].at[s % 2], 0x7bff);
            }
            assert_true(ew__first_non_finite(scales[t].type, row + 1, n) == UINT64_MAX);
            poison(row + 1 + k / 2 * info->block_bytes + at, bad[k % 5]);
            poison(row + 1 + 5 * info->block_bytes + at, bad[0]); // the first one counts
            assert_true(ew__first_non_finite(scales[t].type, row + 1, n) == k / 2);
        }
    }
}

static void a_bad_value_is_found_at_its_index(void **state) {
    (void)state;
    static const ew__dtype types[] = {EW__F32, EW__F16, EW__BF16};
    static const uint64_t places[] = {0, 1, 511, 512, 513, 1023, 1299};
    enum { N = 1300 };
    static float x[N];
    static uint8_t bytes[4 * N];
    for (size_t t = 0; t < 3; t++) {
        for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
            for (int i = 0; i < N; i++)
                x[i] = i % 2 == 0 ? 65504.0f : -0.0f;
            assert_true(ew__quantize_row(types[t], x, bytes, N));
            assert_true(ew__first_non_finite(types[t], bytes, N) == UINT64_MAX);
            x[places[p]] = p % 2 == 0 ? NAN : -INFINITY;
            x[N - 1] = INFINITY;
            assert_true(ew__quantize_row(types[t], x, bytes, N));
            assert_true(ew__first_non_finite(types[t], bytes, N) == places[p]);
            assert_true(ew__first_non_finite(types[t], bytes, places[p]) == UINT64_MAX);
        }
    }
    static const double huge[3] = {1.0, 1e300, 2.0}; // finite, but not as a float
    assert_true(ew__first_non_finite(EW__F64, huge, 3) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_without_floats_are_refused),
        cmocka_unit_test(all_float_and_quantised_types_decode),
        cmocka_unit_test(fifteen_types_are_written),
        cmocka_unit_test(plain_floats_pass_through),
        cmocka_unit_test(plain_floats_lie_in_little_endian),
        cmocka_unit_test(q8_0_encodes_the_known_blocks),
        cmocka_unit_test(q8_0_rounds_halves_away_from_zero),
        cmocka_unit_test(q8_0_rounds_as_roundf),
        cmocka_unit_test(q8_0_survives_extreme_blocks),
        cmocka_unit_test(a_poisoned_scale_is_found_in_its_block),
        cmocka_unit_test(a_bad_value_is_found_at_its_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
