// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: SDOT for bytes; floats are NEON's. */
#include "kernels/neon_dotprod/isa.h"

#include "kernels/neon/peak.h"

#define BYTE_CHAINS         12u
#define BYTE_PRODUCTS       16u
#define sums_dot(acc, u, q) vdotq_s32(acc, u, q)

#include "kernels/simd/peak_i8.inc"
