// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/isa.h"

#include "kernels/avx512/pairs.h"
#include "kernels/simd/attention.inc"
