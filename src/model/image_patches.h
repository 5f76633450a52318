// SPDX-License-Identifier: Apache-2.0
/* Pictures as the vision tower wants them: which size they are brought to, and their cut into
 * patches. Source of the rules: transformers, models/qwen2_vl (images) and models/qwen3_vl (video)
 * at c9de1097 (2026-05-08). The bicubic resize between the two steps is not done here. */
#ifndef EW_MODEL_IMAGE_PATCHES_H
#define EW_MODEL_IMAGE_PATCHES_H

#include "base/status.h"

#include <stdint.h>

/* Fixed by the family; checkpoints that say otherwise are refused. */
#define EW__PATCH_SIDE    16u   /* pixels */
#define EW__PATCH_FRAMES  2u    /* pictures in time; a still image stands in both places */
#define EW__PATCH_MERGE   2u    /* patches on the side of a token */
#define EW__PATCH_VALUES  1536u /* [channel 3][time 2][y 16][x 16] */
#define EW__TOKEN_SIDE    32u   /* pixels: sides are multiples of this */
#define EW__TOKEN_PATCHES 4u

/* Patches in time, height and width; h and w are even. */
struct ew__grid {
    uint32_t t, h, w;
};

/* Pixels that a resized picture should have, or a resized video all its pictures together. */
struct ew__pixel_budget {
    uint64_t min, max;
};
/* preprocessor_config.json and video_preprocessor_config.json of the published checkpoints. */
#define EW__IMAGE_BUDGET ((struct ew__pixel_budget){65536, 16777216})
#define EW__VIDEO_BUDGET ((struct ew__pixel_budget){4096, 25165824})

struct ew__picture_size {
    uint32_t height, width; /* pixels */
};

/* The size a picture is resized to: sides rounded to multiples of 32 (half to even), then scaled
 * into the budget. EW_LIMIT when a side is 0 or above EW__IMAGE_SIDE_MAX or one side is more than
 * 200 times the other. */
ew_status ew__image_size(struct ew__picture_size from, struct ew__pixel_budget budget,
                         struct ew__picture_size *out);
/* The same for a video of n_frames pictures. The rule is the one that the family was published
 * under: the frame count enters the budget rounded up to even, and sides below 32 are refused.
 * (transformers since 2026-08-04 rounds it half to even and scales small sides up.) */
ew_status ew__video_size(uint32_t n_frames, struct ew__picture_size from,
                         struct ew__pixel_budget budget, struct ew__picture_size *out);

/* Grid of n_frames pictures (1 for an image) of a size whose sides are multiples of 32; EW_LIMIT
 * above EW__VISION_PATCHES_MAX patches. */
ew_status ew__grid_of(uint32_t n_frames, struct ew__picture_size size, struct ew__grid *out);
static inline uint32_t ew__grid_patches(struct ew__grid grid) {
    return grid.t * grid.h * grid.w;
}
/* Rows that the tower makes of it, and pad tokens that stand for it in the prompt. */
static inline uint32_t ew__grid_tokens(struct ew__grid grid) {
    return ew__grid_patches(grid) / EW__TOKEN_PATCHES;
}

/* Where patch `index` of a picture w patches wide lies: 2 x 2 blocks in raster order, the patches
 * of a block in raster order. */
static inline void ew__patch_at(uint32_t w, uint32_t index, uint32_t *row, uint32_t *column) {
    uint32_t block = index / EW__TOKEN_PATCHES, inside = index % EW__TOKEN_PATCHES;
    uint32_t blocks = w / EW__PATCH_MERGE;
    *row = block / blocks * EW__PATCH_MERGE + inside / EW__PATCH_MERGE;
    *column = block % blocks * EW__PATCH_MERGE + inside % EW__PATCH_MERGE;
}

/* Bytes rgb[n_frames][height][width][3] -> patches[ew__grid_patches][1536], values
 * (byte / 255 - 0.5) / 0.5. Frames 2j and 2j+1 share a patch; a last one without a partner, such as
 * an image, stands twice. The size is one that ew__grid_of accepts. */
void ew__patchify(const uint8_t *rgb, uint32_t n_frames, struct ew__picture_size size,
                  float *patches);

#endif
