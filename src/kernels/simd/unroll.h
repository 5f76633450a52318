// SPDX-License-Identifier: Apache-2.0
/* Register tiles are small arrays of vectors: they live in registers only when the loops over them
 * are unrolled away. EW__TILE_LOOP stands before such a loop of constant length. */
#ifndef EW_KERNELS_SIMD_UNROLL_H
#define EW_KERNELS_SIMD_UNROLL_H

#if defined(__clang__)
#define EW__TILE_LOOP _Pragma("clang loop unroll(full)")
#else
#define EW__TILE_LOOP _Pragma("GCC unroll 16")
#endif

#define EW__INLINE static inline __attribute__((always_inline))

#endif
