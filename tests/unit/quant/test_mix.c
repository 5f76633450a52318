// SPDX-License-Identifier: Apache-2.0
/* Which type a named mix gives each tensor: llama.cpp's choices, as its source states them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "quant/mix.h"
#include "quant/quant.h"

#include <stdio.h>
#include <string.h>

static const struct ew__mix_model small = {.n_blocks = 24, .heads_per_key = 4, .tied = true};
static const struct ew__mix_model large = {.n_blocks = 32, .heads_per_key = 4, .tied = false};

static ew__dtype type_in(const char *mix, const struct ew__mix_model *model, const char *name,
                         uint64_t columns) {
    const struct ew__mix *found = ew__mix_by_name(ew__str(mix));
    assert_non_null(found);
    return ew__mix_type(found, model, ew__str(name), columns);
}

static void expect(const char *mix, const struct ew__mix_model *model, const char *name,
                   ew__dtype expected) {
    ew__dtype type = type_in(mix, model, name, 1024);
    if (type != expected)
        fail_msg("%s, %s: %s, expected %s", mix, name, ew__dtype_name((uint32_t)type),
                 ew__dtype_name((uint32_t)expected));
}

/* Blocks that get more bits: {0,1,2,5,8,11,14,17,20,21,22,23} of 24, {0-3,6,9,12,15,18,21,24,27-31}
 * of 32. */
static void q4_k_m_gives_more_bits_to_half_of_the_blocks(void **state) {
    (void)state;
    static const uint32_t of_24 = 0xf24927, of_32 = 0xf924924f;
    static const char *const parts[] = {"attn_v.weight", "attn_qkv.weight", "ffn_down.weight"};
    for (uint32_t block = 0; block < 32; block++) {
        for (size_t p = 0; p < 3; p++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%u.%s", block, parts[p]);
            expect("Q4_K_M", &large, name, of_32 >> block & 1 ? EW__Q6_K : EW__Q4_K);
            expect("Q5_K_M", &large, name, of_32 >> block & 1 ? EW__Q6_K : EW__Q5_K);
            if (block < 24)
                expect("Q4_K_M", &small, name, of_24 >> block & 1 ? EW__Q6_K : EW__Q4_K);
        }
    }
    static const char *const others[] = {"attn_q",    "attn_k",   "attn_output",
                                         "attn_gate", "ffn_gate", "ffn_up",
                                         "ssm_alpha", "ssm_beta", "ssm_out"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.0.%s.weight", others[i]);
        expect("Q4_K_M", &small, name, EW__Q4_K);
    }
}

static void the_head_gets_six_bits_also_where_it_is_the_embedding(void **state) {
    (void)state;
    expect("Q4_K_M", &small, "token_embd.weight", EW__Q6_K);
    expect("Q4_0", &small, "token_embd.weight", EW__Q6_K);
    expect("Q8_0", &small, "token_embd.weight", EW__Q8_0);
    expect("F16", &small, "token_embd.weight", EW__F16);
    expect("Q4_K_M", &large, "token_embd.weight", EW__Q4_K);
    expect("Q4_K_M", &large, "output.weight", EW__Q6_K);
    expect("Q2_K", &large, "token_embd.weight", EW__Q2_K);
}

static void the_other_mixes_have_their_exceptions(void **state) {
    (void)state;
    expect("Q3_K_M", &small, "blk.1.attn_qkv.weight", EW__Q5_K);
    expect("Q3_K_M", &small, "blk.3.attn_v.weight", EW__Q4_K);
    expect("Q3_K_M", &small, "blk.0.ffn_down.weight", EW__Q5_K);
    expect("Q3_K_M", &small, "blk.1.ffn_down.weight", EW__Q4_K);
    expect("Q3_K_M", &small, "blk.3.attn_output.weight", EW__Q4_K);
    expect("Q3_K_M", &small, "blk.3.attn_q.weight", EW__Q3_K);
    expect("Q3_K_L", &small, "blk.9.ffn_down.weight", EW__Q5_K);
    expect("Q3_K_S", &small, "blk.9.ffn_down.weight", EW__Q3_K);
    expect("Q2_K", &small, "blk.3.attn_v.weight", EW__Q4_K);
    expect("Q2_K", &(struct ew__mix_model){24, 2, true}, "blk.3.attn_v.weight", EW__Q3_K);
    expect("Q2_K", &small, "blk.3.ffn_down.weight", EW__Q3_K);
    expect("Q2_K", &small, "blk.3.attn_output.weight", EW__Q3_K);
    expect("Q4_K_S", &small, "blk.3.attn_v.weight", EW__Q5_K);
    expect("Q4_K_S", &small, "blk.4.attn_qkv.weight", EW__Q4_K);
    expect("Q4_K_S", &small, "blk.2.ffn_down.weight", EW__Q5_K);
    expect("Q4_K_S", &small, "blk.3.ffn_down.weight", EW__Q4_K);
    expect("IQ4_XS", &small, "blk.3.attn_v.weight", EW__Q5_K);
    expect("IQ4_NL", &small, "blk.2.ffn_down.weight", EW__Q5_K);
    expect("IQ4_NL", &small, "blk.3.ffn_down.weight", EW__IQ4_NL);
    expect("Q6_K", &small, "blk.0.ffn_down.weight", EW__Q6_K);
    expect("Q4_1", &small, "blk.0.ffn_down.weight", EW__Q4_1);
}

static void rows_that_blocks_do_not_fill_get_other_types(void **state) {
    (void)state;
    static const struct {
        const char *mix;
        ew__dtype of_32;
    } cases[] = {{"Q4_K_S", EW__Q5_0}, {"Q5_K_S", EW__Q5_1},   {"Q6_K", EW__Q8_0},
                 {"Q2_K", EW__Q4_0},   {"IQ4_XS", EW__IQ4_NL}, {"Q4_1", EW__Q4_1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(type_in(cases[i].mix, &small, "blk.9.ffn_up.weight", 128), cases[i].of_32);
        assert_int_equal(type_in(cases[i].mix, &small, "blk.9.ffn_up.weight", 100), EW__F16);
    }
    assert_int_equal(type_in("Q4_K_M", &small, "token_embd.weight", 128), EW__Q8_0);
    assert_int_equal(type_in("Q4_0", &small, "token_embd.weight", 128),
                     EW__Q8_0); // Q6_K's stand-in
}

static void vectors_norms_and_convolutions_stay(void **state) {
    (void)state;
    assert_true(ew__mix_covers(ew__str("blk.0.ffn_up.weight"), 2));
    assert_true(ew__mix_covers(ew__str("blk.24.nextn.eh_proj.weight"), 2));
    assert_false(ew__mix_covers(ew__str("blk.0.attn_norm.weight"), 1));
    assert_false(ew__mix_covers(ew__str("blk.0.attn_q_norm.weight"), 2));
    assert_false(ew__mix_covers(ew__str("blk.0.ssm_conv1d.weight"), 2));
    assert_false(ew__mix_covers(ew__str("blk.0.ssm_a"), 2));
    assert_false(ew__mix_covers(ew__str("blk.0.ssm_dt.bias"), 2));
}

static void names_are_found_whatever_their_case(void **state) {
    (void)state;
    assert_int_equal(ew__mix_by_name(ew__str("q4_k_m"))->file_type, 15);
    assert_int_equal(ew__mix_by_name(ew__str("Q4_K"))->file_type, 15);
    assert_int_equal(ew__mix_by_name(ew__str("q5_k"))->file_type, 17);
    assert_int_equal(ew__mix_by_name(ew__str("bf16"))->file_type, 32);
    static const char *const unknown[] = {"", "Q4", "Q4_K_M ", "Q4_K_ML", "IQ2_S", "Q9"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(ew__mix_by_name(ew__str(unknown[i])));
    int count = 0;
    for (const char *at = ew__mix_names(); *at != '\0'; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ",");
        const struct ew__mix *mix = ew__mix_by_name(ew__str_of(at, n));
        assert_non_null(mix);
        assert_true(ew__dtype_encodable(mix->base));
        at += n;
        count++;
    }
    assert_int_equal(count, 19);
}

/* Names from a file that only look like those of blocks. */
static void odd_names_get_the_base_type(void **state) {
    (void)state;
    static const char *const names[] = {"blk.",
                                        "blk..ffn_down.weight",
                                        "blk.1",
                                        "blk.x.attn_v.weight",
                                        "blk.99999999999999.attn_v.weight",
                                        "weight",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect("Q4_K_M", &small, names[i], EW__Q4_K);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q4_k_m_gives_more_bits_to_half_of_the_blocks),
        cmocka_unit_test(the_head_gets_six_bits_also_where_it_is_the_embedding),
        cmocka_unit_test(the_other_mixes_have_their_exceptions),
        cmocka_unit_test(rows_that_blocks_do_not_fill_get_other_types),
        cmocka_unit_test(vectors_norms_and_convolutions_stay),
        cmocka_unit_test(names_are_found_whatever_their_case),
        cmocka_unit_test(odd_names_get_the_base_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
