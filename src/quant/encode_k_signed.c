// SPDX-License-Identifier: Apache-2.0
/* Searched encoders of the super-blocks whose sub-blocks have signed integer scales and no minimum:
 * Q3_K, Q6_K, IQ4_XS. */
#include "quant/encode.h"
#include "quant/search.h"

enum { SUBS_MAX = 16, ROUNDS = 3 };

struct form {
    struct ew__levels levels;
    int subs, n; /* sub-blocks; elements of each */
    int scale_low, scale_high;
    float least; /* how far scales are shrunk in the search; 1: not searched before d is known */
};
static const struct form q3_form = {{.low = -4, .high = 3}, 16, 16, -32, 31, 0.5f};
static const struct form q6_form = {{.low = -32, .high = 31}, 16, 16, -128, 127, 0.85f};
static const struct form iq4_form = {{.low = -127, .high = 113, .iq4 = true}, 8, 32, -32, 31, 0.7f};

struct coding {
    float d, error;
    float scales[SUBS_MAX]; /* integers */
};

/* Continuous scales of the sub-blocks. */
EW__LANE void fit_scales(struct form form, const float *restrict x, const float *restrict w,
                         float *restrict fit) {
    for (int b = 0; b < form.subs; b++) {
        const float *xb = x + b * form.n, *wb = w + b * form.n;
        fit[b] = form.least < 1.0f ? ew__fit_signed(form.levels, xb, wb, form.n, form.least)
                                   : ew__largest(xb, form.n) / (float)form.levels.low;
    }
}

/* The integer scale of a sub-block with the least error, among the sixteen from `first` on. */
EW__LANE float best_of_sixteen(struct form form, const float *restrict x, const float *restrict w,
                               float d, float first, float *restrict error) {
    float integer[EW__LANES], scale[EW__LANES], errors[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        float v = first + (float)c;
        v = v < (float)form.scale_low ? (float)form.scale_low : v;
        integer[c] = v > (float)form.scale_high ? (float)form.scale_high : v;
        scale[c] = d * integer[c];
    }
    ew__signed_errors(form.levels, x, w, form.n, scale, errors);
    int lane = ew__best_lane(errors);
    *error = errors[lane];
    return integer[lane];
}

/* Given d: for each sub-block the integer scale with the least error, near the continuous one. */
EW__LANE void choose_scales(struct form form, const float *restrict x, const float *restrict w,
                            const float *restrict fit, struct coding *coding) {
    float inverse = ew__inverse(coding->d);
    coding->error = 0.0f;
    for (int b = 0; b < form.subs; b++) {
        float error, near = ew__round_in(fit[b] * inverse, form.scale_low, form.scale_high);
        coding->scales[b] =
            best_of_sixteen(form, x + b * form.n, w + b * form.n, coding->d, near - 8.0f, &error);
        coding->error += error;
    }
}

/* The d that is best for the integer scales and the levels they give:
 * sum w x (s q) / sum w (s q)^2. */
EW__LANE float solve_d(struct form form, const float *restrict x, const float *restrict w,
                       const struct coding *coding) {
    float up[EW__LANES] = {0}, down[EW__LANES] = {0};
    for (int b = 0; b < form.subs; b++) {
        float scale = coding->scales[b], inverse = ew__inverse(coding->d * scale);
        for (int j = b * form.n; j < (b + 1) * form.n; j += EW__LANES) {
            for (int c = 0; c < EW__LANES; c++) {
                float sq = scale * ew__level_near(form.levels, x[j + c] * inverse);
                up[c] += w[j + c] * x[j + c] * sq;
                down[c] += w[j + c] * sq * sq;
            }
        }
    }
    float below = ew__sum_lanes(down);
    return below > 0.0f ? ew__sum_lanes(up) / below : coding->d;
}

EW__LANE void write_levels(struct form form, const float *restrict x, const struct coding *coding,
                           float *restrict q) {
    for (int b = 0; b < form.subs; b++) {
        float inverse = ew__inverse(coding->d * coding->scales[b]);
        for (int j = b * form.n; j < (b + 1) * form.n; j++)
            q[j] = ew__level_near(form.levels, x[j] * inverse);
    }
}

/* d from the largest scale, scales for d, a better d for those scales, and so on while it helps. */
EW__LANE struct coding search_block(struct form form, const float *restrict x,
                                    const float *restrict importance, float *restrict q) {
    float w[EW__QKK], fit[EW__LANES] = {0};
    struct coding best = {.d = INFINITY}, now = {0};
    float most = 65504.0f * (float)(form.levels.low * form.scale_low);
    for (int j = 0; j < EW__QKK; j++)
        q[j] = 0.0f;
    if (!(ew__magnitude_max(x, EW__QKK) <= most))
        return best;
    ew__weights_of(importance, EW__QKK, w);
    fit_scales(form, x, w, fit);
    now.d = ew__as_half(ew__largest(fit, EW__LANES) / (float)form.scale_low);
    best.error = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        choose_scales(form, x, w, fit, &now);
        if (!(now.error < best.error))
            break;
        best = now;
        now.d = ew__as_half(solve_d(form, x, w, &best));
        if (now.d == best.d)
            break;
    }
    write_levels(form, x, &best, q);
    return best;
}

EW__LANE void pack_q3_scales(const float *restrict scales, uint8_t *restrict out) {
    memset(out, 0, 12);
    for (int i = 0; i < 16; i++) {
        int v = (int)scales[i] + 32;
        out[i % 8] = (uint8_t)(out[i % 8] | (v & 15) << (i / 8 * 4));
        out[8 + i % 4] = (uint8_t)(out[8 + i % 4] | (v >> 4) << (i / 4 * 2));
    }
}

EW__LANE void search_q3_k(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q3_k *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(q3_form, src, importance, q);
        memset(block, 0, sizeof *block);
        ew__store_half(block->d, coding.d);
        pack_q3_scales(coding.scales, block->scales);
        for (int j = 0; j < EW__QKK; j++) { // half, shift, 32 bytes
            int v = (int)q[j] + 4, at = j / 128 * 32 + j % 32;
            block->qs[at] = (uint8_t)(block->qs[at] | (v & 3) << (j % 128 / 32 * 2));
            block->hmask[j % 32] = (uint8_t)(block->hmask[j % 32] | v >> 2 << (j / 32));
        }
        importance = ew__next_importance(importance, EW__QKK);
    }
}

EW__LANE void search_q6_k(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q6_k *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(q6_form, src, importance, q);
        memset(block, 0, sizeof *block);
        ew__store_half(block->d, coding.d);
        for (int b = 0; b < 16; b++)
            block->scales[b] = (int8_t)coding.scales[b];
        for (int j = 0; j < EW__QKK; j++) { // half, quarter of 32
            int v = (int)q[j] + 32, half = j / 128, quarter = j % 128 / 32, l = j % 32;
            int low = 64 * half + 32 * (quarter % 2) + l, high = 32 * half + l;
            block->ql[low] = (uint8_t)(block->ql[low] | (v & 15) << (quarter / 2 * 4));
            block->qh[high] = (uint8_t)(block->qh[high] | v >> 4 << (2 * quarter));
        }
        importance = ew__next_importance(importance, EW__QKK);
    }
}

EW__LANE void pack_iq4_scales(const float *restrict scales, struct ew__block_iq4_xs *block) {
    unsigned high = 0;
    for (int b = 0; b < 8; b++) {
        unsigned v = (unsigned)((int)scales[b] + 32);
        block->scales_l[b / 2] = (uint8_t)(block->scales_l[b / 2] | (v & 15) << (b % 2 * 4));
        high |= v >> 4 << (2 * b);
    }
    block->scales_h[0] = (uint8_t)(high & 0xff);
    block->scales_h[1] = (uint8_t)(high >> 8);
}

EW__LANE void search_iq4_xs(const float *restrict src, const float *restrict importance,
                            void *restrict out, uint64_t blocks) {
    struct ew__block_iq4_xs *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(iq4_form, src, importance, q);
        memset(block, 0, sizeof *block);
        ew__store_half(block->d, coding.d);
        pack_iq4_scales(coding.scales, block);
        for (int j = 0; j < EW__QKK; j++) {
            int at = j / 32 * 16 + j % 16;
            block->qs[at] = (uint8_t)(block->qs[at] | ew__iq4_index(q[j]) << (j % 32 / 16 * 4));
        }
        importance = ew__next_importance(importance, EW__QKK);
    }
}

EW__DEFINE_SEARCHER(q3_k)
EW__DEFINE_SEARCHER(q6_k)
EW__DEFINE_SEARCHER(iq4_xs)
