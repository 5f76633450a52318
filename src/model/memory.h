// SPDX-License-Identifier: Apache-2.0
/* The two memories of a sequence and their layout: pages of keys and values, and the recurrent
 * state. The runtime owns and copies them; the forward pass reads and writes them through these
 * offsets. */
#ifndef EW_MODEL_MEMORY_H
#define EW_MODEL_MEMORY_H

#include "base/dtype.h"
#include "base/limits.h"
#include "model/config.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    EW__DELTA_COLUMNS =
        32,           /* state columns that one work item carries through a chunk: 16 KB, in L1 */
    EW__CONV_ROWS = 3 /* tokens that the convolution looks back */
};

struct ew__memory_layout {
    ew__dtype kv_type;    /* F32, F16, Q8_0 or Q4_0 */
    uint32_t n_kv_layers; /* full-attention layers, plus one for the MTP block where it is used */
    uint32_t n_delta_layers;
    size_t kv_head_bytes; /* keys (or values) of one head in one page, as in kernels/kv.h */
    size_t page_bytes;    /* [kv layer][kv head][keys, values] of kv_head_bytes */
    size_t delta_floats;  /* S of one layer: [v head][column block][k_head_dim][block columns] */
    size_t conv_floats;   /* [EW__CONV_ROWS][2K+V] of one layer, oldest row first */
    size_t state_floats;  /* all delta layers: S then conv rows, layer by layer */
};

void ew__memory_layout_init(struct ew__memory_layout *layout, const struct ew__config *config,
                            ew__dtype kv_type, bool with_mtp);

/* Pages that n tokens need. */
static inline size_t ew__pages_for(size_t n_tokens) {
    return (n_tokens + EW__KV_PAGE_TOKENS - 1) / EW__KV_PAGE_TOKENS;
}
/* Keys (which = 0) or values (1) of a head in a page. */
static inline char *ew__kv_head(const struct ew__memory_layout *layout,
                                const struct ew__config *config, void *page, uint32_t kv_layer,
                                uint32_t head, uint32_t which) {
    size_t index = ((size_t)kv_layer * config->n_head_kv + head) * 2 + which;
    return (char *)page + index * layout->kv_head_bytes;
}
static inline float *ew__delta_state(const struct ew__memory_layout *layout, float *state,
                                     uint32_t delta_layer) {
    return state + (size_t)delta_layer * (layout->delta_floats + layout->conv_floats);
}
static inline float *ew__conv_state(const struct ew__memory_layout *layout, float *state,
                                    uint32_t delta_layer) {
    return ew__delta_state(layout, state, delta_layer) + layout->delta_floats;
}

#endif
