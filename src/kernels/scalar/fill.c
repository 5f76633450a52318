// SPDX-License-Identifier: Apache-2.0
#include "kernels/scalar/isa.h"

void K(kernels_fill)(struct ew__kernels *table) {
#define EW__SET_OP(name, result, parameters) table->name = K(name);
    EW__OPS(EW__SET_OP)
#undef EW__SET_OP
#define EW__SET_UNPACK(type, suffix) table->unpack[EW__##type] = K(unpack_##suffix);
    EW__BLOCK_MAP(EW__SET_UNPACK)
#undef EW__SET_UNPACK
#define EW__SET_TWIN(type, tag, ...) table->mul_packed[EW__##type] = K(mul_packed);
    EW__PACKED_MAP(EW__SET_TWIN)
#undef EW__SET_TWIN
    EW__PACKED_FLOAT_MAP(EW__SET_PACKED_FLOAT)
#define EW__SET_SPLIT(type, tag, low)                                                              \
    table->mul_split[EW__##type] = K(mul_split);                                                   \
    table->screen_split[EW__##type] = K(screen_split);
    EW__SPLIT_MAP(EW__SET_SPLIT)
#undef EW__SET_SPLIT
    table->peak_i8 = K(peak_i8);
    table->peak_f32 = K(peak_f32);
    table->isa = "scalar";
}
