// SPDX-License-Identifier: Apache-2.0
#include "model/matrix_name.h"

#include <stddef.h>

struct place {
    ew__role role;
    size_t at; /* in struct ew__layer_weights */
};

#define PLACE(role, field)                                                                         \
    { EW__##role, offsetof(struct ew__layer_weights, field) }

static const struct place of_every_layer[] = {PLACE(FFN_GATE, gate), PLACE(FFN_UP, up),
                                              PLACE(FFN_DOWN, down)};
static const struct place of_attention[] = {PLACE(ATTN_Q, attention.q), PLACE(ATTN_K, attention.k),
                                            PLACE(ATTN_V, attention.v),
                                            PLACE(ATTN_OUT, attention.out)};
static const struct place of_delta[] = {PLACE(DELTA_QKV, delta.qkv), PLACE(DELTA_Z, delta.z),
                                        PLACE(DELTA_A, delta.a), PLACE(DELTA_B, delta.b),
                                        PLACE(DELTA_OUT, delta.out)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool find_place(const struct place *places, size_t n, size_t at, ew__role *role) {
    for (size_t i = 0; i < n; i++) {
        if (places[i].at != at)
            continue;
        *role = places[i].role;
        return true;
    }
    return false;
}

static bool role_in(const struct ew__layer_weights *layer, const struct ew__matrix *w,
                    ew__role *role) {
    uintptr_t begin = (uintptr_t)layer, address = (uintptr_t)w;
    if (address < begin || address >= begin + sizeof *layer)
        return false;
    size_t at = address - begin;
    if (find_place(of_every_layer, COUNT(of_every_layer), at, role))
        return true;
    return layer->is_full ? find_place(of_attention, COUNT(of_attention), at, role)
                          : find_place(of_delta, COUNT(of_delta), at, role);
}

bool ew__matrix_name(const struct ew__model *model, const struct ew__matrix *w,
                     char name[EW__TENSOR_NAME_BYTES_MAX + 1]) {
    ew__role role = EW__TOKEN_EMBD;
    uint32_t layer = 0, n_layer = model->config->n_layer;
    bool found = w == &model->embd || w == &model->head;
    if (w == &model->head && model->head.data != model->embd.data)
        role = EW__OUTPUT;
    for (uint32_t i = 0; i < n_layer && !found; i++) {
        found = role_in(&model->layers[i], w, &role);
        layer = i;
    }
    if (!found && model->mtp != NULL) {
        found = w == &model->mtp->fc || role_in(&model->mtp->layer, w, &role);
        role = w == &model->mtp->fc ? EW__MTP_FC : role;
        layer = n_layer;
    }
    if (found)
        ew__gguf_tensor_name(role, layer, name);
    return found;
}
