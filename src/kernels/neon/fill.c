// SPDX-License-Identifier: Apache-2.0
#include "kernels/neon/isa.h"

#include "kernels/simd/fill.inc"

void K(kernels_fill)(struct ew__kernels *table) {
    fill_templates(table);
    table->mul_u8 = K(mul_u8);
    table->quantise_act = K(quantise_act);
    table->quantise_left = K(quantise_left);
    table->unpack[EW__Q4_0] = K(unpack_q4_0);
    table->unpack[EW__Q8_0] = K(unpack_q8_0);
    table->unpack[EW__Q4_K] = K(unpack_q4_k);
    table->unpack[EW__Q5_K] = K(unpack_q5_k);
    table->unpack[EW__Q6_K] = K(unpack_q6_k);
    table->unpack[EW__IQ4_NL] = K(unpack_iq4_nl);
    table->unpack[EW__IQ4_XS] = K(unpack_iq4_xs);
    EW__PACKED_MAP(EW__SET_PACKED)
    table->peak_i8 = K(peak_i8);
    table->peak_f32 = K(peak_f32);
    table->isa = "neon";
}
