// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/isa.h"

#include "kernels/simd/kv_store.inc"
