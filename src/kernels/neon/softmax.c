// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon/isa.h"

#include "kernels/neon/vec.h"
#include "kernels/simd/softmax.inc"
