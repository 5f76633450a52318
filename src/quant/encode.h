// SPDX-License-Identifier: Apache-2.0
/* The encoders behind ew__quantize_row: floats -> blocks at any address.
 *
 * Two kinds. The plain ones follow a rule and give the same bytes as ggml's reference routines
 * (quantize_row_*_ref in ggml-quants.c at d99724f). The searched ones look for the scales with the
 * least weighted squared error; docs/quantisation.md describes how. Neither depends on the
 * processor: the searches keep to lanes (lanes.h), are compiled once per instruction set, and give
 * the same bytes in each. A block that holds a NaN or an infinity, or numbers beyond its scale's
 * range, gets a scale that is not finite, which ew__first_non_finite finds. */
#ifndef EW_QUANT_ENCODE_H
#define EW_QUANT_ENCODE_H

#include <stdint.h>

/* n elements, or blocks for block types. */
typedef void ew__encoder(const float *restrict src, void *restrict out, uint64_t blocks);

void ew__encode_f32(const float *restrict src, void *restrict out, uint64_t n);
void ew__encode_f16(const float *restrict src, void *restrict out, uint64_t n);
void ew__encode_bf16(const float *restrict src, void *restrict out, uint64_t n);
void ew__encode_q4_0(const float *restrict src, void *restrict out, uint64_t blocks);
void ew__encode_q4_1(const float *restrict src, void *restrict out, uint64_t blocks);
void ew__encode_q5_0(const float *restrict src, void *restrict out, uint64_t blocks);
void ew__encode_q5_1(const float *restrict src, void *restrict out, uint64_t blocks);
void ew__encode_q8_0(const float *restrict src, void *restrict out, uint64_t blocks);

/* importance: a weight >= 0 for each element of src, or NULL where all count alike. Only the
 * proportions within a block matter; a NaN or an infinity counts as 0. */
typedef void ew__searcher(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks);

/* X(TYPE, tag): the types that have a searched encoder. */
#define EW__SEARCH_MAP(X)                                                                          \
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
    X(IQ4_XS, iq4_xs)

#define EW__DECLARE_SEARCHER(name, tag)                                                            \
    void ew__search_##tag(const float *restrict src, const float *restrict importance,             \
                          void *restrict out, uint64_t blocks);
EW__SEARCH_MAP(EW__DECLARE_SEARCHER)
#undef EW__DECLARE_SEARCHER

/* The instruction sets that searches are compiled for, from the least. */
typedef enum ew__search_isa { EW__SEARCH_BASE, EW__SEARCH_AVX2, EW__SEARCH_AVX512 } ew__search_isa;

/* The best one that this processor has, but none above the limit. */
ew__search_isa ew__search_isa_here(void);
/* For tests; not while others encode. */
void ew__search_limit(ew__search_isa most);

/* EW__DEFINE_SEARCHER(tag): ew__search_<tag> from the static inline function search_<tag>, once per
 * instruction set. */
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define EW__DEFINE_SEARCHER(tag)                                                                   \
    __attribute__((target("avx2"))) static void tag##_avx2(const float *restrict src,              \
                                                           const float *restrict importance,       \
                                                           void *restrict out, uint64_t blocks) {  \
        search_##tag(src, importance, out, blocks);                                                \
    }                                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static void tag##_avx512(        \
        const float *restrict src, const float *restrict importance, void *restrict out,           \
        uint64_t blocks) {                                                                         \
        search_##tag(src, importance, out, blocks);                                                \
    }                                                                                              \
    static void tag##_base(const float *restrict src, const float *restrict importance,            \
                           void *restrict out, uint64_t blocks) {                                  \
        search_##tag(src, importance, out, blocks);                                                \
    }                                                                                              \
    void ew__search_##tag(const float *restrict src, const float *restrict importance,             \
                          void *restrict out, uint64_t blocks) {                                   \
        static ew__searcher *const by_isa[] = {tag##_base, tag##_avx2, tag##_avx512};              \
        by_isa[ew__search_isa_here()](src, importance, out, blocks);                               \
    }
#else
#define EW__DEFINE_SEARCHER(tag)                                                                   \
    void ew__search_##tag(const float *restrict src, const float *restrict importance,             \
                          void *restrict out, uint64_t blocks) {                                   \
        search_##tag(src, importance, out, blocks);                                                \
    }
#endif

#endif
