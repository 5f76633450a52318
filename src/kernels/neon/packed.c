// SPDX-License-Identifier: Apache-2.0
/* Products of signed bytes are added in 16 bits, where weights of 4 and 5, of 6 and of 8 bits leave
 * room for 8, 4 and 2 of them: 127 * (31, 63, 128) * (8, 4, 2) < 2^15. Columns are added last. */
#include "kernels/neon/isa.h"

#include "kernels/neon/packed.h"

#define STREAM_REGS(T)         ((T) > 2 ? 1u : (T) > 1 ? 2u : 4u)
#define TILE_REGS              2u
#define TILE_TOKENS            4u
#define PACKED_ADDS_IN_16_BITS 1

typedef const int8_t *quads;

EW__INLINE quads quads_at(const int8_t *q) {
    return q;
}

struct dots {
    int16x8_t low, high; /* rows 0 and 1, rows 2 and 3 */
    int32x4_t total;
};

EW__INLINE struct dots dots_start(const int32_t *start) {
    (void)start;
    return (struct dots){vdupq_n_s16(0), vdupq_n_s16(0), vdupq_n_s32(0)};
}

EW__INLINE struct dots dots_add(unsigned bits, size_t nth, struct dots dots, bytes u, quads q,
                                size_t g) {
    const size_t room = bits <= 5 ? 8 : bits == 6 ? 4 : 2;
    int8x16_t w = vreinterpretq_s8_u8(u);
    int8x16_t four =
        vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)(q + 4 * g)));
    if (nth % room == 0) {
        dots.low = vmull_s8(vget_low_s8(w), vget_low_s8(four));
        dots.high = vmull_high_s8(w, four);
    } else {
        dots.low = vmlal_s8(dots.low, vget_low_s8(w), vget_low_s8(four));
        dots.high = vmlal_high_s8(dots.high, w, four);
    }
    if (nth % room == room - 1) {
        int32x4_t rows = vpaddq_s32(vpaddlq_s16(dots.low), vpaddlq_s16(dots.high));
        dots.total = nth < room ? rows : vaddq_s32(dots.total, rows);
    }
    return dots;
}

EW__INLINE sums dots_end(struct dots dots, const int32_t *start) {
    return vaddq_s32(dots.total, vdupq_n_s32(*start));
}

#include "kernels/simd/packed.inc"
#include "kernels/simd/packed_tile_dots.inc"
