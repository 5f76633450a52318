// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon/isa.h"

#include "kernels/neon/vec.h"
#include "kernels/simd/unroll.h"

/* Products of signed bytes are at most 2^14 and fit 16 bits; pairs are added in 32. */
EW__INLINE int32x4_t dot16(int32x4_t acc, int8x16_t a, int8x16_t b) {
    acc = vpadalq_s16(acc, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(acc, vmull_high_s8(a, b));
}

#include "kernels/neon/mul_u8_tile.inc"
