// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: SMMLA for bytes; floats are NEON's. */
#include "kernels/neon_i8mm/isa.h"

#include "kernels/neon/peak.h"

#define BYTE_CHAINS         12u
#define BYTE_PRODUCTS       32u
#define sums_dot(acc, u, q) vmmlaq_s32(acc, u, q)

#include "kernels/simd/peak_i8.inc"
