// SPDX-License-Identifier: Apache-2.0
/* AVX2 with FMA and F16C: 8 lanes. */
#ifndef EW_KERNELS_AVX2_ISA_H
#define EW_KERNELS_AVX2_ISA_H

#define EW_ISA avx2
#include "kernels/variant.h"

#endif
