// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: FMA, and for bytes widening products added in pairs. */
#include "kernels/neon/isa.h"

#include "kernels/neon/peak.h"
#include "kernels/neon/vec.h"
#include "kernels/simd/unroll.h"

#include "kernels/simd/peak.inc"

#define BYTE_CHAINS   12u
#define BYTE_PRODUCTS 16u

EW__INLINE sums sums_dot(sums acc, bytes u, bytes q) {
    int16x8_t pairs = vmull_s8(vget_low_s8(u), vget_low_s8(q));
    return vpadalq_s16(acc, vmlal_s8(pairs, vget_high_s8(u), vget_high_s8(q)));
}

#include "kernels/simd/peak_i8.inc"
