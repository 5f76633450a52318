// SPDX-License-Identifier: Apache-2.0
#include "model/memory.h"

#include "kernels/kv.h"

void ew__memory_layout_init(struct ew__memory_layout *layout, const struct ew__config *c,
                            ew__dtype kv_type, bool with_mtp) {
    uint32_t full = ew__n_full_layers(c);
    layout->kv_type = kv_type;
    layout->n_kv_layers = full + (with_mtp ? 1 : 0);
    layout->n_delta_layers = c->n_layer - full;
    layout->kv_head_bytes = ew__kv_bytes(kv_type, c->head_dim);
    layout->page_bytes = (size_t)layout->n_kv_layers * c->n_head_kv * 2 * layout->kv_head_bytes;
    layout->delta_floats = (size_t)c->n_v_head * c->k_head_dim * c->v_head_dim;
    layout->conv_floats = (size_t)EW__CONV_ROWS * ew__conv_width(c);
    layout->state_floats = layout->n_delta_layers * (layout->delta_floats + layout->conv_floats);
}
