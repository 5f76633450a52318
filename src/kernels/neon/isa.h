// SPDX-License-Identifier: Apache-2.0
/* Armv8.0 Advanced SIMD: 4 lanes. */
#ifndef EW_KERNELS_NEON_ISA_H
#define EW_KERNELS_NEON_ISA_H

#define EW_ISA neon
#include "kernels/variant.h"

#endif
