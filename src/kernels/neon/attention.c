// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon/isa.h"

#include "kernels/neon/pairs.h"
#include "kernels/simd/attention.inc"
