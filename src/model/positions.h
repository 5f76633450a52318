// SPDX-License-Identifier: Apache-2.0
/* T, H, W positions of sequences that mix text with pictures (M-RoPE). Source: transformers,
 * models/qwen3_5 at decba1d2, get_rope_index; docs/model.md, "Positions". */
#ifndef EW_MODEL_POSITIONS_H
#define EW_MODEL_POSITIONS_H

#include "base/status.h"
#include "model/image_patches.h"

#include <stddef.h>
#include <stdint.h>

/* A scan over a sequence; zero at its start. */
struct ew__positions {
    uint32_t n_tokens; /* scanned so far */
    uint32_t next;     /* position of the token after them: the largest used, plus 1 */
};

/* What is added to a later token's index to give its position: 0 for text, negative after pictures,
 * because a picture of h x w tokens takes max(h, w) positions. */
static inline int32_t ew__rope_delta(const struct ew__positions *scan) {
    return (int32_t)((int64_t)scan->next - (int64_t)scan->n_tokens);
}

/* n tokens of text, vision_start and vision_end among them: T = H = W = next, next + 1, ... Both
 * calls fail with EW_LIMIT, changing nothing, when the sequence passes EW__CONTEXT_MAX. */
ew_status ew__position_text(struct ew__positions *scan, size_t n, int32_t (*out)[3]);
/* A picture, or one temporal patch of a video, of h x w tokens (not patches), row by row: T = next,
 * H = next + row, W = next + column. */
ew_status ew__position_picture(struct ew__positions *scan, uint32_t h, uint32_t w,
                               int32_t (*out)[3]);

typedef enum ew__token_kind {
    EW__TOKEN_TEXT = 0,
    EW__TOKEN_IMAGE = 1,
    EW__TOKEN_VIDEO = 2
} ew__token_kind;

/* Grids, in patches, of the pictures and videos of a sequence in order. */
struct ew__media_grids {
    const struct ew__grid *images, *videos;
    size_t n_images, n_videos;
};

/* A whole sequence from the kind of each token: image tokens take the images' grids in order, video
 * tokens those of the videos, whose every temporal patch is a picture of its own. Fails with
 * EW_ARGUMENT when tokens and grids do not match exactly. */
ew_status ew__position_tokens(struct ew__positions *scan, const uint8_t *kinds, size_t n,
                              const struct ew__media_grids *grids, int32_t (*out)[3]);

#endif
