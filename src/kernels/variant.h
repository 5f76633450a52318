// SPDX-License-Identifier: Apache-2.0
/* K(name): the symbol of a kernel in the instruction set's folder that defined EW_ISA, and the
 * prototypes of every kernel under those symbols. Included by <isa>/isa.h only. */
#ifndef EW_KERNELS_VARIANT_H
#define EW_KERNELS_VARIANT_H

#include "kernels/kernels.h"
#include "quant/blocks.h"

#define EW__VARIANT_JOIN(name, isa)   ew__##name##_##isa
#define EW__VARIANT_EXPAND(name, isa) EW__VARIANT_JOIN(name, isa)
#define K(name)                       EW__VARIANT_EXPAND(name, EW_ISA)

#define EW__OP_PROTOTYPE(name, result, parameters) result K(name) parameters;
EW__OPS(EW__OP_PROTOTYPE)
#undef EW__OP_PROTOTYPE

/* Overrides the entries of `table` that this folder implements; the one symbol that select.c
 * knows. */
void K(kernels_fill)(struct ew__kernels *table);

ew__peak_fn K(peak_i8), K(peak_bf16), K(peak_f32);

/* One unpack kernel per quantised type. */
#define EW__UNPACK_PROTOTYPE(type, suffix) ew__unpack_fn K(unpack_##suffix);
EW__BLOCK_MAP(EW__UNPACK_PROTOTYPE)
#undef EW__UNPACK_PROTOTYPE

/* Products of packed weights: one kernel per type, or one for all (the scalar twin). */
ew__mul_packed_fn K(mul_packed);
#define EW__PACKED_PROTOTYPE(type, tag, ...) ew__mul_packed_fn K(mul_packed_##tag);
EW__PACKED_MAP(EW__PACKED_PROTOTYPE)
#undef EW__PACKED_PROTOTYPE
#define EW__PACKED_PROTOTYPE(type, tag, ...) ew__mul_packed_float_fn K(mul_packed_##tag);
EW__PACKED_FLOAT_MAP(EW__PACKED_PROTOTYPE)
#undef EW__PACKED_PROTOTYPE

/* For the maps: the table's products of a packed type are this set's. */
#define EW__SET_PACKED(type, tag, ...) table->mul_packed[EW__##type] = K(mul_packed_##tag);
#define EW__SET_PACKED_FLOAT(type, tag, ...)                                                       \
    table->mul_packed_float[EW__##type] = K(mul_packed_##tag);

/* Matrices in two planes, likewise. */
ew__mul_split_fn K(mul_split);
ew__screen_split_fn K(screen_split);
#define EW__SPLIT_PROTOTYPE(type, tag, low)                                                        \
    ew__mul_split_fn K(mul_split_##tag);                                                           \
    ew__screen_split_fn K(screen_split_##tag);
EW__SPLIT_MAP(EW__SPLIT_PROTOTYPE)
#undef EW__SPLIT_PROTOTYPE

#endif
