// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon_dotprod/isa.h"

#include "kernels/neon/vec.h"
#include "kernels/simd/unroll.h"

EW__INLINE int32x4_t dot16(int32x4_t acc, int8x16_t a, int8x16_t b) {
    return vdotq_s32(acc, a, b);
}

#include "kernels/neon/mul_u8_tile.inc"
