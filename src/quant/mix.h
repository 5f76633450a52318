// SPDX-License-Identifier: Apache-2.0
/* The named mixes: which type each tensor of a GGUF file gets. The choices are those of llama.cpp
 * (src/llama-quant.cpp at 007dbbf) for this architecture and without an importance matrix, so that
 * a name means the same file layout everywhere. */
#ifndef EW_QUANT_MIX_H
#define EW_QUANT_MIX_H

#include "base/dtype.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct ew__mix {
    const char *name;   /* "Q4_K_M" */
    uint32_t file_type; /* general.file_type */
    ew__dtype base;     /* of all matrices that no rule singles out */
};

/* The mix of a name, case-insensitive, also "Q4_K" for Q4_K_M and the like; NULL: none. */
const struct ew__mix *ew__mix_by_name(struct ew__str name);
/* All of them, separated by ", ". */
const char *ew__mix_names(void);

/* What the rules look at besides a tensor's own name and shape. */
struct ew__mix_model {
    uint32_t n_blocks;      /* block_count: layers, MTP blocks among them */
    uint32_t heads_per_key; /* query heads that share a key head */
    bool tied;              /* there is no output.weight */
};

/* Whether a tensor is quantised at all: matrices named *.weight, but no norms and no convolution.
 */
bool ew__mix_covers(struct ew__str name, uint32_t n_dims);
/* The type of a matrix with rows of `columns`; types whose blocks they do not fill give way as in
 * llama.cpp, to F16 at last. */
ew__dtype ew__mix_type(const struct ew__mix *mix, const struct ew__mix_model *model,
                       struct ew__str name, uint64_t columns);

#endif
