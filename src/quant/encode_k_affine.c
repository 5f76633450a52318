// SPDX-License-Identifier: Apache-2.0
/* Searched encoders of the super-blocks whose sub-blocks have an integer scale and an integer
 * minimum: Q2_K, Q4_K, Q5_K. */
#include "quant/encode.h"
#include "quant/search.h"

enum { SUBS_MAX = 16, ROUNDS = 3 };

struct form {
    int subs, n; /* sub-blocks; elements of each */
    int32_t top; /* the highest level */
    int scale_top;
    float cut; /* see ew__fit_affine */
};
static const struct form q2_form = {16, 16, 3, 15, 0.06f};
static const struct form q4_form = {8, 32, 15, 63, 0.03f};
static const struct form q5_form = {8, 32, 31, 63, 0.015f};

struct coding {
    float d, dmin, error;
    float scales[SUBS_MAX], minima[SUBS_MAX]; /* integers */
};

/* Of the sixteen pairs of integers from (scale, minimum) on, four by four, the one with the least
 * error for sub-block b. */
EW__LANE void best_pair(struct form form, const float *restrict x, const float *restrict w,
                        float scale_from, float minimum_from, int b, struct coding *coding,
                        float *restrict least) {
    float is[EW__LANES], im[EW__LANES], scale[EW__LANES], minimum[EW__LANES], error[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        int column = c % 4, row = c / 4;
        float s = scale_from + (float)column, m = minimum_from + (float)row;
        s = s < 0.0f ? 0.0f : s;
        m = m < 0.0f ? 0.0f : m;
        is[c] = s > (float)form.scale_top ? (float)form.scale_top : s;
        im[c] = m > (float)form.scale_top ? (float)form.scale_top : m;
        scale[c] = coding->d * is[c];
        minimum[c] = coding->dmin * im[c];
    }
    ew__affine_errors(form.top, x, w, form.n, scale, minimum, error);
    int lane = ew__best_lane(error);
    if (error[lane] < *least) {
        *least = error[lane];
        coding->scales[b] = is[lane];
        coding->minima[b] = im[lane];
    }
}

/* Given d and dmin: for each sub-block the integers with the least error, near the continuous ones.
 */
EW__LANE void choose_scales(struct form form, const float *restrict x, const float *restrict w,
                            const struct ew__affine *restrict fit, struct coding *coding) {
    float inverse = ew__inverse(coding->d), inverse_min = ew__inverse(coding->dmin);
    coding->error = 0.0f;
    for (int b = 0; b < form.subs; b++) {
        float error = INFINITY;
        float s = ew__round_in(fit[b].scale * inverse - 0.5f, 0, form.scale_top);
        float m = ew__round_in(fit[b].minimum * inverse_min - 0.5f, 0, form.scale_top);
        best_pair(form, x + b * form.n, w + b * form.n, s - 1.0f, m - 1.0f, b, coding, &error);
        coding->error += error;
    }
}

/* d and dmin that are best for the integers and the levels they give: the normal equations of
 * sum w (x - d s q + dmin m)^2. */
EW__LANE struct ew__affine solve_d(struct form form, const float *restrict x,
                                   const float *restrict w, const struct coding *coding) {
    float aa[EW__LANES] = {0}, ab[EW__LANES] = {0}, bb[EW__LANES] = {0}, ax[EW__LANES] = {0},
          bx[EW__LANES] = {0};
    for (int i = 0; i < form.subs; i++) {
        float s = coding->scales[i], m = coding->minima[i], low = coding->dmin * m;
        float inverse = ew__inverse(coding->d * s);
        for (int j = i * form.n; j < (i + 1) * form.n; j += EW__LANES) {
            for (int c = 0; c < EW__LANES; c++) {
                float a = s * ew__round_in((x[j + c] + low) * inverse, 0, form.top);
                float wa = w[j + c] * a, wm = w[j + c] * m;
                aa[c] += wa * a;
                ab[c] += wa * m;
                bb[c] += wm * m;
                ax[c] += wa * x[j + c];
                bx[c] += wm * x[j + c];
            }
        }
    }
    float saa = ew__sum_lanes(aa), sab = ew__sum_lanes(ab), sbb = ew__sum_lanes(bb);
    float sax = ew__sum_lanes(ax), sbx = ew__sum_lanes(bx), det = saa * sbb - sab * sab;
    if (!(det > 1e-6f * saa * sbb))
        return (struct ew__affine){saa > 0.0f ? sax / saa : coding->d, coding->dmin};
    return (struct ew__affine){(sax * sbb - sbx * sab) / det, (sax * sab - sbx * saa) / det};
}

EW__LANE void write_levels(struct form form, const float *restrict x, const struct coding *coding,
                           float *restrict q) {
    for (int b = 0; b < form.subs; b++) {
        float low = coding->dmin * coding->minima[b];
        float inverse = ew__inverse(coding->d * coding->scales[b]);
        for (int j = b * form.n; j < (b + 1) * form.n; j++)
            q[j] = ew__round_in((x[j] + low) * inverse, 0, form.top);
    }
}

EW__LANE void improve(struct form form, const float *restrict x, const float *restrict w,
                      const struct ew__affine *restrict fit, struct coding now,
                      struct coding *best) {
    for (int round = 0; round < ROUNDS; round++) {
        choose_scales(form, x, w, fit, &now);
        if (!(now.error < best->error))
            return;
        *best = now;
        struct ew__affine better = solve_d(form, x, w, best);
        now.d = ew__as_half(better.scale);
        now.dmin = ew__as_half(better.minimum > 0.0f ? better.minimum : 0.0f);
        if (now.d == best->d && now.dmin == best->dmin)
            return;
    }
}

/* d and dmin from the largest scale and minimum, integers for them, better ones for those, and so
 * on while it helps. */
EW__LANE struct coding search_block(struct form form, const float *restrict x,
                                    const float *restrict importance, float *restrict q) {
    float w[EW__QKK], largest = 0.0f, lowest = 0.0f;
    struct ew__affine fit[SUBS_MAX];
    struct coding best = {.d = INFINITY}, now = {0};
    for (int j = 0; j < EW__QKK; j++)
        q[j] = 0.0f;
    if (!(ew__magnitude_max(x, EW__QKK) <= 65504.0f * (float)form.scale_top))
        return best;
    ew__weights_of(importance, EW__QKK, w);
    for (int b = 0; b < form.subs; b++) {
        fit[b] = ew__fit_affine(form.top, x + b * form.n, w + b * form.n, form.n, 0.0f, form.cut);
        largest = fit[b].scale > largest ? fit[b].scale : largest;
        lowest = fit[b].minimum > lowest ? fit[b].minimum : lowest;
    }
    now.d = ew__as_half(largest / (float)form.scale_top);
    now.dmin = ew__as_half(lowest / (float)form.scale_top);
    best.error = INFINITY;
    improve(form, x, w, fit, now, &best);
    write_levels(form, x, &best, q);
    return best;
}

EW__LANE void search_q2_k(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q2_k *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(q2_form, src, importance, q);
        memset(block, 0, sizeof *block);
        ew__store_half(block->d, coding.d);
        ew__store_half(block->dmin, coding.dmin);
        for (int b = 0; b < 16; b++)
            block->scales[b] = (uint8_t)((int)coding.scales[b] | (int)coding.minima[b] << 4);
        for (int j = 0; j < EW__QKK; j++) { // half, shift, 32 bytes
            int at = j / 128 * 32 + j % 32;
            block->qs[at] = (uint8_t)(block->qs[at] | (int)q[j] << (j % 128 / 32 * 2));
        }
        importance = ew__next_importance(importance, EW__QKK);
    }
}

/* The inverse of ew__k4_scale_min, for all eight. */
EW__LANE void pack_k4(const struct coding *coding, uint8_t *restrict out) {
    for (int b = 0; b < 4; b++) {
        int s = (int)coding->scales[b], m = (int)coding->minima[b];
        int s4 = (int)coding->scales[b + 4], m4 = (int)coding->minima[b + 4];
        out[b] = (uint8_t)(s | s4 >> 4 << 6);
        out[b + 4] = (uint8_t)(m | m4 >> 4 << 6);
        out[b + 8] = (uint8_t)((s4 & 15) | (m4 & 15) << 4);
    }
}

/* The low nibbles of 256 numbers: sub-blocks 2p and 2p + 1 share 32 bytes. */
EW__LANE void pack_pairs(const float *restrict q, uint8_t *restrict qs) {
    for (int pair = 0; pair < 4; pair++) {
        for (int l = 0; l < 32; l++)
            qs[32 * pair + l] =
                (uint8_t)(((int)q[64 * pair + l] & 15) | ((int)q[64 * pair + 32 + l] & 15) << 4);
    }
}

EW__LANE void search_q4_k(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q4_k *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(q4_form, src, importance, q);
        ew__store_half(block->d, coding.d);
        ew__store_half(block->dmin, coding.dmin);
        pack_k4(&coding, block->scales);
        pack_pairs(q, block->qs);
        importance = ew__next_importance(importance, EW__QKK);
    }
}

EW__LANE void search_q5_k(const float *restrict src, const float *restrict importance,
                          void *restrict out, uint64_t blocks) {
    struct ew__block_q5_k *block = out;
    for (uint64_t i = 0; i < blocks; i++, block++, src += EW__QKK) {
        float q[EW__QKK];
        struct coding coding = search_block(q5_form, src, importance, q);
        ew__store_half(block->d, coding.d);
        ew__store_half(block->dmin, coding.dmin);
        pack_k4(&coding, block->scales);
        pack_pairs(q, block->qs);
        memset(block->qh, 0, sizeof block->qh);
        for (int j = 0; j < EW__QKK; j++)
            block->qh[j % 32] = (uint8_t)(block->qh[j % 32] | (int)q[j] >> 4 << (j / 32));
        importance = ew__next_importance(importance, EW__QKK);
    }
}

EW__DEFINE_SEARCHER(q2_k)
EW__DEFINE_SEARCHER(q4_k)
EW__DEFINE_SEARCHER(q5_k)
