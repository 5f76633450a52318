// SPDX-License-Identifier: Apache-2.0
/* What the searches share: weights of a block, first guesses, the packing of nibbles. Everything is
 * inlined into the encoders (lanes.h). */
#ifndef EW_QUANT_SEARCH_H
#define EW_QUANT_SEARCH_H

#include "quant/lanes.h"

#include <math.h>
#include <string.h>

EW__LANE void ew__store_half(uint8_t out[2], float v) {
    uint16_t half = ew__half_of(v);
    out[0] = (uint8_t)(half & 0xff);
    out[1] = (uint8_t)(half >> 8);
}

/* The importance of the block after this one of n elements. */
EW__LANE const float *ew__next_importance(const float *importance, int n) {
    return importance != NULL ? importance + n : NULL;
}

/* Where a value of ew__iq4_values stands in it. */
EW__LANE int ew__iq4_index(float v) {
    int index = 0;
    for (int k = 1; k < 16; k++)
        index += v >= (float)ew__iq4_values[k];
    return index;
}

/* The largest magnitude of n elements, n a multiple of 16; NaN when any element is one. */
EW__LANE float ew__magnitude_max(const float *restrict x, int n) {
    uint32_t max[EW__LANES] = {0}, all = 0; // bits order like magnitudes, NaN above all
    for (int j = 0; j < n; j += EW__LANES) {
        for (int c = 0; c < EW__LANES; c++) {
            uint32_t bits = ew__bits_of_float(x[j + c]) & 0x7fffffffu;
            max[c] = bits > max[c] ? bits : max[c];
        }
    }
    for (int c = 0; c < EW__LANES; c++)
        all = max[c] > all ? max[c] : all;
    return ew__float_of_bits(all);
}

/* The element of the largest magnitude, the first of equals. */
EW__LANE float ew__largest(const float *restrict x, int n) {
    float magnitude = ew__magnitude_max(x, n);
    for (int j = 0; j < n; j++) {
        if (fabsf(x[j]) == magnitude)
            return x[j];
    }
    return 0.0f;
}

EW__LANE void ew__range_of(const float *restrict x, int n, float *low, float *high) {
    float least[EW__LANES], most[EW__LANES];
    for (int c = 0; c < EW__LANES; c++)
        least[c] = most[c] = x[c];
    for (int j = EW__LANES; j < n; j += EW__LANES) {
        for (int c = 0; c < EW__LANES; c++) {
            least[c] = x[j + c] < least[c] ? x[j + c] : least[c];
            most[c] = x[j + c] > most[c] ? x[j + c] : most[c];
        }
    }
    *low = least[0];
    *high = most[0];
    for (int c = 1; c < EW__LANES; c++) {
        *low = least[c] < *low ? least[c] : *low;
        *high = most[c] > *high ? most[c] : *high;
    }
}

/* w[n]: the importance scaled to a mean of 1, plus a trace, so that elements without importance do
 * not get arbitrary values; ones where there is none. */
EW__LANE void ew__weights_of(const float *restrict importance, int n, float *restrict w) {
    float sums[EW__LANES] = {0};
    for (int j = 0; j < n; j++)
        w[j] = 1.0f;
    if (importance == NULL)
        return;
    for (int j = 0; j < n; j += EW__LANES) {
        for (int c = 0; c < EW__LANES; c++) {
            float v = importance[j + c];
            w[j + c] = v > 0.0f && v <= 0x1p100f ? v : 0.0f;
            sums[c] += w[j + c];
        }
    }
    float mean = ew__sum_lanes(sums) / (float)n, inverse = ew__inverse(mean);
    for (int j = 0; j < n; j++)
        w[j] = inverse > 0.0f ? w[j] * inverse + 1e-6f : 1.0f;
}

EW__LANE struct ew__moments ew__moments_of(const float *restrict x, const float *restrict w,
                                           int n) {
    float sw[EW__LANES] = {0}, swx[EW__LANES] = {0};
    for (int j = 0; j < n; j += EW__LANES) {
        for (int c = 0; c < EW__LANES; c++) {
            sw[c] += w[j + c];
            swx[c] += w[j + c] * x[j + c];
        }
    }
    return (struct ew__moments){ew__sum_lanes(sw), ew__sum_lanes(swx)};
}

/* A scale for n elements, continuous: sixteen guesses on each side of zero, shrunk from the one
 * that reaches the largest element down to `least` of it; each is solved for its own levels.
 * Returns the one with the least error. */
EW__LANE float ew__fit_signed(struct ew__levels levels, const float *restrict x,
                              const float *restrict w, int n, float least) {
    float top = ew__largest(x, n), best = 0.0f, best_error = INFINITY;
    for (int side = 0; side < 2; side++) {
        float scale[EW__LANES], error[EW__LANES];
        float reach = top / (float)(side == 0 ? levels.low : levels.high);
        for (int c = 0; c < EW__LANES; c++)
            scale[c] = reach * (1.04f - (1.04f - least) * (float)c / (EW__LANES - 1));
        ew__signed_solve(levels, x, w, n, scale);
        ew__signed_errors(levels, x, w, n, scale, error);
        int lane = ew__best_lane(error);
        if (error[lane] < best_error) {
            best_error = error[lane];
            best = scale[lane];
        }
    }
    return best;
}

struct ew__affine {
    float scale, minimum;
};

/* A scale and a minimum for n elements, continuous. First guesses cut up to 3 * `cut` of the range
 * off either end; second ones lie around the best of them. floor: see ew__affine_solve. */
EW__LANE struct ew__affine ew__fit_affine(int32_t top, const float *restrict x,
                                          const float *restrict w, int n, float floor, float cut) {
    float low, high, scale[EW__LANES], minimum[EW__LANES], error[EW__LANES];
    struct ew__moments all = ew__moments_of(x, w, n);
    ew__range_of(x, n, &low, &high);
    low = floor >= 0.0f && low > 0.0f ? 0.0f : low;
    struct ew__affine best = {0.0f, -low};
    float best_error = INFINITY, range = high - low;
    if (!(range > 0.0f))
        return best;
    for (int round = 0; round < 2; round++) {
        for (int c = 0; c < EW__LANES; c++) {
            int column = c % 4, row = c / 4;
            float a = (float)column - (round == 0 ? 0.5f : 1.5f);
            float b = (float)row - (round == 0 ? 0.5f : 1.5f);
            float from =
                round == 0 ? low + a * cut * range : -best.minimum + a * 0.5f * cut * range;
            float to = round == 0 ? high - b * cut * range
                                  : best.scale * (float)top - best.minimum - b * 0.5f * cut * range;
            from = floor >= 0.0f && from > 0.0f ? 0.0f : from;
            scale[c] = (to - from) / (float)top;
            minimum[c] = -from;
        }
        ew__affine_solve(top, x, w, n, all, floor, scale, minimum);
        ew__affine_errors(top, x, w, n, scale, minimum, error);
        int lane = ew__best_lane(error);
        if (error[lane] < best_error) {
            best_error = error[lane];
            best = (struct ew__affine){scale[lane], minimum[lane]};
        }
    }
    return best;
}

#endif
