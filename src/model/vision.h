// SPDX-License-Identifier: Apache-2.0
/* The vision tower of Qwen3.5: patches of a picture or video in, rows that stand for its tokens in
 * the text model's input out. Maths: docs/model-vision.md. Immutable after open, shared by any
 * number of threads. */
#ifndef EW_MODEL_VISION_H
#define EW_MODEL_VISION_H

#include "base/arena.h"
#include "base/status.h"
#include "formats/gguf_read.h"
#include "formats/hf_folder.h"
#include "formats/tensor_desc.h"
#include "kernels/kernels.h"
#include "kernels/matmul.h"
#include "model/forward.h"
#include "model/image_patches.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ew__vision_shape {
    uint32_t depth;  /* blocks */
    uint32_t n_embd; /* h */
    uint32_t n_head; /* of n_embd / n_head dims, a multiple of 4 */
    uint32_t n_ff;   /* i */
    uint32_t n_out;  /* H of the text model */
    uint32_t side;   /* of the square table of learned positions */
    float norm_eps;
};

/* Widths that tensors are made of. */
typedef enum ew__vision_width {
    EW__W_ONE,       /* a vector */
    EW__W_EMBD,      /* h */
    EW__W_QKV,       /* 3 h: queries, keys, values, each head by head */
    EW__W_FF,        /* i */
    EW__W_MERGED,    /* 4 h: the patches of a token */
    EW__W_OUT,       /* H */
    EW__W_POSITIONS, /* side x side */
    EW__W_PATCH      /* 1536 */
} ew__vision_width;

/* X(ROLE, one per block, GGUF stem, HF stem, columns, rows, has a bias). Names are stem + ".weight"
 * and ".bias"; stems of a block get the prefix "v.blk.N." or "<visual>blocks.N.". A bias has as
 * many values as the weight has rows, with rows ONE as columns. The patch kernel is two tensors in
 * GGUF: ".weight" for the first picture of a pair, ".weight.1" for the second. */
#define EW__VISION_ROLE_MAP(X)                                                                     \
    X(VISION_PATCH, false, "v.patch_embd", "patch_embed.proj", PATCH, EMBD, true)                  \
    X(VISION_POSITION, false, "v.position_embd", "pos_embed", EMBD, POSITIONS, false)              \
    X(VISION_NORM1, true, "ln1", "norm1", EMBD, ONE, true)                                         \
    X(VISION_NORM2, true, "ln2", "norm2", EMBD, ONE, true)                                         \
    X(VISION_QKV, true, "attn_qkv", "attn.qkv", EMBD, QKV, true)                                   \
    X(VISION_ATTN_OUT, true, "attn_out", "attn.proj", EMBD, EMBD, true)                            \
    X(VISION_FC1, true, "ffn_up", "mlp.linear_fc1", EMBD, FF, true)                                \
    X(VISION_FC2, true, "ffn_down", "mlp.linear_fc2", FF, EMBD, true)                              \
    X(MERGER_NORM, false, "v.post_ln", "merger.norm", EMBD, ONE, true)                             \
    X(MERGER_FC1, false, "mm.0", "merger.linear_fc1", MERGED, MERGED, true)                        \
    X(MERGER_FC2, false, "mm.2", "merger.linear_fc2", MERGED, OUT, true)

typedef enum ew__vision_role {
#define EW__VISION_ENUM(role, per_block, gguf, hf, columns, rows, bias) EW__##role,
    EW__VISION_ROLE_MAP(EW__VISION_ENUM)
#undef EW__VISION_ENUM
        EW__VISION_ROLE_COUNT
} ew__vision_role;

struct ew__vision_role_info {
    const char *gguf, *hf;
    ew__vision_width columns, rows;
    bool per_block, has_bias;
};
extern const struct ew__vision_role_info ew__vision_roles[EW__VISION_ROLE_COUNT];

uint64_t ew__vision_width_of(const struct ew__vision_shape *shape, ew__vision_width width);

/* Where a tower lies: one of the two. */
struct ew__vision_source {
    const struct ew__gguf *gguf;    /* an mmproj file, or a model file that embeds v.* and mm.* */
    const struct ew__hf_folder *hf; /* tensors model.visual.*, in MLX folders vision_tower.* */
};

/* Prefix of a folder's vision tensors; NULL when it has none. */
const char *ew__vision_hf_prefix(const struct ew__hf_folder *hf);
/* Whether a patch kernel is MLX's [h, 2, 16, 16, 3], channels last, and not [h, 3, 2, 16, 16]. */
bool ew__patch_channels_last(const struct ew__tensor *kernel);
/* Name of a role in block `block`; suffix ".weight" or ".bias". */
void ew__vision_tensor_name(const struct ew__vision_source *source, ew__vision_role role,
                            uint32_t block, const char *suffix,
                            char name[EW__TENSOR_NAME_BYTES_MAX + 1]);
/* EW_NOT_FOUND without a tower; EW_FORMAT, EW_UNSUPPORTED for one that cannot be, naming the key.
 */
ew_status ew__vision_shape_read(const struct ew__vision_source *source,
                                struct ew__vision_shape *out);

struct ew__vision_linear {
    struct ew__matrix w;
    const float *b; /* [rows] */
};

struct ew__vision_norm {
    const float *w, *b; /* [h] */
};

struct ew__vision_block {
    struct ew__vision_norm norm1, norm2;
    struct ew__vision_linear qkv, out, fc1, fc2;
};

struct ew__vision {
    struct ew__vision_shape shape;
    const struct ew__kernels *kernels;
    struct ew__vision_linear patch; /* [h, 1536] */
    struct ew__matrix positions;    /* [side * side, h], row major over the table */
    struct ew__vision_block *blocks;
    struct ew__vision_norm merger_norm;
    struct ew__vision_linear merger_fc1, merger_fc2; /* [4h, 4h], [H, 4h] */
    struct ew__arena arena;                          /* vectors and copies */
    struct ew__gguf *gguf;                           /* what ew__vision_open opened */
    struct ew__hf_folder hf;
};

/* Opens the tower of a folder or a .gguf file; the message names the path. */
ew_status ew__vision_open(const char *path, const struct ew__kernels *kernels,
                          struct ew__vision *out);
/* The same from a source that is open already and outlives the tower. */
ew_status ew__vision_bind(const struct ew__vision_source *source, const struct ew__kernels *kernels,
                          struct ew__vision *out);
void ew__vision_close(struct ew__vision *vision); /* a zeroed one is fine */

/* Bytes of scratch that the pool's threads need. */
size_t ew__vision_scratch_bytes(const struct ew__vision *vision);
/* Bytes that ew__vision_forward takes for the time of a call; EW_LIMIT when the grid is impossible.
 */
ew_status ew__vision_call_bytes(const struct ew__vision *vision, struct ew__grid grid,
                                size_t *bytes);

struct ew__vision_input {
    const float *patches; /* [ew__grid_patches][1536], as ew__patchify makes them */
    struct ew__grid grid;
    ew__trace_fn *trace; /* or NULL. Values: "patch_embed", "pos_embed", "blocks" (layer = block),
                          * "features". Long videos come in several passes, each traced alone. */
    void *trace_context;
};

/* features[ew__grid_tokens][n_out], in the order of the tokens. Temporal patches do not see each
 * other, so a video may also be given in several calls: the rows are the same, bit for bit. Fails
 * with EW_LIMIT for a grid that is empty, odd or too large, with EW_NO_MEMORY; features are then
 * untouched. One call at a time per pool. */
ew_status ew__vision_forward(const struct ew__vision *vision, struct ew__pool *pool,
                             const struct ew__vision_input *input, float *features);

/* Place of index i of n in a table of `side` entries with the end points aligned: i (side - 1) /
 * (n - 1) lies between entries low and high, at `fraction` from low. */
void ew__vision_axis(uint32_t side, uint32_t n, uint32_t i, uint32_t *low, uint32_t *high,
                     float *fraction);

#endif
