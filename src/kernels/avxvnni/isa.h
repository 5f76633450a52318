// SPDX-License-Identifier: Apache-2.0
/* VPDPBUSD on 256-bit registers without AVX-512, on top of AVX2. */
#ifndef EW_KERNELS_AVXVNNI_ISA_H
#define EW_KERNELS_AVXVNNI_ISA_H

#define EW_ISA avxvnni
#include "kernels/variant.h"

#endif
