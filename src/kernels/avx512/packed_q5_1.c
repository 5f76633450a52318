// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/packed.inc"

PACKED_KERNEL(Q5_1, q5_1)
