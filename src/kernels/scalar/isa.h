// SPDX-License-Identifier: Apache-2.0
/* The definition of every kernel: plain C for any processor. */
#ifndef EW_KERNELS_SCALAR_ISA_H
#define EW_KERNELS_SCALAR_ISA_H

#define EW_ISA scalar
#include "kernels/variant.h"

#endif
