// SPDX-License-Identifier: Apache-2.0
/* Words of simd/packed.inc: SDOT by lane, four columns of four rows at a time. */
#ifndef EW_KERNELS_NEON_DOTPROD_DOTS_H
#define EW_KERNELS_NEON_DOTPROD_DOTS_H

#include "kernels/neon/packed.h"

typedef int8x16x2_t quads;

EW__INLINE quads quads_at(const int8_t *q) {
    return (quads){{vld1q_s8(q), vld1q_s8(q + 16)}};
}

struct dots {
    int32x4_t total;
};

EW__INLINE struct dots dots_start(const int32_t *start) {
    return (struct dots){vdupq_n_s32(*start)};
}

/* A lane is a constant of the instruction, so the choice is spelled out; it folds away. */
EW__INLINE struct dots dots_add(unsigned bits, size_t nth, struct dots dots, bytes u, quads q,
                                size_t g) {
    int8x16_t w = vreinterpretq_s8_u8(u), sixteen = q.val[g / 4];
    (void)bits;
    (void)nth;
    switch (g % 4) {
    case 0:
        return (struct dots){vdotq_laneq_s32(dots.total, w, sixteen, 0)};
    case 1:
        return (struct dots){vdotq_laneq_s32(dots.total, w, sixteen, 1)};
    case 2:
        return (struct dots){vdotq_laneq_s32(dots.total, w, sixteen, 2)};
    default:
        return (struct dots){vdotq_laneq_s32(dots.total, w, sixteen, 3)};
    }
}

EW__INLINE sums dots_end(struct dots dots, const int32_t *start) {
    (void)start;
    return dots.total;
}

#endif
