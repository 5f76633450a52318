// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx2/isa.h"

#include "kernels/avx2/vec.h"
#include "kernels/simd/act.inc"
