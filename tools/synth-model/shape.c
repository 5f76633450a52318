// SPDX-License-Identifier: Apache-2.0
#include "shape.h"

#include <stdlib.h>
#include <string.h>

struct preset {
    const char *name;
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim;
    uint32_t n_k_head, n_v_head, state_dim; /* key and value head dim alike */
    bool tied;
    uint32_t n_ctx, vocab;
    struct vision_shape vision;
};

/* The published sizes, and a tiny one with their proportions (two value heads per key head, four
 * query heads per key-value head). */
static const struct preset presets[] = {
    {"0.8b",
     24,
     1024,
     3584,
     8,
     2,
     256,
     16,
     16,
     128,
     true,
     262144,
     248320,
     {12, 768, 12, 3072, 2304}},
    {"2b",
     24,
     2048,
     6144,
     8,
     2,
     256,
     16,
     16,
     128,
     true,
     262144,
     248320,
     {24, 1024, 16, 4096, 2304}},
    {"4b",
     32,
     2560,
     9216,
     16,
     4,
     256,
     16,
     32,
     128,
     true,
     262144,
     248320,
     {24, 1024, 16, 4096, 2304}},
    {"9b",
     32,
     4096,
     12288,
     16,
     4,
     256,
     16,
     32,
     128,
     false,
     262144,
     248320,
     {27, 1152, 16, 4304, 2304}},
    {"tiny", 4, 128, 448, 4, 1, 64, 2, 4, 64, true, 4096, VOCAB_BYTES, {2, 64, 4, 128, 64}},
};

bool shape_preset(const char *name, struct shape *shape) {
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        const struct preset *p = &presets[i];
        if (strcmp(p->name, name) != 0)
            continue;
        *shape = (struct shape){.vision = p->vision, .vocab = p->vocab};
        shape->config = (struct ew__config){
            .n_layer = p->n_layer,
            .n_embd = p->n_embd,
            .n_ff = p->n_ff,
            .n_head = p->n_head,
            .n_head_kv = p->n_head_kv,
            .head_dim = p->head_dim,
            .n_k_head = p->n_k_head,
            .n_v_head = p->n_v_head,
            .k_head_dim = p->state_dim,
            .v_head_dim = p->state_dim,
            .tied = p->tied,
            .n_ctx_train = p->n_ctx,
            .rope_theta = 1e7,
            .rms_eps = 1e-6f,
            .eos = -1,
            .yarn = {.factor = 1, .n_ctx_original = p->n_ctx, .beta_fast = 32, .beta_slow = 1}};
        return true;
    }
    return false;
}

bool shape_set(struct shape *shape, const char *assignment) {
    struct ew__config *c = &shape->config;
    uint32_t tied = c->tied;
    const struct {
        const char *name;
        uint32_t *field;
    } fields[] = {
        {"num_hidden_layers", &c->n_layer},
        {"mtp_num_hidden_layers", &c->n_mtp},
        {"hidden_size", &c->n_embd},
        {"intermediate_size", &c->n_ff},
        {"vocab_size", &c->n_vocab},
        {"max_position_embeddings", &c->n_ctx_train},
        {"num_attention_heads", &c->n_head},
        {"num_key_value_heads", &c->n_head_kv},
        {"head_dim", &c->head_dim},
        {"linear_num_key_heads", &c->n_k_head},
        {"linear_num_value_heads", &c->n_v_head},
        {"linear_key_head_dim", &c->k_head_dim},
        {"linear_value_head_dim", &c->v_head_dim},
        {"tie_word_embeddings", &tied},
        {"vision.depth", &shape->vision.depth},
        {"vision.hidden_size", &shape->vision.hidden_size},
        {"vision.num_heads", &shape->vision.num_heads},
        {"vision.intermediate_size", &shape->vision.intermediate_size},
        {"vision.num_position_embeddings", &shape->vision.num_position_embeddings},
    };
    const char *equals = strchr(assignment, '=');
    if (equals == NULL)
        return false;
    size_t n = (size_t)(equals - assignment);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char *end;
        if (strlen(fields[i].name) != n || strncmp(fields[i].name, assignment, n) != 0)
            continue;
        unsigned long value = strtoul(equals + 1, &end, 10);
        if (end == equals + 1 || *end != '\0' || value > UINT32_MAX)
            return false;
        *fields[i].field = (uint32_t)value;
        c->tied = tied != 0;
        return true;
    }
    return false;
}

ew_status shape_finish(struct shape *shape) {
    struct ew__config *c = &shape->config;
    if (c->n_layer > EW__LAYERS_MAX || c->head_dim > EW__HEAD_DIM_MAX)
        return ew__fail(EW_ARGUMENT, "over %u layers or a head of over %u values", EW__LAYERS_MAX,
                        EW__HEAD_DIM_MAX);
    for (uint32_t i = 0; i < c->n_layer; i++)
        c->is_full[i] = (i + 1) % 4 == 0;
    c->n_rot = c->head_dim / 4;
    c->rope_sections[1] = (c->n_rot / 2 + 1) / 3; // 11, 11, 10 for 32 frequencies
    c->rope_sections[2] = c->n_rot / 2 / 3;
    c->rope_sections[0] = c->n_rot / 2 - c->rope_sections[1] - c->rope_sections[2];
    c->yarn.n_ctx_original = c->n_ctx_train;
    struct vision_shape *v = &shape->vision;
    if (shape->has_vision && (v->depth == 0 || v->depth > EW__LAYERS_MAX || v->hidden_size == 0 ||
                              v->hidden_size > EW__WIDTH_MAX || v->num_heads == 0 ||
                              v->hidden_size % v->num_heads != 0 || v->intermediate_size == 0 ||
                              v->intermediate_size > EW__WIDTH_MAX))
        return ew__fail(EW_ARGUMENT, "the vision tower's shape is out of range");
    return ew__config_check(c);
}
