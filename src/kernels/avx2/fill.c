// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx2/isa.h"

#include "kernels/simd/fill.inc"

void K(kernels_fill)(struct ew__kernels *table) {
    fill_templates(table);
    table->mul_u8 = K(mul_u8);
    table->quantise_act = K(quantise_act);
    table->quantise_left = K(quantise_left);
#define EW__SET_UNPACK(type, suffix) table->unpack[EW__##type] = K(unpack_##suffix);
    EW__BLOCK_MAP(EW__SET_UNPACK)
#undef EW__SET_UNPACK
    EW__PACKED_MAP(EW__SET_PACKED)
    table->peak_i8 = K(peak_i8);
    table->peak_f32 = K(peak_f32);
    table->isa = "avx2";
}
