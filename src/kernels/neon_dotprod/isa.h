// SPDX-License-Identifier: Apache-2.0
/* Armv8.2 dot products, on top of NEON. */
#ifndef EW_KERNELS_NEON_DOTPROD_ISA_H
#define EW_KERNELS_NEON_DOTPROD_ISA_H

#define EW_ISA neon_dotprod
#include "kernels/variant.h"

#endif
