// SPDX-License-Identifier: Apache-2.0
/* The decoders behind ew__dequantize_row, one per block type: `blocks` blocks at any address ->
 * floats. Products and sums are in the order of ggml's reference (ggml-quants.c at d99724f), so
 * that the floats are bit-equal to it; the library is compiled without contraction to FMA. */
#ifndef EW_QUANT_DECODE_H
#define EW_QUANT_DECODE_H

#include "quant/blocks.h"

#include <stddef.h>
#include <stdint.h>

/* src and out do not overlap. */
typedef void ew__decoder(const void *restrict src, float *restrict out, uint64_t blocks);

#define EW__DECLARE_DECODER(name, tag)                                                             \
    void ew__decode_##tag(const void *restrict src, float *restrict out, uint64_t blocks);
EW__BLOCK_MAP(EW__DECLARE_DECODER)
EW__BLOCK_MAP_DECODE_ONLY(EW__DECLARE_DECODER)
#undef EW__DECLARE_DECODER

/* Plain floats: a block is one element. */
void ew__decode_f32(const void *restrict src, float *restrict out, uint64_t n);
void ew__decode_f16(const void *restrict src, float *restrict out, uint64_t n);
void ew__decode_bf16(const void *restrict src, float *restrict out, uint64_t n);
void ew__decode_f64(const void *restrict src, float *restrict out, uint64_t n);

#endif
