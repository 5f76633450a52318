// SPDX-License-Identifier: Apache-2.0
#include "quant/quant.h"

#include "quant/decode.h"
#include "quant/encode.h"

#include <math.h>
#include <stddef.h>

struct codec {
    ew__decoder *decode;
    uint8_t scale_at[2];  /* offsets of a block's half scales, twice the same where it has one */
    ew__encoder *encode;  /* by rule; NULL: there is none */
    ew__searcher *search; /* NULL: there is none */
};

#define ONE_SCALE(tag)                                                                             \
    { offsetof(struct ew__block_##tag, d), offsetof(struct ew__block_##tag, d) }
#define TWO_SCALES(tag, second)                                                                    \
    { offsetof(struct ew__block_##tag, d), offsetof(struct ew__block_##tag, second) }
#define BLOCKS(tag)           ew__decode_##tag, ONE_SCALE(tag)
#define BLOCKS_2(tag, second) ew__decode_##tag, TWO_SCALES(tag, second)
#define BOTH(tag)             ew__encode_##tag, ew__search_##tag
#define SEARCHED(tag)         NULL, ew__search_##tag

static const struct codec codecs[EW__DTYPE_COUNT] = {
    [EW__F32] = {ew__decode_f32, {0, 0}, ew__encode_f32, NULL},
    [EW__F16] = {ew__decode_f16, {0, 0}, ew__encode_f16, NULL},
    [EW__BF16] = {ew__decode_bf16, {0, 0}, ew__encode_bf16, NULL},
    [EW__F64] = {ew__decode_f64, {0, 0}, NULL, NULL},
    [EW__Q4_0] = {BLOCKS(q4_0), BOTH(q4_0)},
    [EW__Q4_1] = {BLOCKS_2(q4_1, m), BOTH(q4_1)},
    [EW__Q5_0] = {BLOCKS(q5_0), BOTH(q5_0)},
    [EW__Q5_1] = {BLOCKS_2(q5_1, m), BOTH(q5_1)},
    [EW__Q8_0] = {BLOCKS(q8_0), BOTH(q8_0)},
    [EW__Q2_K] = {BLOCKS_2(q2_k, dmin), SEARCHED(q2_k)},
    [EW__Q3_K] = {BLOCKS(q3_k), SEARCHED(q3_k)},
    [EW__Q4_K] = {BLOCKS_2(q4_k, dmin), SEARCHED(q4_k)},
    [EW__Q5_K] = {BLOCKS_2(q5_k, dmin), SEARCHED(q5_k)},
    [EW__Q6_K] = {BLOCKS(q6_k), SEARCHED(q6_k)},
    [EW__IQ4_NL] = {BLOCKS(iq4_nl), SEARCHED(iq4_nl)},
    [EW__IQ4_XS] = {BLOCKS(iq4_xs), SEARCHED(iq4_xs)},
    [EW__IQ2_XXS] = {BLOCKS(iq2_xxs), NULL, NULL},
    [EW__IQ2_XS] = {BLOCKS(iq2_xs), NULL, NULL},
    [EW__IQ2_S] = {BLOCKS(iq2_s), NULL, NULL},
    [EW__IQ3_XXS] = {BLOCKS(iq3_xxs), NULL, NULL},
    [EW__IQ3_S] = {BLOCKS(iq3_s), NULL, NULL},
    [EW__IQ3_K] = {BLOCKS(iq3_k), NULL, NULL},
    [EW__IQ4_K] = {BLOCKS(iq4_k), NULL, NULL},
    [EW__IQ5_K] = {BLOCKS(iq5_k), NULL, NULL},
};

/* NULL for types that are not decoded, also for numbers that are no type at all. */
static const struct codec *codec_of(ew__dtype type) {
    uint32_t id = (uint32_t)type;
    return id < EW__DTYPE_COUNT && codecs[id].decode != NULL ? &codecs[id] : NULL;
}

/* False where n elements are no whole number of blocks. */
static bool count_blocks(ew__dtype type, uint64_t n, uint64_t *blocks) {
    uint32_t elements = ew__dtype_info((uint32_t)type)->block_elements;
    *blocks = n / elements;
    return n % elements == 0;
}

bool ew__dtype_decodable(ew__dtype type) {
    return codec_of(type) != NULL;
}

bool ew__dequantize_row(ew__dtype type, const void *src, float *out, uint64_t n) {
    const struct codec *codec = codec_of(type);
    uint64_t blocks;
    if (codec == NULL || !count_blocks(type, n, &blocks))
        return false;
    codec->decode(src, out, blocks);
    return true;
}

bool ew__dtype_encodable(ew__dtype type) {
    const struct codec *codec = codec_of(type);
    return codec != NULL && (codec->encode != NULL || codec->search != NULL);
}

bool ew__encode_row(ew__dtype type, ew__effort effort, const float *src, const float *importance,
                    void *out, uint64_t n) {
    const struct codec *codec = codec_of(type);
    uint64_t blocks;
    if (!ew__dtype_encodable(type) || !count_blocks(type, n, &blocks))
        return false;
    bool by_rule = codec->encode != NULL && (effort == EW__PLAIN || codec->search == NULL);
    if (by_rule)
        codec->encode(src, out, blocks);
    else
        codec->search(src, importance, out, blocks);
    return true;
}

bool ew__quantize_row(ew__dtype type, const float *src, void *out, uint64_t n) {
    return ew__encode_row(type, EW__PLAIN, src, NULL, out, n);
}

/* A half is infinite or NaN when its exponent is all ones. */
static inline bool half_is_finite(const uint8_t *half) {
    return (ew__load_u16(half) & 0x7c00u) != 0x7c00u;
}

static uint64_t first_bad_scale(const struct codec *codec, const uint8_t *src, uint64_t blocks,
                                size_t block_bytes) {
    for (uint64_t i = 0; i < blocks; i++, src += block_bytes) {
        if (!half_is_finite(src + codec->scale_at[0]) || !half_is_finite(src + codec->scale_at[1]))
            return i;
    }
    return UINT64_MAX;
}

/* Values in pieces that stay in the first cache; a piece is searched only when one pass without
 * branches, which vectorises, saw something that is not finite. */
static uint64_t first_bad_value(const struct codec *codec, const uint8_t *src, uint64_t n,
                                size_t element_bytes) {
    enum { PIECE = 512 };
    float values[PIECE] = {0};
    for (uint64_t at = 0; at < n; at += PIECE) {
        uint64_t count = n - at < PIECE ? n - at : PIECE;
        codec->decode(src + at * element_bytes, values, count);
        int finite = 1;
        for (int i = 0; i < PIECE; i++) // a constant count; past the end are finite leftovers
            finite &= (ew__bits_of_float(values[i]) & 0x7f800000u) != 0x7f800000u;
        for (uint64_t i = 0; !finite && i < count; i++) {
            if (!isfinite(values[i]))
                return at + i;
        }
    }
    return UINT64_MAX;
}

uint64_t ew__first_non_finite(ew__dtype type, const void *src, uint64_t n) {
    const struct codec *codec = codec_of(type);
    const struct ew__dtype_info *info = ew__dtype_info((uint32_t)type);
    if (codec == NULL)
        return UINT64_MAX;
    if (!info->quantised)
        return first_bad_value(codec, src, n, info->block_bytes);
    return first_bad_scale(codec, src, n / info->block_elements, info->block_bytes);
}
