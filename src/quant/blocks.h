// SPDX-License-Identifier: Apache-2.0
/* Quantised blocks as they lie in a file, with the small shared pieces of their decoding. Formulas:
 * docs/formats.md, section "Blocks". Source of the layouts and constants: ggml-common.h and
 * ggml-quants.c of ggml-org/ggml at d99724f (MIT).
 *
 * Every field is bytes, so that a struct may be laid over any address; multi-byte fields are
 * little-endian and read with ew__load_u16 / ew__load_u32. d, m and dmin are IEEE half. The kernels
 * room includes this header and nothing else of the room: all but the lattices is inline. */
#ifndef EW_QUANT_BLOCKS_H
#define EW_QUANT_BLOCKS_H

#include "base/cursor.h"
#include "base/dtype.h"

#include <stdint.h>
#include <string.h>

/* Elements of the short blocks and of the super-blocks. */
#define EW__QK  32
#define EW__QKK 256

struct ew__block_q4_0 {
    uint8_t d[2];
    uint8_t qs[16]; /* low nibbles: elements 0-15; high nibbles: 16-31 */
};
struct ew__block_q4_1 {
    uint8_t d[2], m[2];
    uint8_t qs[16];
};
struct ew__block_q5_0 {
    uint8_t d[2];
    uint8_t qh[4]; /* bit i: fifth bit of element i */
    uint8_t qs[16];
};
struct ew__block_q5_1 {
    uint8_t d[2], m[2];
    uint8_t qh[4];
    uint8_t qs[16];
};
struct ew__block_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
};
struct ew__block_q2_k {
    uint8_t scales[16]; /* per 16 elements: low nibble scale, high nibble minimum */
    uint8_t qs[64];
    uint8_t d[2], dmin[2];
};
struct ew__block_q3_k {
    uint8_t hmask[32]; /* third bit; 0 subtracts 4 */
    uint8_t qs[64];
    uint8_t scales[12]; /* see ew__q3k_scales */
    uint8_t d[2];
};
struct ew__block_q4_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12]; /* see ew__k4_scale_min */
    uint8_t qs[128];
};
struct ew__block_q5_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[12]; /* see ew__k4_scale_min */
    uint8_t qh[32];     /* bit j of byte l: fifth bit of element 32 j + l */
    uint8_t qs[128];
};
struct ew__block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16]; /* per 16 elements */
    uint8_t d[2];
};
struct ew__block_iq4_nl {
    uint8_t d[2];
    uint8_t qs[16];
};
struct ew__block_iq4_xs {
    uint8_t d[2];
    uint8_t scales_h[2], scales_l[4]; /* see ew__iq4xs_scale */
    uint8_t qs[128];
};
struct ew__block_iq2_xxs {
    uint8_t d[2];
    uint8_t qs[64]; /* per 32 elements: 4 lattice indices, then u32: 4 x 7 sign bits, 4-bit scale */
};
struct ew__block_iq2_xs {
    uint8_t d[2];
    uint8_t qs[64]; /* 32 x u16: 9-bit lattice index, 7 sign bits */
    uint8_t scales[8];
};
struct ew__block_iq2_s {
    uint8_t d[2];
    uint8_t qs[32];    /* low 8 bits of the lattice indices */
    uint8_t signs[32]; /* one bit per element */
    uint8_t qh[8];     /* high 2 bits of four indices each */
    uint8_t scales[8];
};
struct ew__block_iq3_xxs {
    uint8_t d[2];
    uint8_t qs[64];    /* lattice indices, 4 elements each */
    uint8_t signs[32]; /* per 32 elements u32: 4 x 7 sign bits, 4-bit scale */
};
struct ew__block_iq3_s {
    uint8_t d[2];
    uint8_t qs[64];    /* low 8 bits of the lattice indices */
    uint8_t qh[8];     /* ninth bits, eight indices each */
    uint8_t signs[32]; /* one bit per element */
    uint8_t scales[4];
};

/* ik_llama.cpp's own types (its ggml-common.h at 8337e4c): per 16 elements a signed scale and a bit
 * of `extra` that chooses between two value tables. They occur beside the standard types in its
 * mixes. */
struct ew__block_iq3_k {
    uint8_t d[2], extra[2];
    uint8_t scales_h[2]; /* bit g: scale of group g is negative */
    uint8_t scales_l[8]; /* nibble: (|scale| - 1) / 2 */
    uint8_t qs[64];      /* 2 low bits */
    uint8_t qh[32];      /* bit b of byte l: third bit of element 32 b + l */
};
struct ew__block_iq4_k {
    uint8_t d[2], extra[2];
    uint8_t scales_h[4], scales_l[8]; /* 2 high and 4 low bits of scale + 32 */
    uint8_t qs[128];
};
struct ew__block_iq5_k {
    uint8_t d[2], extra[2];
    uint8_t scales_h[4], scales_l[8];
    uint8_t qs[128];
    uint8_t qh[32]; /* bit b of byte l: fifth bit of element 32 b + l */
};

/* X(TYPE, tag): the quantised types and the names of their structs */
#define EW__BLOCK_MAP(X)                                                                           \
    X(Q4_0, q4_0)                                                                                  \
    X(Q4_1, q4_1)                                                                                  \
    X(Q5_0, q5_0)                                                                                  \
    X(Q5_1, q5_1)                                                                                  \
    X(Q8_0, q8_0)                                                                                  \
    X(Q2_K, q2_k)                                                                                  \
    X(Q3_K, q3_k)                                                                                  \
    X(Q4_K, q4_k)                                                                                  \
    X(Q5_K, q5_k)                                                                                  \
    X(Q6_K, q6_k)                                                                                  \
    X(IQ4_NL, iq4_nl)                                                                              \
    X(IQ4_XS, iq4_xs)                                                                              \
    X(IQ2_XXS, iq2_xxs)                                                                            \
    X(IQ2_XS, iq2_xs)                                                                              \
    X(IQ2_S, iq2_s)                                                                                \
    X(IQ3_XXS, iq3_xxs)                                                                            \
    X(IQ3_S, iq3_s)

/* Types that are decoded only: no kernel has a byte form for them. */
#define EW__BLOCK_MAP_DECODE_ONLY(X)                                                               \
    X(IQ3_K, iq3_k)                                                                                \
    X(IQ4_K, iq4_k)                                                                                \
    X(IQ5_K, iq5_k)

/* The table of base/dtype.h as constants, EW__BYTES_Q4_0 = 18 and so on, to assert against. */
enum {
#define EW__BLOCK_SIZES(name, id, elements, bytes, quantised)                                      \
    EW__BYTES_##name = (bytes), EW__ELEMENTS_##name = (elements),
    EW__DTYPE_MAP(EW__BLOCK_SIZES)
#undef EW__BLOCK_SIZES
};

#define EW__BLOCK_ASSERT(name, tag)                                                                \
    _Static_assert(sizeof(struct ew__block_##tag) == EW__BYTES_##name, "size of a block");         \
    _Static_assert(_Alignof(struct ew__block_##tag) == 1, "blocks lie at any address");            \
    _Static_assert(EW__ELEMENTS_##name == EW__QK || EW__ELEMENTS_##name == EW__QKK, "elements");
EW__BLOCK_MAP(EW__BLOCK_ASSERT)
EW__BLOCK_MAP_DECODE_ONLY(EW__BLOCK_ASSERT)
#undef EW__BLOCK_ASSERT

static inline float ew__float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t ew__bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* b where `condition` is 1, a where it is 0. In bit operations, because gcc turns a selection that
 * involves float arithmetic into a branch, which keeps the loops around it from vectorising. */
static inline uint32_t ew__select_u32(uint32_t condition, uint32_t a, uint32_t b) {
    return a ^ ((a ^ b) & (0u - condition));
}

/* IEEE half -> float, exact. A NaN keeps its payload and comes out quiet, as the processors'
 * conversion instructions do it. */
static inline float ew__half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    uint32_t normal = (magnitude << 13) + (112u << 23); // exponent bias 15 -> 127
    uint32_t special = 0x7f800000u | magnitude << 13 | (uint32_t)(magnitude > 0x7c00u) << 22;
    uint32_t tiny = ew__bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t bits = ew__select_u32(magnitude >= 0x7c00u, normal, special);
    return ew__float_of_bits(sign | ew__select_u32(magnitude < 0x400u, bits, tiny));
}

/* The half at an address of any alignment: `d` of most blocks. */
static inline float ew__half_at(const uint8_t bytes[2]) {
    return ew__half(ew__load_u16(bytes));
}

/* float -> IEEE half, nearest even; 65520 and beyond is infinity; NaN stays NaN, made quiet. */
static inline uint16_t ew__half_of(float value) {
    uint32_t bits = ew__bits_of_float(value), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    /* Below 2^-14 the units of half are 2^-24 = the last place of a float in [0.5, 1): adding 0.5
     * makes the processor round there. */
    uint32_t is_tiny = a<0x38800000u, is_nan = a> 0x7f800000u, is_huge = a >= 0x477ff000u;
    uint32_t tiny = ew__bits_of_float(ew__float_of_bits(ew__select_u32(is_tiny, 0, a)) + 0.5f);
    uint32_t normal = ((a + 0xfffu + (a >> 13 & 1u)) >> 13) - (112u << 10);
    uint32_t half = ew__select_u32(is_tiny, normal, tiny - 0x3f000000u);
    half = ew__select_u32(is_huge, half, 0x7c00u);
    half = ew__select_u32(is_nan, half, 0x7e00u | (a >> 13 & 0x3ffu));
    return (uint16_t)(sign | half);
}

/* Eight bits to eight bytes of 0 or 1, lowest first. Masks instead of shifts, which differ from
 * element to element and so keep loops from being vectorised. */
static inline void ew__spread_bits(uint8_t byte, uint8_t out[8]) {
    static const uint8_t mask[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    for (int i = 0; i < 8; i++)
        out[i] = (byte & mask[i]) != 0;
}

/* Q4_K, Q5_K: the 6-bit scale and minimum of sub-block j < 8, packed in 12 bytes. */
static inline void ew__k4_scale_min(const uint8_t s[12], unsigned j, uint8_t *scale,
                                    uint8_t *minimum) {
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *minimum = (uint8_t)(s[j + 4] >> 4 | (s[j] >> 6) << 4);
    }
}

/* Q3_K: the sixteen signed scales, -32..31, packed in 12 bytes. */
static inline void ew__q3k_scales(const uint8_t s[12], int8_t scales[16]) {
    for (unsigned i = 0; i < 16; i++) {
        unsigned low = (unsigned)s[i & 7] >> (i / 8 * 4) & 15u;
        unsigned high = (unsigned)s[8 + (i & 3)] >> (i / 4 * 2) & 3u;
        scales[i] = (int8_t)((int)(low | high << 4) - 32);
    }
}

/* IQ4_XS: the signed scale of sub-block b < 8, -32..31. */
static inline int8_t ew__iq4xs_scale(const struct ew__block_iq4_xs *block, unsigned b) {
    unsigned low = (unsigned)block->scales_l[b / 2] >> (b % 2 * 4) & 15u;
    unsigned high = (unsigned)ew__load_u16(block->scales_h) >> (2 * b) & 3u;
    return (int8_t)((int)(low | high << 4) - 32);
}

/* IQ4_NL, IQ4_XS: the value of each nibble. */
static const int8_t ew__iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

/* IQ2_XXS, IQ2_XS, IQ3_XXS: seven stored signs and an eighth that makes their number even; bit j
 * set = element j negative. */
static inline uint8_t ew__iq_signs(unsigned stored) {
    unsigned i = stored & 127u, nibble = (i ^ i >> 4) & 15u;
    return (uint8_t)(i | (0x6996u >> nibble & 1u) << 7); // 0x6996: parities of 0..15
}

/* The lattices: magnitudes of 8 (IQ2) or 4 (IQ3) elements, in order. Defined in iq_grids.c. */
extern const uint8_t ew__iq2xxs_grid[256][8];
extern const uint8_t ew__iq2xs_grid[512][8];
extern const uint8_t ew__iq2s_grid[1024][8];
extern const uint8_t ew__iq3xxs_grid[256][4];
extern const uint8_t ew__iq3s_grid[512][4];

#endif
