// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/isa.h"

void K(kernels_fill)(struct ew__kernels *table) {
#define EW__SET_OP(name, result, parameters) table->name = K(name);
    EW__OPS(EW__SET_OP)
#undef EW__SET_OP
#define EW__SET_UNPACK(type, suffix) table->unpack[EW__##type] = K(unpack_##suffix);
    EW__BLOCK_MAP(EW__SET_UNPACK)
#undef EW__SET_UNPACK
#define EW__SET_PACKED(type, tag, ...) table->mul_packed[EW__##type] = K(mul_packed);
    EW__PACKED_MAP(EW__SET_PACKED)
#undef EW__SET_PACKED
#define EW__SET_PACKED(type, tag, ...) table->mul_packed_float[EW__##type] = K(mul_packed_##tag);
    EW__PACKED_FLOAT_MAP(EW__SET_PACKED)
#undef EW__SET_PACKED
    table->peak_i8 = K(peak_i8);
    table->peak_f32 = K(peak_f32);
    table->isa = "scalar";
}
