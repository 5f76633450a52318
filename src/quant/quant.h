// SPDX-License-Identifier: Apache-2.0
/* Block types <-> float; decoding is the reference: exact, portable, scalar. Formulas:
 * docs/formats.md, section "Blocks" (source: ggml's block definitions, ggml-common.h). Fast
 * versions live in kernels/. */
#ifndef EW_QUANT_QUANT_H
#define EW_QUANT_QUANT_H

#include "base/dtype.h"
#include "base/status.h"

#include <stdint.h>

/* out[n] from a row of n elements (a multiple of the type's block) of any floating or quantised
 * type. False, and nothing written, for integer types. src may be unaligned. Multiplications are
 * done in the order of ggml's reference routines, so that the floats are bit-equal to theirs. */
bool ew__dequantize_row(ew__dtype type, const void *src, float *out, uint64_t n);
/* Whether the above can decode the type. */
bool ew__dtype_decodable(ew__dtype type);

/* The other way. Blocks of 32 but IQ4_NL have a plain form, which follows a rule and gives the
 * bytes of ggml's reference routines; all types written here have a searched one, with the scales
 * of the least squared error that the search finds (docs/quantisation.md). */
typedef enum ew__effort {
    EW__PLAIN, /* by rule; searched where the type has no rule */
    EW__SEARCH /* F32, F16 and BF16 have nothing to search: nearest, ties to even */
} ew__effort;

/* n elements (a multiple of the block) -> blocks at any address. importance: NULL, or a weight >= 0
 * of each element's squared error, of which only the proportions within a block matter; the plain
 * form takes no notice of it. False, and nothing written, for other types and sizes. The bytes
 * depend on the arguments alone, not on the processor. Blocks of numbers that are not finite, or
 * beyond what the type's scales reach, get a scale that ew__first_non_finite finds. */
bool ew__encode_row(ew__dtype type, ew__effort effort, const float *src, const float *importance,
                    void *out, uint64_t n);
/* Whether the above can write the type. */
bool ew__dtype_encodable(ew__dtype type);
/* The above with EW__PLAIN. */
bool ew__quantize_row(ew__dtype type, const float *src, void *out, uint64_t n);

/* The first NaN or infinite scale of n elements: its block index, or UINT64_MAX when all are
 * finite. For F32/F16/BF16 the values themselves are tested. */
uint64_t ew__first_non_finite(ew__dtype type, const void *src, uint64_t n);

/* IEEE half and bfloat16 <-> float: exact one way, nearest-even the other; NaN stays NaN. */
float ew__f16_to_f32(uint16_t half);
uint16_t ew__f32_to_f16(float value);
float ew__bf16_to_f32(uint16_t bits);
uint16_t ew__f32_to_bf16(float value);

#endif
