// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon_i8mm/isa.h"

void K(kernels_fill)(struct ew__kernels *table) {
    EW__PACKED_MAP(EW__SET_PACKED)
    table->peak_i8 = K(peak_i8);
    table->isa = "neon_i8mm";
}
