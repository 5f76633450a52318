// SPDX-License-Identifier: Apache-2.0
/* Every block type against worked blocks, which ggml's reference routines decoded
 * (tests/data/quant-cases.json): bit for bit, at any address, alone and in rows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "quant/blocks.h"
#include "quant/quant.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_MAX = 256, CASES_MAX = 64 };

struct worked {
    ew__dtype type;
    size_t bytes, elements;
    uint8_t block[BLOCK_MAX];
    uint32_t bits[EW__QKK]; /* of the floats */
};
static struct worked cases[CASES_MAX];
static size_t case_count;

static size_t hex_bytes(const char *hex, uint8_t *out, size_t max) {
    size_t n = strlen(hex) / 2;
    assert_true(n <= max && strlen(hex) % 2 == 0);
    for (size_t i = 0; i < n; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        char *end;
        out[i] = (uint8_t)strtoul(digits, &end, 16);
        assert_int_equal(*end, 0);
    }
    return n;
}

static void load_case(const json_t *source, struct worked *out) {
    uint8_t floats[4 * EW__QKK];
    const char *name = json_string_value(json_object_get(source, "type"));
    assert_true(ew__dtype_by_name(ew__str(name), &out->type));
    out->bytes = hex_bytes(json_string_value(json_object_get(source, "block")), out->block,
                           sizeof out->block);
    out->elements =
        hex_bytes(json_string_value(json_object_get(source, "f32_le_hex")), floats, sizeof floats) /
        4;
    for (size_t i = 0; i < out->elements; i++)
        out->bits[i] = ew__load_u32(floats + 4 * i);
    const struct ew__dtype_info *info = ew__dtype_info((uint32_t)out->type);
    assert_int_equal(out->bytes, info->block_bytes);
    assert_int_equal(out->elements, info->block_elements);
}

static int load_cases(void **state) {
    (void)state;
    json_t *root;
    if (ew__json_load("tests/data/quant-cases.json", 1u << 20, &root) != EW_OK)
        return -1;
    const json_t *list = json_object_get(root, "cases");
    case_count = json_array_size(list);
    assert_true(case_count > 0 && case_count <= CASES_MAX);
    for (size_t i = 0; i < case_count; i++)
        load_case(json_array_get(list, i), &cases[i]);
    json_decref(root);
    return 0;
}

static void expect_bits(const struct worked *worked, const float *x) {
    for (size_t i = 0; i < worked->elements; i++) {
        if (ew__bits_of_float(x[i]) != worked->bits[i])
            fail_msg("%s element %zu: %08x, reference %08x", ew__dtype_name((uint32_t)worked->type),
                     i, ew__bits_of_float(x[i]), worked->bits[i]);
    }
}

static void every_quantised_type_has_a_worked_block(void **state) {
    (void)state;
    for (uint32_t id = 0; id < EW__DTYPE_COUNT; id++) {
        bool found = false;
        for (size_t i = 0; i < case_count; i++)
            found = found || (uint32_t)cases[i].type == id;
        assert_int_equal(found, ew__dtype_info(id)->quantised);
    }
}

static void worked_blocks_decode_bit_for_bit_at_any_address(void **state) {
    (void)state;
    for (size_t i = 0; i < case_count; i++) {
        for (size_t shift = 0; shift < 8; shift++) {
            /* exactly as many bytes as the block has, so that a sanitizer sees a read beyond it */
            uint8_t *memory = malloc(shift + cases[i].bytes);
            float out[EW__QKK];
            assert_non_null(memory);
            memcpy(memory + shift, cases[i].block, cases[i].bytes);
            assert_true(ew__dequantize_row(cases[i].type, memory + shift, out, cases[i].elements));
            expect_bits(&cases[i], out);
            free(memory);
        }
    }
}

static void rows_are_blocks_in_order_and_nothing_more(void **state) {
    (void)state;
    enum { BLOCKS = 5 };
    for (size_t i = 0; i + 1 < case_count; i++) {
        const struct worked *pair[2] = {&cases[i], &cases[i + 1]};
        if (pair[0]->type != pair[1]->type)
            continue;
        uint8_t row[BLOCKS * BLOCK_MAX + 1];
        float out[BLOCKS * EW__QKK + 1];
        size_t n = BLOCKS * pair[0]->elements;
        for (size_t b = 0; b < BLOCKS; b++)
            memcpy(row + 1 + b * pair[0]->bytes, pair[b % 2]->block, pair[0]->bytes);
        out[n] = 12345.0f;
        assert_true(ew__dequantize_row(pair[0]->type, row + 1, out, n));
        for (size_t b = 0; b < BLOCKS; b++)
            expect_bits(pair[b % 2], out + b * pair[0]->elements);
        assert_true(out[n] == 12345.0f);
        out[0] = 77.0f;
        assert_true(ew__dequantize_row(pair[0]->type, row + 1, out, 0));
        assert_false(ew__dequantize_row(pair[0]->type, row + 1, out, n - 1));
        assert_true(out[0] == 77.0f);
    }
}

/* FNV-1a of a lattice's magnitudes; the expected sums were computed from ggml-common.h's tables. */
static uint64_t fnv(const uint8_t *bytes, size_t n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static void lattices_are_the_formats(void **state) {
    (void)state;
    assert_int_equal(fnv(&ew__iq2xxs_grid[0][0], sizeof ew__iq2xxs_grid), 0xbb4ee025b5ac6e8eu);
    assert_int_equal(fnv(&ew__iq2xs_grid[0][0], sizeof ew__iq2xs_grid), 0xc9b1ee61e79909bdu);
    assert_int_equal(fnv(&ew__iq2s_grid[0][0], sizeof ew__iq2s_grid), 0x123edd38a3b62b90u);
    assert_int_equal(fnv(&ew__iq3xxs_grid[0][0], sizeof ew__iq3xxs_grid), 0xdfa5dc83d6a155d5u);
    assert_int_equal(fnv(&ew__iq3s_grid[0][0], sizeof ew__iq3s_grid), 0xfa37020c25b44829u);
}

static void signs_have_even_parity(void **state) {
    (void)state;
    for (unsigned i = 0; i < 128; i++) {
        uint8_t signs = ew__iq_signs(i);
        assert_int_equal(signs & 127, i);
        assert_int_equal(__builtin_popcount(signs) % 2, 0);
        assert_int_equal(ew__iq_signs(i | 0xff80u), signs); // higher bits are not its business
    }
}

/* Packs known numbers by the layout's table and reads them back. */
static void packed_scales_come_back(void **state) {
    (void)state;
    uint8_t s[12] = {0};
    for (unsigned j = 0; j < 4; j++) { // sub-blocks 0-3: 10 + j, 40 + j; 4-7: 50 + j, 20 + j
        s[j] = (uint8_t)((10 + j) | (50 + j) >> 4 << 6);
        s[j + 4] = (uint8_t)((40 + j) | (20 + j) >> 4 << 6);
        s[j + 8] = (uint8_t)(((50 + j) & 15) | ((20 + j) & 15) << 4);
    }
    for (unsigned j = 0; j < 8; j++) {
        uint8_t scale, minimum;
        ew__k4_scale_min(s, j, &scale, &minimum);
        assert_int_equal(scale, j < 4 ? 10 + j : 50 + j - 4);
        assert_int_equal(minimum, j < 4 ? 40 + j : 20 + j - 4);
    }
    memset(s, 0, sizeof s);
    int8_t expected[16], scales[16];
    for (unsigned i = 0; i < 16; i++) {
        unsigned raw = (i * 37 + 5) % 64;
        expected[i] = (int8_t)((int)raw - 32);
        s[i % 8] = (uint8_t)(s[i % 8] | (raw & 15) << (i / 8 * 4));
        s[8 + i % 4] = (uint8_t)(s[8 + i % 4] | (raw >> 4) << (i / 4 * 2));
    }
    ew__q3k_scales(s, scales);
    assert_memory_equal(scales, expected, sizeof scales);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantised_type_has_a_worked_block),
        cmocka_unit_test(worked_blocks_decode_bit_for_bit_at_any_address),
        cmocka_unit_test(rows_are_blocks_in_order_and_nothing_more),
        cmocka_unit_test(lattices_are_the_formats),
        cmocka_unit_test(signs_have_even_parity),
        cmocka_unit_test(packed_scales_come_back),
    };
    return cmocka_run_group_tests(tests, load_cases, NULL);
}
