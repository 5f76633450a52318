// SPDX-License-Identifier: Apache-2.0
/* Words of simd/peak_i8.inc for NEON. */
#ifndef EW_KERNELS_NEON_PEAK_H
#define EW_KERNELS_NEON_PEAK_H

#include <arm_neon.h>
#include <stdint.h>

#define REGISTER "+w"

typedef int32x4_t sums;
typedef int8x16_t bytes;
#define bytes_set(b)   vdupq_n_s8(b)
#define sums_set(i)    vdupq_n_s32(i)
#define sums_add(a, b) vaddq_s32(a, b)
#define sums_first(a)  vgetq_lane_s32(a, 0)

#endif
