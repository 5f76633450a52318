// SPDX-License-Identifier: Apache-2.0
/* AVX-512 F, BW, DQ, VL and VNNI: 16 lanes. */
#ifndef EW_KERNELS_AVX512_ISA_H
#define EW_KERNELS_AVX512_ISA_H

#define EW_ISA avx512
#include "kernels/variant.h"

#endif
