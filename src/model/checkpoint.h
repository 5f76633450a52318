// SPDX-License-Identifier: Apache-2.0
/* A checkpoint on disk, whatever its container, and the two names that each tensor goes by. */
#ifndef EW_MODEL_CHECKPOINT_H
#define EW_MODEL_CHECKPOINT_H

#include "base/status.h"
#include "formats/gguf_read.h"
#include "formats/hf_folder.h"
#include "formats/tensor_desc.h"
#include "model/config.h"

#include <stdbool.h>

/* How many of a kind the model has. */
typedef enum ew__scope {
    EW__PER_MODEL,
    EW__PER_LAYER,
    EW__PER_FULL_LAYER,
    EW__PER_DELTA_LAYER,
    EW__PER_MTP
} ew__scope;

/* What conversion to GGUF does to the values (docs/formats.md, "What conversion changes"). */
typedef enum ew__transform {
    EW__KEEP,
    EW__ADD_ONE,     /* zero-centred norm weight w -> 1 + w; MLX folders hold 1 + w already */
    EW__NEGATE_EXP,  /* A_log -> -exp(A_log) */
    EW__CONV_SQUEEZE /* [C, 1, 4], in MLX [C, 4, 1] -> [C, 4]; the bytes stay */
} ew__transform;

/* Which axis of the tensor runs over the value heads, whose order differs between containers. */
typedef enum ew__v_axis {
    EW__V_NONE,
    EW__V_ROWS,      /* v_head_dim rows per head */
    EW__V_ROWS_TAIL, /* the same, after the 2K rows of queries and keys */
    EW__V_ELEMENTS,  /* one row or element per head */
    EW__V_COLUMNS    /* v_head_dim columns per head */
} ew__v_axis;

/* X(ROLE, scope, GGUF name, HF name, rank, transform, value-head axis). Layer names get the prefix
 * "blk.N." or "<text>layers.N." / "mtp.layers.0."; rank 1 tensors are float vectors. */
#define EW__ROLE_MAP(X)                                                                            \
    X(TOKEN_EMBD, PER_MODEL, "token_embd.weight", "embed_tokens.weight", 2, KEEP, V_NONE)          \
    X(OUTPUT, PER_MODEL, "output.weight", "lm_head.weight", 2, KEEP, V_NONE)                       \
    X(OUTPUT_NORM, PER_MODEL, "output_norm.weight", "norm.weight", 1, ADD_ONE, V_NONE)             \
    X(ATTN_NORM, PER_LAYER, "attn_norm.weight", "input_layernorm.weight", 1, ADD_ONE, V_NONE)      \
    X(POST_NORM, PER_LAYER, "post_attention_norm.weight", "post_attention_layernorm.weight", 1,    \
      ADD_ONE, V_NONE)                                                                             \
    X(FFN_GATE, PER_LAYER, "ffn_gate.weight", "mlp.gate_proj.weight", 2, KEEP, V_NONE)             \
    X(FFN_UP, PER_LAYER, "ffn_up.weight", "mlp.up_proj.weight", 2, KEEP, V_NONE)                   \
    X(FFN_DOWN, PER_LAYER, "ffn_down.weight", "mlp.down_proj.weight", 2, KEEP, V_NONE)             \
    X(ATTN_Q, PER_FULL_LAYER, "attn_q.weight", "self_attn.q_proj.weight", 2, KEEP, V_NONE)         \
    X(ATTN_K, PER_FULL_LAYER, "attn_k.weight", "self_attn.k_proj.weight", 2, KEEP, V_NONE)         \
    X(ATTN_V, PER_FULL_LAYER, "attn_v.weight", "self_attn.v_proj.weight", 2, KEEP, V_NONE)         \
    X(ATTN_OUT, PER_FULL_LAYER, "attn_output.weight", "self_attn.o_proj.weight", 2, KEEP, V_NONE)  \
    X(ATTN_Q_NORM, PER_FULL_LAYER, "attn_q_norm.weight", "self_attn.q_norm.weight", 1, ADD_ONE,    \
      V_NONE)                                                                                      \
    X(ATTN_K_NORM, PER_FULL_LAYER, "attn_k_norm.weight", "self_attn.k_norm.weight", 1, ADD_ONE,    \
      V_NONE)                                                                                      \
    X(DELTA_QKV, PER_DELTA_LAYER, "attn_qkv.weight", "linear_attn.in_proj_qkv.weight", 2, KEEP,    \
      V_ROWS_TAIL)                                                                                 \
    X(DELTA_Z, PER_DELTA_LAYER, "attn_gate.weight", "linear_attn.in_proj_z.weight", 2, KEEP,       \
      V_ROWS)                                                                                      \
    X(DELTA_A, PER_DELTA_LAYER, "ssm_alpha.weight", "linear_attn.in_proj_a.weight", 2, KEEP,       \
      V_ELEMENTS)                                                                                  \
    X(DELTA_B, PER_DELTA_LAYER, "ssm_beta.weight", "linear_attn.in_proj_b.weight", 2, KEEP,        \
      V_ELEMENTS)                                                                                  \
    X(DELTA_CONV, PER_DELTA_LAYER, "ssm_conv1d.weight", "linear_attn.conv1d.weight", 1,            \
      CONV_SQUEEZE, V_ROWS_TAIL)                                                                   \
    X(DELTA_DECAY, PER_DELTA_LAYER, "ssm_a", "linear_attn.A_log", 1, NEGATE_EXP, V_ELEMENTS)       \
    X(DELTA_DT_BIAS, PER_DELTA_LAYER, "ssm_dt.bias", "linear_attn.dt_bias", 1, KEEP, V_ELEMENTS)   \
    X(DELTA_NORM, PER_DELTA_LAYER, "ssm_norm.weight", "linear_attn.norm.weight", 1, KEEP, V_NONE)  \
    X(DELTA_OUT, PER_DELTA_LAYER, "ssm_out.weight", "linear_attn.out_proj.weight", 2, KEEP,        \
      V_COLUMNS)                                                                                   \
    X(MTP_FC, PER_MTP, "nextn.eh_proj.weight", "mtp.fc.weight", 2, KEEP, V_NONE)                   \
    X(MTP_NORM_EMBD, PER_MTP, "nextn.enorm.weight", "mtp.pre_fc_norm_embedding.weight", 1,         \
      ADD_ONE, V_NONE)                                                                             \
    X(MTP_NORM_HIDDEN, PER_MTP, "nextn.hnorm.weight", "mtp.pre_fc_norm_hidden.weight", 1, ADD_ONE, \
      V_NONE)                                                                                      \
    X(MTP_NORM_OUT, PER_MTP, "nextn.shared_head_norm.weight", "mtp.norm.weight", 1, ADD_ONE, V_NONE)

typedef enum ew__role {
#define EW__ROLE_ENUM(role, scope, gguf, hf, rank, transform, axis) EW__##role,
    EW__ROLE_MAP(EW__ROLE_ENUM)
#undef EW__ROLE_ENUM
        EW__ROLE_COUNT
} ew__role;

struct ew__role_info {
    const char *gguf, *hf;
    ew__scope scope;
    uint32_t rank;
    ew__transform transform;
    ew__v_axis v_axis;
};
extern const struct ew__role_info ew__roles[EW__ROLE_COUNT];

struct ew__checkpoint {
    struct ew__gguf *gguf;      /* NULL for a folder */
    struct ew__hf_folder hf;    /* zero for GGUF */
    const char *hf_text_prefix; /* "model.language_model.", "model."... */
    bool hf_norms_shifted;      /* a folder as MLX rewrites it: norms hold 1 + w */
    struct ew__config config;
};

/* Opens a .gguf file or a checkpoint folder and reads its shape; the message names the path. */
ew_status ew__checkpoint_open(const char *path, struct ew__checkpoint *out);
void ew__checkpoint_close(struct ew__checkpoint *checkpoint);

/* The tensor of a role in layer `layer` (layers from config.n_layer on are MTP blocks; ignored for
 * PER_MODEL), or NULL. name, when not NULL, gets the name that was looked for. */
const struct ew__tensor *ew__checkpoint_tensor(const struct ew__checkpoint *checkpoint,
                                               ew__role role, uint32_t layer,
                                               char name[EW__TENSOR_NAME_BYTES_MAX + 1]);
/* What is still to be done to the role's values: ew__roles' transform, or less. */
ew__transform ew__checkpoint_transform(const struct ew__checkpoint *checkpoint, ew__role role);
/* The name a role has in a GGUF file. */
void ew__gguf_tensor_name(ew__role role, uint32_t layer, char name[EW__TENSOR_NAME_BYTES_MAX + 1]);

/* Columns and rows that a role must have: a vector has rows 1. */
void ew__role_shape(const struct ew__config *config, ew__role role, uint64_t *columns,
                    uint64_t *rows);
/* Whether the tensor is such a matrix, or such a vector; dimensions of 1 carry no meaning. The
 * message names the tensor. */
ew_status ew__check_shape(const struct ew__tensor *tensor, const char *name, uint64_t columns,
                          uint64_t rows);
/* Whether the role exists in this layer of this shape. */
bool ew__role_in_layer(const struct ew__config *config, ew__role role, uint32_t layer);

/* Order of the value heads in GGUF: the checkpoint's head that stands at tiled place `tiled`. */
static inline uint32_t ew__v_head_at(const struct ew__config *c, uint32_t tiled) {
    uint32_t r = c->n_v_head / c->n_k_head;
    return tiled % c->n_k_head * r + tiled / c->n_k_head;
}
/* Whether the folder's order of the value heads differs from GGUF's. */
static inline bool ew__v_heads_move(const struct ew__config *c) {
    return c->v_heads_grouped && c->n_v_head != c->n_k_head;
}
/* The type that a quantised matrix with columns of value heads has in GGUF's order of them: F32
 * where heads are no whole blocks. */
ew__dtype ew__tiled_type(const struct ew__config *config, const struct ew__tensor *tensor);
/* A row of V columns in the checkpoint's order of heads -> GGUF's; head_bytes: of one head's
 * columns. */
void ew__tile_v_heads(const struct ew__config *config, const void *from, void *to,
                      size_t head_bytes);

#endif
