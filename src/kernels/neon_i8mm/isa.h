// SPDX-License-Identifier: Apache-2.0
/* Armv8.6 products of byte matrices, on top of NEON with dot products. */
#ifndef EW_KERNELS_NEON_I8MM_ISA_H
#define EW_KERNELS_NEON_I8MM_ISA_H

#define EW_ISA neon_i8mm
#include "kernels/variant.h"

#endif
