// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/packed.inc"

PACKED_KERNEL(Q6_K, q6_k)
