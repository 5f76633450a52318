// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/packed.inc"

PACKED_KERNEL(IQ4_XS, iq4_xs)
