// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx2/isa.h"

#include "kernels/avx2/pairs.h"
#include "kernels/simd/attention.inc"
