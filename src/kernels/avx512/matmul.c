// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/isa.h"

#include "kernels/avx512/vec.h"
#include "kernels/simd/matmul.inc"
