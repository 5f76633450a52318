// SPDX-License-Identifier: Apache-2.0
#include "quant/mix.h"

#include <string.h>
#include <strings.h>

/* X(NAME, number of general.file_type, base) */
#define MIXES(X)                                                                                   \
    X(F32, 0, F32)                                                                                 \
    X(F16, 1, F16)                                                                                 \
    X(BF16, 32, BF16)                                                                              \
    X(Q8_0, 7, Q8_0)                                                                               \
    X(Q6_K, 18, Q6_K)                                                                              \
    X(Q5_K_M, 17, Q5_K)                                                                            \
    X(Q5_K_S, 16, Q5_K)                                                                            \
    X(Q5_1, 9, Q5_1)                                                                               \
    X(Q5_0, 8, Q5_0)                                                                               \
    X(Q4_K_M, 15, Q4_K)                                                                            \
    X(Q4_K_S, 14, Q4_K)                                                                            \
    X(Q4_1, 3, Q4_1)                                                                               \
    X(Q4_0, 2, Q4_0)                                                                               \
    X(IQ4_NL, 25, IQ4_NL)                                                                          \
    X(IQ4_XS, 30, IQ4_XS)                                                                          \
    X(Q3_K_L, 13, Q3_K)                                                                            \
    X(Q3_K_M, 12, Q3_K)                                                                            \
    X(Q3_K_S, 11, Q3_K)                                                                            \
    X(Q2_K, 10, Q2_K)

enum mix_number {
#define MIX_NUMBER(name, number, base) MIX_##name = number,
    MIXES(MIX_NUMBER)
#undef MIX_NUMBER
};

static const struct ew__mix mixes[] = {
#define MIX_ROW(name, number, base) {#name, number, EW__##base},
    MIXES(MIX_ROW)
#undef MIX_ROW
};

const char *ew__mix_names(void) {
#define MIX_NAME(name, number, base) ", " #name
    return &(MIXES(MIX_NAME))[2];
#undef MIX_NAME
}

const struct ew__mix *ew__mix_by_name(struct ew__str name) {
    static const struct {
        const char *shortened, *name;
    } others[] = {{"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (name.n == strlen(others[i].shortened) &&
            strncasecmp(name.bytes, others[i].shortened, name.n) == 0)
            name = ew__str(others[i].name);
    }
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        if (name.n == strlen(mixes[i].name) && strncasecmp(name.bytes, mixes[i].name, name.n) == 0)
            return &mixes[i];
    }
    return NULL;
}

/* ---- names ---- */

static bool ends_with(struct ew__str name, const char *end) {
    size_t n = strlen(end);
    return name.n >= n && memcmp(name.bytes + name.n - n, end, n) == 0;
}

bool ew__mix_covers(struct ew__str name, uint32_t n_dims) {
    return n_dims >= 2 && ends_with(name, "weight") && !ends_with(name, "_norm.weight") &&
           !ends_with(name, "ssm_conv1d.weight");
}

/* "blk.12.attn_v.weight" -> "attn_v.weight" and 12; other names stay as they are. */
static struct ew__str part_of_block(struct ew__str name, uint32_t *block) {
    size_t at = 4;
    uint32_t number = 0;
    if (name.n < 4 || memcmp(name.bytes, "blk.", 4) != 0)
        return name;
    for (; at < name.n && name.bytes[at] >= '0' && name.bytes[at] <= '9' && number < 100000; at++)
        number = 10 * number + (uint32_t)(name.bytes[at] - '0');
    if (at == 4 || at == name.n || name.bytes[at] != '.')
        return name;
    *block = number;
    return ew__str_of(name.bytes + at + 1, name.n - at - 1);
}

/* ---- rules ---- */

/* The first and last eighth of the blocks, and every third between. */
static bool more_bits(uint32_t block, uint32_t n) {
    return block < n / 8 || block >= 7 * n / 8 || (block - n / 8) % 3 == 2;
}

/* The head, and an embedding that is the head too. */
static ew__dtype head_type(const struct ew__mix *mix, uint64_t columns) {
    if (columns % ew__dtype_info((uint32_t)mix->base)->block_elements != 0)
        return EW__Q8_0;
    return mix->base == EW__Q8_0 ? EW__Q8_0 : EW__Q6_K;
}

/* attn_v, and attn_qkv of the linear layers, which is counted with it. */
static ew__dtype value_type(const struct ew__mix *mix, const struct ew__mix_model *model,
                            uint32_t block) {
    switch (mix->file_type) {
    case MIX_Q2_K:
        return model->heads_per_key >= 4 ? EW__Q4_K : EW__Q3_K;
    case MIX_Q3_K_M:
        return block < 2 ? EW__Q5_K : EW__Q4_K;
    case MIX_Q3_K_L:
        return EW__Q5_K;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
        return model->heads_per_key >= 4 ? EW__Q5_K : mix->base;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
        return more_bits(block, model->n_blocks) ? EW__Q6_K : mix->base;
    case MIX_Q4_K_S:
        return block < 4 ? EW__Q5_K : mix->base;
    default:
        return mix->base;
    }
}

static ew__dtype down_type(const struct ew__mix *mix, const struct ew__mix_model *model,
                           uint32_t block) {
    uint32_t n = model->n_blocks;
    switch (mix->file_type) {
    case MIX_Q2_K:
        return EW__Q3_K;
    case MIX_Q3_K_M:
        return block < n / 16 ? EW__Q5_K : EW__Q4_K;
    case MIX_Q3_K_L:
        return EW__Q5_K;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
        return more_bits(block, n) ? EW__Q6_K : mix->base;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
    case MIX_Q4_K_S:
        return block < n / 8 ? EW__Q5_K : mix->base;
    default:
        return mix->base;
    }
}

static ew__dtype out_type(const struct ew__mix *mix) {
    return mix->file_type == MIX_Q2_K     ? EW__Q3_K
           : mix->file_type == MIX_Q3_K_M ? EW__Q4_K
           : mix->file_type == MIX_Q3_K_L ? EW__Q5_K
                                          : mix->base;
}

static ew__dtype wanted_type(const struct ew__mix *mix, const struct ew__mix_model *model,
                             struct ew__str name, uint64_t columns) {
    uint32_t block = 0;
    struct ew__str part = part_of_block(name, &block);
    if (ew__str_is(part, "output.weight") || (model->tied && ew__str_is(part, "token_embd.weight")))
        return head_type(mix, columns);
    if (ew__str_is(part, "attn_v.weight") || ew__str_is(part, "attn_qkv.weight"))
        return value_type(mix, model, block);
    if (ew__str_is(part, "ffn_down.weight"))
        return down_type(mix, model, block);
    return ew__str_is(part, "attn_output.weight") ? out_type(mix) : mix->base;
}

/* The type of blocks of 32 that stands in for one of 256. */
static ew__dtype short_blocks(ew__dtype type) {
    switch (type) {
    case EW__Q2_K:
    case EW__Q3_K:
        return EW__Q4_0;
    case EW__Q4_K:
        return EW__Q5_0;
    case EW__Q5_K:
        return EW__Q5_1;
    case EW__Q6_K:
        return EW__Q8_0;
    case EW__IQ4_XS:
        return EW__IQ4_NL;
    default:
        return type;
    }
}

static bool fills(ew__dtype type, uint64_t columns) {
    return columns % ew__dtype_info((uint32_t)type)->block_elements == 0;
}

ew__dtype ew__mix_type(const struct ew__mix *mix, const struct ew__mix_model *model,
                       struct ew__str name, uint64_t columns) {
    if (!ew__dtype_info((uint32_t)mix->base)->quantised)
        return mix->base;
    ew__dtype type = wanted_type(mix, model, name, columns);
    if (!fills(type, columns))
        type = short_blocks(type);
    return fills(type, columns) ? type : EW__F16;
}
