// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon_dotprod/isa.h"

#include "kernels/neon_dotprod/dots.h"

#define STREAM_REGS(T)         ((T) > 2 ? 2u : 4u)
#define TILE_REGS              2u
#define TILE_TOKENS            4u
#define PACKED_ADDS_IN_16_BITS 0

#include "kernels/simd/packed.inc"
#include "kernels/simd/packed_tile_dots.inc"
