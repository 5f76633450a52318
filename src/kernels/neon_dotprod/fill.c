// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon_dotprod/isa.h"

void K(kernels_fill)(struct ew__kernels *table) {
    table->mul_u8 = K(mul_u8);
    EW__PACKED_MAP(EW__SET_PACKED)
    table->peak_i8 = K(peak_i8);
    table->isa = "neon_dotprod";
}
