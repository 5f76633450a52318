// SPDX-License-Identifier: Apache-2.0
/* Half and bfloat16, all 65536 patterns each, against the definition of the formats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>

static uint16_t f16_bits(double value) {
    return ew__f32_to_f16((float)value);
}

/* The value that IEEE 754 binary16 gives a finite pattern. */
static double half_by_definition(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static void every_half_has_its_value_and_comes_back(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t half = (uint16_t)i;
        float value = ew__f16_to_f32(half);
        if ((half & 0x7c00) != 0x7c00) {
            assert_true((double)value == half_by_definition(half));
            assert_int_equal(signbit(value) != 0, half >> 15);
            assert_int_equal(ew__f32_to_f16(value), half);
        } else if ((half & 0x3ff) == 0) {
            assert_true(isinf(value) && (signbit(value) != 0) == half >> 15);
            assert_int_equal(ew__f32_to_f16(value), half);
        } else { // sign and payload stay, the quiet bit is set
            assert_true(isnan(value));
            assert_int_equal(ew__f32_to_f16(value), half | 0x200);
        }
    }
}

/* Between neighbours a < b the middle goes to the even one, everything below to a, above to b. */
static void floats_round_to_the_nearest_half(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 0x7bff; i++) {
        uint16_t a = (uint16_t)i, b = (uint16_t)(i + 1);
        double low = half_by_definition(a), high = half_by_definition(b);
        float middle = (float)((low + high) / 2); // exact: half has 13 bits less than float
        uint16_t even = a % 2 == 0 ? a : b;
        assert_int_equal(ew__f32_to_f16(middle), even);
        assert_int_equal(ew__f32_to_f16(-middle), even | 0x8000);
        assert_int_equal(ew__f32_to_f16(nextafterf(middle, 0.0f)), a);
        assert_int_equal(ew__f32_to_f16(nextafterf(middle, INFINITY)), b);
        assert_int_equal(ew__f32_to_f16(nextafterf((float)low, INFINITY)), a);
        assert_int_equal(ew__f32_to_f16(nextafterf((float)high, 0.0f)), b);
    }
}

static void the_ends_of_half(void **state) {
    (void)state;
    assert_int_equal(f16_bits(65504), 0x7bff);
    assert_int_equal(ew__f32_to_f16(nextafterf(65520.0f, 0.0f)), 0x7bff);
    assert_int_equal(f16_bits(65520), 0x7c00);
    assert_int_equal(f16_bits(-1e30), 0xfc00);
    assert_int_equal(f16_bits(0x1p-24), 0x0001);
    assert_int_equal(f16_bits(0x1p-25), 0x0000);
    assert_int_equal(ew__f32_to_f16(nextafterf(0x1p-25f, 1.0f)), 0x0001);
    assert_int_equal(f16_bits(-0x1p-140), 0x8000);                           // a subnormal float
    assert_int_equal(ew__f32_to_f16(ew__float_of_bits(0x7f800001)), 0x7e00); // payload cut to 0
    assert_int_equal(ew__f32_to_f16(ew__float_of_bits(0xffffffff)), 0xffff);
}

static void every_bfloat_comes_back(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i;
        float value = ew__bf16_to_f32(bits);
        assert_int_equal(ew__bits_of_float(value), i << 16);
        assert_int_equal(ew__f32_to_bf16(value), isnan(value) ? bits | 0x40 : bits);
    }
}

static void floats_round_to_the_nearest_bfloat(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 0x7f80; i++) { // up to the middle of the largest and 2^128
        uint32_t middle = i << 16 | 0x8000, even = i % 2 == 0 ? i : i + 1;
        assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(middle)), even);
        assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(middle | 0x80000000u)), even | 0x8000);
        assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(middle - 1)), i);
        assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(middle + 1)), i + 1);
    }
    assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(0x7f7fffff)), 0x7f80); // FLT_MAX
    assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(0x7f800001)), 0x7fc0);
    assert_int_equal(ew__f32_to_bf16(ew__float_of_bits(0xffffffff)), 0xffff);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_has_its_value_and_comes_back),
        cmocka_unit_test(floats_round_to_the_nearest_half),
        cmocka_unit_test(the_ends_of_half),
        cmocka_unit_test(every_bfloat_comes_back),
        cmocka_unit_test(floats_round_to_the_nearest_bfloat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
