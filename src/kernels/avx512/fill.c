// SPDX-License-Identifier: Apache-2.0
#include "kernels/avx512/isa.h"

#include "kernels/simd/fill.inc"

void K(kernels_fill)(struct ew__kernels *table) {
    fill_templates(table);
    table->mul_u8 = K(mul_u8);
    table->quantise_act = K(quantise_act);
    table->quantise_left = K(quantise_left);
    EW__PACKED_MAP(EW__SET_PACKED)
    EW__PACKED_FLOAT_MAP(EW__SET_PACKED_FLOAT)
#define EW__SET_SPLIT(type, tag, low)                                                              \
    table->mul_split[EW__##type] = K(mul_split_##tag);                                             \
    table->screen_split[EW__##type] = K(screen_split_##tag);
    EW__SPLIT_MAP(EW__SET_SPLIT)
#undef EW__SET_SPLIT
    table->peak_i8 = K(peak_i8);
    table->peak_f32 = K(peak_f32);
    table->isa = "avx512vnni";
}
