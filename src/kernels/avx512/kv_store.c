// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/isa.h"

#include "kernels/simd/kv_store.inc"
