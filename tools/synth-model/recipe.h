// SPDX-License-Identifier: Apache-2.0
/* Which type each tensor of a mixture has. */
#ifndef SYNTH_RECIPE_H
#define SYNTH_RECIPE_H

#include "convert/metadata.h"
#include "model/checkpoint.h"

struct recipe {
    const char *name;
    ew__file_type file_type;
    ew__dtype base;  /* most matrices */
    ew__dtype embd;  /* token_embd of a tied model, and output */
    ew__dtype extra; /* ffn_down, attn_v and attn_qkv of the layers that llama.cpp favours */
};

/* "q4_k_m", "BF16"...; NULL for an unknown one. */
const struct recipe *recipe_by_name(const char *name);
/* Type of a role in a layer; vectors are always F32. */
ew__dtype recipe_type(const struct recipe *recipe, const struct ew__config *config, ew__role role,
                      uint32_t layer);

#endif
