// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/packed.inc"

PACKED_KERNEL(Q8_0, q8_0)
