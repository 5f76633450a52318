// SPDX-License-Identifier: Apache-2.0
/* A loaded model: checkpoint, typed weights, kernels. Immutable after open, shared by any number of
 * sequences and threads. */
#ifndef EW_MODEL_MODEL_H
#define EW_MODEL_MODEL_H

#include "base/arena.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "kernels/matmul.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/copies.h"
#include "model/pack_cache.h"

#include <stdbool.h>

struct ew__delta_weights {
    struct ew__matrix qkv; /* [2K+V, H] */
    struct ew__matrix z;   /* [V, H] */
    struct ew__matrix a;   /* [n_v_head, H]: decay */
    struct ew__matrix b;   /* [n_v_head, H]: beta */
    struct ew__matrix out; /* [H, V], columns with the value heads in tiled order */
    const float *conv;     /* [4][2K+V], oldest tap first */
    const float *decay;    /* [n_v_head]: -exp(A_log) */
    const float *dt_bias;  /* [n_v_head] */
    const float *norm;     /* [v_head_dim] */
};

struct ew__attention_weights {
    struct ew__matrix q;    /* [n_head * 2 * head_dim, H]: per head query rows, then gate rows */
    struct ew__matrix k, v; /* [n_head_kv * head_dim, H] */
    struct ew__matrix out;  /* [H, n_head * head_dim] */
    const float *q_norm, *k_norm; /* [head_dim], 1 + w */
};

struct ew__layer_weights {
    bool is_full;
    const float *attn_norm, *post_norm; /* [H], 1 + w */
    struct ew__matrix gate, up;         /* [I, H] */
    struct ew__matrix down;             /* [H, I] */
    union {
        struct ew__delta_weights delta;
        struct ew__attention_weights attention;
    };
};

struct ew__mtp_weights {
    struct ew__matrix fc;                            /* [H, 2H]: embedding columns first */
    const float *norm_embd, *norm_hidden, *norm_out; /* [H], 1 + w */
    struct ew__layer_weights layer;                  /* a full-attention layer */
};

struct ew__model {
    struct ew__checkpoint checkpoint;
    const struct ew__config *config; /* checkpoint.config, n_vocab settled */
    const struct ew__kernels *kernels;
    struct ew__matrix embd, head; /* [n_vocab, H]; equal when tied */
    const float *out_norm;        /* [H] */
    struct ew__layer_weights *layers;
    struct ew__mtp_weights *mtp; /* NULL when absent or incomplete */
    const char *mtp_missing; /* the tensor whose absence dropped an announced MTP block, or NULL */
    struct ew__arena arena;  /* small vectors and reordered copies */
    struct ew__copies
        copies; /* rows made at loading; packed matrices have none, their data is NULL */
    struct ew__pack_store packed; /* the matrices' packed forms; zero where there are none */
};

struct ew__model_options {
    const char *isa;   /* kernel table by name; NULL chooses */
    bool check_finite; /* read every weight once and refuse NaN and infinite values or scales */
    bool no_cache;     /* keep packed weights in memory, not in a file of the cache folder */
    bool no_weights;   /* the checkpoint and its shape alone: no tensor is bound */
    bool unpacked;     /* leave weights as they lie in the file: for f32 activations throughout,
                        * which packed matrices of MLX folders cannot meet */
};

ew_status ew__model_open(const char *path, const struct ew__model_options *options,
                         struct ew__model *out);
void ew__model_close(struct ew__model *model);

/* Bytes of the tensors that one decoded token reads (embedding row excepted), of all weights, and
 * of copies that had to be made at loading. */
uint64_t ew__model_bytes_per_token(const struct ew__model *model);
uint64_t ew__model_weight_bytes(const struct ew__model *model);
uint64_t ew__model_copied_bytes(const struct ew__model *model);
/* Multiply-adds of the weight matrices for one token of a prompt: without the head, which only the
 * last one meets. */
uint64_t ew__model_prompt_macs(const struct ew__model *model);
/* The type that most of these multiply-adds read. */
ew__dtype ew__model_main_type(const struct ew__model *model);

#endif
