// SPDX-License-Identifier: Apache-2.0
#include "recipe.h"

#include <strings.h>

/* The K mixtures follow llama.cpp (src/llama-quant.cpp at 007dbbf3); the others give every matrix
 * one type, and the embedding Q6_K as llama.cpp does. */
static const struct recipe recipes[] = {
    {"f32", EW__FILE_F32, EW__F32, EW__F32, EW__F32},
    {"f16", EW__FILE_F16, EW__F16, EW__F16, EW__F16},
    {"bf16", EW__FILE_BF16, EW__BF16, EW__BF16, EW__BF16},
    {"q8_0", EW__FILE_Q8_0, EW__Q8_0, EW__Q8_0, EW__Q8_0},
    {"q4_0", EW__FILE_Q4_0, EW__Q4_0, EW__Q6_K, EW__Q4_0},
    {"q4_1", EW__FILE_Q4_1, EW__Q4_1, EW__Q6_K, EW__Q4_1},
    {"q5_0", EW__FILE_Q5_0, EW__Q5_0, EW__Q6_K, EW__Q5_0},
    {"q5_1", EW__FILE_Q5_1, EW__Q5_1, EW__Q6_K, EW__Q5_1},
    {"q2_k", EW__FILE_Q2_K, EW__Q2_K, EW__Q6_K, EW__Q3_K},
    {"q3_k_m", EW__FILE_Q3_K_M, EW__Q3_K, EW__Q6_K, EW__Q5_K},
    {"q4_k_m", EW__FILE_Q4_K_M, EW__Q4_K, EW__Q6_K, EW__Q6_K},
    {"q5_k_m", EW__FILE_Q5_K_M, EW__Q5_K, EW__Q6_K, EW__Q6_K},
    {"q6_k", EW__FILE_Q6_K, EW__Q6_K, EW__Q6_K, EW__Q6_K},
    {"iq4_nl", EW__FILE_IQ4_NL, EW__IQ4_NL, EW__Q6_K, EW__IQ4_NL},
    {"iq4_xs", EW__FILE_IQ4_XS, EW__IQ4_XS, EW__Q6_K, EW__IQ4_XS},
};

const struct recipe *recipe_by_name(const char *name) {
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
        if (strcasecmp(recipes[i].name, name) == 0)
            return &recipes[i];
    return NULL;
}

/* The first and last eighth of the blocks, and every third between. MTP blocks count. */
static bool is_favoured(uint32_t layer, uint32_t n) {
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

/* Rows that are no multiple of a block take the nearest type of 32, as llama.cpp does. */
static ew__dtype fall_back(ew__dtype type, uint64_t columns) {
    if (columns % ew__dtype_info(type)->block_elements == 0)
        return type;
    ew__dtype next = EW__F16;
    if (type == EW__Q2_K || type == EW__Q3_K)
        next = EW__Q4_0;
    else if (type == EW__Q4_K)
        next = EW__Q5_0;
    else if (type == EW__Q5_K)
        next = EW__Q5_1;
    else if (type == EW__Q6_K)
        next = EW__Q8_0;
    else if (type == EW__IQ4_XS)
        next = EW__IQ4_NL;
    return columns % ew__dtype_info(next)->block_elements == 0 ? next : EW__F16;
}

ew__dtype recipe_type(const struct recipe *recipe, const struct ew__config *config, ew__role role,
                      uint32_t layer) {
    uint64_t columns, rows;
    ew__role_shape(config, role, &columns, &rows);
    if (ew__roles[role].rank == 1)
        return EW__F32;
    ew__dtype type = recipe->base;
    if (role == EW__OUTPUT || (role == EW__TOKEN_EMBD && config->tied))
        type = recipe->embd;
    bool takes_extra = role == EW__FFN_DOWN || role == EW__ATTN_V || role == EW__DELTA_QKV;
    if (takes_extra && is_favoured(layer, config->n_layer + config->n_mtp))
        type = recipe->extra;
    return fall_back(type, columns);
}
