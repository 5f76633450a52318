// SPDX-License-Identifier: Apache-2.0
/* Searched encoders of the blocks of 32: one half scale, with or without a half minimum. */
#include "quant/encode.h"
#include "quant/search.h"

static const struct ew__levels q4_levels = {.low = -8, .high = 7};
static const struct ew__levels q5_levels = {.low = -16, .high = 15};
static const struct ew__levels q8_levels = {.low = -127, .high = 127}; // -128 is never written
static const struct ew__levels iq4_levels = {.low = -127, .high = 113, .iq4 = true};

#define HALF_MAX 65504.0f

/* Sixteen halves around v, the eighth before it first; none changes sign or overflows. */
EW__LANE void halves_near(float v, float *restrict out) {
    uint16_t half = ew__half_of(v);
    int magnitude = half & 0x7fff;
    for (int c = 0; c < EW__LANES; c++) {
        int near = magnitude + c - 8;
        near = near < 0 ? 0 : near > 0x7bff ? 0x7bff : near;
        out[c] = ew__half((uint16_t)((half & 0x8000) | near));
    }
}

/* The half d with the least error of d * level, infinite where x has no such d; then the levels. */
EW__LANE float search_scale(struct ew__levels levels, const float *restrict x,
                            const float *restrict importance, float least, float *restrict q) {
    float w[EW__QK], scale[EW__LANES], error[EW__LANES], magnitude = ew__magnitude_max(x, EW__QK);
    for (int j = 0; j < EW__QK; j++)
        q[j] = 0.0f;
    if (!(magnitude <= HALF_MAX * (float)-levels.low))
        return INFINITY;
    ew__weights_of(importance, EW__QK, w);
    halves_near(ew__fit_signed(levels, x, w, EW__QK, least), scale);
    ew__signed_errors(levels, x, w, EW__QK, scale, error);
    float d = scale[ew__best_lane(error)], inverse = ew__inverse(d);
    for (int j = 0; j < EW__QK; j++)
        q[j] = ew__level_near(levels, x[j] * inverse);
    return d;
}

/* Thirty-two numbers 0 to 15 as nibbles: elements 0-15 low, 16-31 high. */
EW__LANE void pack_nibbles(const float *restrict q, uint8_t *restrict out) {
    for (int j = 0; j < 16; j++)
        out[j] = (uint8_t)((int)q[j] | (int)q[j + 16] << 4);
}

/* The same of numbers 0 to 31; their fifth bits go to qh. */
EW__LANE void pack_five(const float *restrict q, uint8_t *restrict qs, uint8_t *restrict qh) {
    uint32_t high = 0;
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)(((int)q[j] & 15) | ((int)q[j + 16] & 15) << 4);
    for (int j = 0; j < EW__QK; j++)
        high |= ((uint32_t)(int)q[j] >> 4) << j;
    for (int k = 0; k < 4; k++)
        qh[k] = (uint8_t)(high >> 8 * k & 0xff);
}

EW__LANE void add_to_all(float *restrict q, float offset) {
    for (int j = 0; j < EW__QK; j++)
        q[j] += offset;
}

EW__LANE void search_q4_0(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q4_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        ew__store_half(b->d, search_scale(q4_levels, src, importance, 0.65f, q));
        add_to_all(q, 8.0f);
        pack_nibbles(q, b->qs);
        importance = ew__next_importance(importance, EW__QK);
    }
}

EW__LANE void search_q5_0(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q5_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        ew__store_half(b->d, search_scale(q5_levels, src, importance, 0.8f, q));
        add_to_all(q, 16.0f);
        pack_five(q, b->qs, b->qh);
        importance = ew__next_importance(importance, EW__QK);
    }
}

EW__LANE void search_q8_0(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q8_0 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        ew__store_half(b->d, search_scale(q8_levels, src, importance, 0.97f, q));
        for (int j = 0; j < EW__QK; j++)
            b->qs[j] = (int8_t)q[j];
        importance = ew__next_importance(importance, EW__QK);
    }
}

EW__LANE void search_iq4_nl(const float *restrict src, const float *restrict importance,
                            void *restrict out, uint64_t blocks) {
    struct ew__block_iq4_nl *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        ew__store_half(b->d, search_scale(iq4_levels, src, importance, 0.7f, q));
        for (int j = 0; j < EW__QK; j++)
            q[j] = (float)ew__iq4_index(q[j]);
        pack_nibbles(q, b->qs);
        importance = ew__next_importance(importance, EW__QK);
    }
}

/* ---- d and m ---- */

/* Four halves each around a scale and an offset, as 4 x 4 candidates. */
EW__LANE void affine_halves(struct ew__affine at, float *restrict scale, float *restrict minimum) {
    float scales[EW__LANES], minima[EW__LANES];
    halves_near(at.scale, scales);
    halves_near(at.minimum, minima);
    for (int c = 0; c < EW__LANES; c++) {
        scale[c] = scales[6 + c % 4];
        minimum[c] = minima[6 + c / 4];
    }
}

/* Halves d and -m with the least error of d * level + m, d infinite where there are none. */
EW__LANE struct ew__affine search_affine(int32_t top, const float *restrict x,
                                         const float *restrict importance, float cut,
                                         float *restrict q) {
    float w[EW__QK], scale[EW__LANES], minimum[EW__LANES], error[EW__LANES];
    for (int j = 0; j < EW__QK; j++)
        q[j] = 0.0f;
    if (!(ew__magnitude_max(x, EW__QK) <= HALF_MAX))
        return (struct ew__affine){INFINITY, 0.0f};
    ew__weights_of(importance, EW__QK, w);
    struct ew__affine at = ew__fit_affine(top, x, w, EW__QK, -INFINITY, cut);
    affine_halves(at, scale, minimum);
    ew__affine_errors(top, x, w, EW__QK, scale, minimum, error);
    int lane = ew__best_lane(error);
    at = (struct ew__affine){scale[lane], minimum[lane]};
    float inverse = ew__inverse(at.scale);
    for (int j = 0; j < EW__QK; j++)
        q[j] = ew__round_in((x[j] + at.minimum) * inverse, 0, top);
    return at;
}

EW__LANE void search_q4_1(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q4_1 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        struct ew__affine at = search_affine(15, src, importance, 0.04f, q);
        ew__store_half(b->d, at.scale);
        ew__store_half(b->m, -at.minimum);
        pack_nibbles(q, b->qs);
        importance = ew__next_importance(importance, EW__QK);
    }
}

EW__LANE void search_q5_1(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q5_1 *b = out;
    for (uint64_t i = 0; i < blocks; i++, b++, src += EW__QK) {
        float q[EW__QK];
        struct ew__affine at = search_affine(31, src, importance, 0.02f, q);
        ew__store_half(b->d, at.scale);
        ew__store_half(b->m, -at.minimum);
        pack_five(q, b->qs, b->qh);
        importance = ew__next_importance(importance, EW__QK);
    }
}

EW__DEFINE_SEARCHER(q4_0)
EW__DEFINE_SEARCHER(q4_1)
EW__DEFINE_SEARCHER(q5_0)
EW__DEFINE_SEARCHER(q5_1)
EW__DEFINE_SEARCHER(q8_0)
EW__DEFINE_SEARCHER(iq4_nl)
