// SPDX-License-Identifier: Apache-2.0
/* The most this set can do on registers: VPDPBUSD for bytes; floats are AVX2's. */
#include "kernels/avxvnni/isa.h"

#include "kernels/avx2/peak.h"

#define BYTE_CHAINS         12u
#define sums_dot(acc, u, q) _mm256_dpbusd_avx_epi32(acc, u, q)

#include "kernels/simd/peak_i8.inc"
