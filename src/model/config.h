// SPDX-License-Identifier: Apache-2.0
/* The shape of a Qwen3.5 model, read from GGUF metadata or config.json and checked. Letters as in
 * docs/model.md. */
#ifndef EW_MODEL_CONFIG_H
#define EW_MODEL_CONFIG_H

#include "base/json.h"
#include "base/limits.h"
#include "base/status.h"
#include "formats/gguf_read.h"

#include <stdbool.h>
#include <stdint.h>

/* Stretching the rotary positions over n_ctx_train tokens (YaRN, Peng et al. 2023, arXiv
 * 2309.00071); factor 1 means none. */
struct ew__yarn {
    double factor;
    uint32_t n_ctx_original; /* positions the base model was trained on */
    double beta_fast, beta_slow;
    double attention_factor; /* multiplies cosine and sine; 0: 0.1 ln(factor) + 1 */
};

struct ew__config {
    uint32_t n_layer;     /* decoder layers without the MTP block */
    uint32_t n_mtp;       /* MTP blocks that the metadata announces: 0 or 1 */
    uint32_t n_embd;      /* H */
    uint32_t n_ff;        /* I */
    uint32_t n_vocab;     /* rows of the embedding */
    uint32_t n_ctx_train; /* positions */
    uint32_t n_head, n_head_kv, head_dim;
    uint32_t n_rot;            /* rotated dims of a head, half-split pairs */
    uint32_t rope_sections[3]; /* frequencies driven by T, H, W: they sum to n_rot / 2 */
    double rope_theta;
    struct ew__yarn yarn;
    float rms_eps;
    uint32_t n_k_head, n_v_head, k_head_dim, v_head_dim; /* of the DeltaNet layers */
    bool tied;                                           /* the head is the embedding */
    uint8_t is_full[EW__LAYERS_MAX]; /* per layer: 1 gated attention, 0 DeltaNet */
    /* Value heads stand grouped by key head (h reads key head h / r, checkpoints) or tiled (h reads
     * h mod n_k_head, GGUF). Same thing when there are as many value as key heads. */
    bool v_heads_grouped;
    int32_t eos; /* -1: none named */
};

/* Derived widths. */
static inline uint32_t ew__key_width(const struct ew__config *c) {
    return c->n_k_head * c->k_head_dim;
}
static inline uint32_t ew__value_width(const struct ew__config *c) {
    return c->n_v_head * c->v_head_dim;
}
static inline uint32_t ew__conv_width(const struct ew__config *c) {
    return 2 * ew__key_width(c) + ew__value_width(c);
}
static inline uint32_t ew__n_full_layers(const struct ew__config *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_layer; i++)
        n += c->is_full[i];
    return n;
}

/* Refuses what is not this architecture or lies outside limits.h, naming the key. n_vocab is 0
 * where the metadata does not say; the embedding's shape then decides. */
ew_status ew__config_from_gguf(const struct ew__gguf *gguf, struct ew__config *out);
ew_status ew__config_from_hf(const json_t *config, struct ew__config *out);
/* Relations between the fields; called by both of the above. */
ew_status ew__config_check(const struct ew__config *config);

#endif
