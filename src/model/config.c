// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <math.h>

/* One field with its allowed range, for a table that reads like the limits it enforces. */
struct field {
    const char *name;
    uint64_t value, min, max;
};

static ew_status check_ranges(const struct ew__config *c) {
    const struct field fields[] = {
        {"number of layers", c->n_layer, 1, EW__LAYERS_MAX},
        {"hidden size", c->n_embd, 1, EW__WIDTH_MAX},
        {"feed-forward size", c->n_ff, 1, EW__WIDTH_MAX},
        {"vocabulary size", c->n_vocab, 0, EW__VOCAB_MAX},
        {"context length", c->n_ctx_train, 1, EW__CONTEXT_MAX},
        {"number of attention heads", c->n_head, 1, EW__HEADS_MAX},
        {"number of key-value heads", c->n_head_kv, 1, EW__HEADS_MAX},
        {"head dimension", c->head_dim, 1, EW__HEAD_DIM_MAX},
        {"rotary dimensions", c->n_rot, 2, c->head_dim},
        {"number of linear key heads", c->n_k_head, 1, EW__HEADS_MAX},
        {"number of linear value heads", c->n_v_head, 1, EW__HEADS_MAX},
        {"linear key head dimension", c->k_head_dim, 1, EW__HEAD_DIM_MAX},
        {"linear value head dimension", c->v_head_dim, 1, EW__HEAD_DIM_MAX},
        {"number of MTP blocks", c->n_mtp, 0, 1},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value < fields[i].min || fields[i].value > fields[i].max)
            return ew__fail(EW_FORMAT, "the %s is %llu, allowed are %llu to %llu", fields[i].name,
                            (unsigned long long)fields[i].value, (unsigned long long)fields[i].min,
                            (unsigned long long)fields[i].max);
    return EW_OK;
}

ew_status ew__config_check(const struct ew__config *c) {
    EW__TRY(check_ranges(c));
    if (c->n_head % c->n_head_kv != 0)
        return ew__fail(EW_FORMAT, "%u attention heads cannot share %u key-value heads", c->n_head,
                        c->n_head_kv);
    if (c->n_v_head % c->n_k_head != 0)
        return ew__fail(EW_FORMAT, "%u linear value heads cannot share %u key heads", c->n_v_head,
                        c->n_k_head);
    if (c->n_rot % 2 != 0)
        return ew__fail(EW_FORMAT, "the number of rotary dimensions is odd: %u", c->n_rot);
    if ((uint64_t)c->n_head * c->head_dim > EW__WIDTH_MAX / 2 ||
        (uint64_t)c->n_k_head * c->k_head_dim > EW__WIDTH_MAX ||
        (uint64_t)c->n_v_head * c->v_head_dim > EW__WIDTH_MAX)
        return ew__fail(EW_FORMAT, "the attention heads are wider than %u values together",
                        EW__WIDTH_MAX);
    uint64_t sections = (uint64_t)c->rope_sections[0] + c->rope_sections[1] + c->rope_sections[2];
    if (sections != c->n_rot / 2)
        return ew__fail(EW_FORMAT, "the rope sections sum to %llu, %u rotary dimensions need %u",
                        (unsigned long long)sections, c->n_rot, c->n_rot / 2);
    if (!(c->rms_eps > 0 && c->rms_eps < 1) || !(c->rope_theta > 1 && c->rope_theta < 1e15))
        return ew__fail(EW_FORMAT, "the norm epsilon %g or the rope base %g is out of range",
                        (double)c->rms_eps, c->rope_theta);
    if (!(c->yarn.factor >= 1 && c->yarn.factor <= 1024) || c->yarn.n_ctx_original == 0 ||
        !isfinite(c->yarn.attention_factor) || !(c->yarn.beta_fast > 0) || !(c->yarn.beta_slow > 0))
        return ew__fail(EW_FORMAT, "the YaRN rope scaling is out of range");
    return EW_OK;
}
