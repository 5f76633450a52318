// SPDX-License-Identifier: Apache-2.0
/* Rows of affine group quantisation: every width against bits picked one by one, and what the
 * blocks made of them lose. tests/mlx compares whole checkpoints with a second implementation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"
#include "quant/affine.h"
#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { columns = 256, rows = 3, group = 64, groups = columns / group };

/* A matrix that lies in arrays of the test. */
struct sample {
    uint8_t words[rows * columns], scales[rows * groups * 4], biases[rows * groups * 4];
    struct ew__tensor weight, scale, bias;
    struct ew__affine affine;
};

static ew__dtype block_type(uint32_t bits) {
    return bits <= 4 ? EW__Q4_1 : bits == 5 ? EW__Q5_1 : EW__Q8_0;
}

/* bfloat16 scales and biases, negative ones too; random integers. */
static void make(struct sample *s, uint32_t bits, float step, float low) {
    *s = (struct sample){0};
    for (size_t i = 0; i < sizeof s->words; i++)
        s->words[i] = (uint8_t)(rand() >> 7);
    for (size_t i = 0; i < rows * groups; i++) {
        float scale = step * (float)(i % 3 + 1) * (i % 2 != 0 ? -1.0f : 1.0f);
        uint32_t scale_bits = ew__bits_of_float(scale), bias_bits = ew__bits_of_float(low);
        memcpy(s->scales + 2 * i, (const uint8_t *)&scale_bits + 2, 2);
        memcpy(s->biases + 2 * i, (const uint8_t *)&bias_bits + 2, 2);
    }
    struct ew__tensor part = {.name = ew__str("m.weight"), .type = EW__U32, .n_dims = 2};
    s->weight = s->scale = s->bias = part;
    s->weight.dims[0] = columns * bits / 32;
    s->scale.dims[0] = s->bias.dims[0] = groups;
    s->weight.dims[1] = s->scale.dims[1] = s->bias.dims[1] = rows;
    s->scale.type = s->bias.type = EW__BF16;
    s->weight.data = s->words;
    s->scale.data = s->scales;
    s->bias.data = s->biases;
    s->affine = (struct ew__affine){part, &s->weight, &s->scale, &s->bias, bits, group};
    s->affine.tensor.type = block_type(bits);
    s->affine.tensor.dims[0] = columns;
    s->affine.tensor.dims[1] = rows;
    s->affine.tensor.affine = &s->affine;
}

/* Element i of a row, bit after bit. */
static uint32_t integer_at(const struct sample *s, size_t row, size_t i) {
    const uint8_t *bytes = s->words + row * s->weight.dims[0] * 4;
    uint32_t value = 0;
    for (uint32_t bit = 0; bit < s->affine.bits; bit++) {
        size_t at = i * s->affine.bits + bit;
        value |= (uint32_t)(bytes[at / 8] >> (at % 8) & 1) << bit;
    }
    return value;
}

static float bf16_at(const uint8_t *bytes, size_t i) {
    return ew__float_of_bits((uint32_t)ew__load_u16(bytes + 2 * i) << 16);
}

static void check_floats(const struct sample *s, size_t row, const float out[columns]) {
    for (size_t i = 0; i < columns; i++) {
        size_t g = row * groups + i / group;
        volatile float product = (float)integer_at(s, row, i) * bf16_at(s->scales, g);
        volatile float want = product + bf16_at(s->biases, g);
        assert_true(out[i] == want);
    }
}

static void *scratch_for(const struct sample *s) {
    void *scratch = malloc(ew__affine_scratch_bytes(&s->affine));
    assert_non_null(scratch);
    return scratch;
}

static void decode(const struct sample *s, size_t row, float out[columns], void *scratch) {
    uint8_t blocks[columns * 4];
    ew__dtype type = (ew__dtype)s->affine.tensor.type;
    assert_int_equal(ew__affine_row(&s->affine, type, row, blocks, scratch), EW_OK);
    assert_true(ew__dequantize_row(type, blocks, out, columns));
}

static const uint32_t widths[] = {2, 3, 4, 5, 6, 8};

static void test_floats_and_exact_blocks(void **state) {
    (void)state;
    for (size_t w = 0; w < 6; w++) {
        struct sample s;
        float want[columns], got[columns];
        make(&s, widths[w], 0x1p-9f, -0.0625f);
        void *scratch = scratch_for(&s);
        for (size_t row = 0; row < rows; row++) {
            ew__affine_floats(&s.affine, row, want, scratch);
            check_floats(&s, row, want);
            if (widths[w] > 5)
                continue;
            decode(&s, row, got, scratch);
            assert_memory_equal(got, want, sizeof want);
        }
        free(scratch);
    }
}

/* Q8_0 misses by at most half a step of the block, and of its step's rounding to a half. */
static void test_q8_0_is_near(void **state) {
    (void)state;
    for (size_t w = 4; w < 6; w++) {
        struct sample s;
        float want[columns], got[columns];
        make(&s, widths[w], 0x1.9p-10f, -0.07f);
        void *scratch = scratch_for(&s);
        for (size_t row = 0; row < rows; row++) {
            ew__affine_floats(&s.affine, row, want, scratch);
            decode(&s, row, got, scratch);
            for (size_t b = 0; b < columns / EW__QK; b++) {
                float most = 0;
                for (size_t i = b * EW__QK; i < (b + 1) * EW__QK; i++)
                    most = fmaxf(most, fabsf(want[i]));
                for (size_t i = b * EW__QK; i < (b + 1) * EW__QK; i++)
                    assert_true(fabsf(got[i] - want[i]) <= most / 127 * 0.6f);
            }
        }
        free(scratch);
    }
}

/* Where 0 lies on the grid, as MLX makes it, 6 bits fit Q8_0 exactly; plain Q8_0 would not hold
 * them. */
static void test_q8_0_on_the_grid(void **state) {
    struct sample s;
    float want[columns], got[columns];
    (void)state;
    make(&s, 6, 0x1.8p-8f, 0);
    for (size_t i = 0; i < rows * groups; i++) {
        uint32_t bias = ew__bits_of_float(-32 * bf16_at(s.scales, i));
        memcpy(s.biases + 2 * i, (const uint8_t *)&bias + 2, 2);
    }
    void *scratch = scratch_for(&s);
    for (size_t row = 0; row < rows; row++) {
        ew__affine_floats(&s.affine, row, want, scratch);
        decode(&s, row, got, scratch);
        for (size_t i = 0; i < columns; i++)
            assert_true(got[i] == want[i]); // 0 of either sign
    }
    free(scratch);
}

/* Scales below the normal halves: off by at most 2^-25 for each of the 2^bits - 1 steps, and for
 * the bias. */
static void test_tiny_scales(void **state) {
    struct sample s;
    float want[columns], got[columns];
    (void)state;
    make(&s, 4, 0x1.22p-18f, 0x1.44p-19f);
    void *scratch = scratch_for(&s);
    ew__affine_floats(&s.affine, 0, want, scratch);
    decode(&s, 0, got, scratch);
    bool differs = false;
    for (size_t i = 0; i < columns; i++) {
        differs = differs || got[i] != want[i];
        assert_true(fabsf(got[i] - want[i]) <= 16 * 0x1p-25f);
    }
    assert_true(differs);
    free(scratch);
}

static void test_numbers_that_no_block_holds(void **state) {
    static const float bad[] = {INFINITY, NAN, 70000.0f};
    (void)state;
    for (size_t w = 0; w < 6; w++) {
        for (size_t i = 0; i < 3; i++) {
            struct sample s;
            uint8_t blocks[columns * 4];
            float step = widths[w] > 5 && i == 2 ? 1e9f : bad[i]; // Q8_0 holds 127 times more
            make(&s, widths[w], 1.0f, 0);
            uint32_t bits = ew__bits_of_float(step);
            memcpy(s.scales + 2 * (groups + 1), (const uint8_t *)&bits + 2, 2);
            memset(s.words, 255, sizeof s.words);
            void *scratch = scratch_for(&s);
            ew__dtype type = (ew__dtype)s.affine.tensor.type;
            assert_int_equal(ew__affine_row(&s.affine, type, 0, blocks, scratch), EW_OK);
            assert_int_equal(ew__affine_row(&s.affine, type, 1, blocks, scratch), EW_FORMAT);
            assert_non_null(strstr(ew_last_error(), "\"m.weight\" has a scale or bias in row 1"));
            free(scratch);
        }
    }
}

/* A seed of fuzz_affine: u16 length of config.json, that document, a safetensors file. */
static void test_lost_memory(void **state) {
    (void)state;
    struct ew__buf file;
    struct ew__safetensors *tensors;
    json_t *config;
    assert_int_equal(ew__file_read("tests/fuzz/corpus/fuzz_affine/seed-02", 4096, &file), EW_OK);
    const char *bytes = ew__buf_str(&file).bytes;
    size_t n = ew__load_u16((const uint8_t *)bytes), rest = ew__buf_str(&file).n - 2 - n;
    assert_int_equal(ew__json_parse(bytes + 2, n, "config.json", &config), EW_OK);
    assert_int_equal(ew__safetensors_open_bytes(bytes + 2 + n, rest, &tensors), EW_OK);
    ew_status status = EW_NO_MEMORY;
    uint64_t at = 0;
    while (status == EW_NO_MEMORY) {
        struct ew__affine_set set;
        ew__mem_fail_at(++at);
        status = ew__affine_set_read(config, tensors, &set);
        ew__mem_fail_at(0);
        assert_int_equal(set.count, status == EW_OK ? 1 : 0);
        ew__affine_set_release(&set);
    }
    assert_int_equal(status, EW_OK);
    assert_true(at > 2);
    ew__safetensors_close(tensors);
    json_decref(config);
    ew__buf_release(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats_and_exact_blocks),
        cmocka_unit_test(test_q8_0_is_near),
        cmocka_unit_test(test_q8_0_on_the_grid),
        cmocka_unit_test(test_tiny_scales),
        cmocka_unit_test(test_numbers_that_no_block_holds),
        cmocka_unit_test(test_lost_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
