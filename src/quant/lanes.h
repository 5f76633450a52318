// SPDX-License-Identifier: Apache-2.0
/* Sixteen candidates at once: how far a group of n elements is from its quantised form under each
 * of sixteen scales. A lane is a candidate, so a sum over the elements runs in the lane, in their
 * order: compilers vectorise it without reordering anything, and the numbers are the same on every
 * processor.
 *
 * x[n], w[n]: elements and their weights (>= 0). All errors are sums of w (x - x')^2, with x' as
 * the decoder gives it. */
#ifndef EW_QUANT_LANES_H
#define EW_QUANT_LANES_H

#include "quant/blocks.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* A search is compiled once per instruction set (encode.h), so all of it has to be inlined. */
#define EW__LANE static inline __attribute__((always_inline))

enum { EW__LANES = 16 };

/* What an element may become. */
struct ew__levels {
    int32_t low, high; /* integers; of the table: its ends */
    bool iq4;          /* the values of ew__iq4_values instead */
};

/* The nearest integer in [low, high], ties to even, without a branch or a call. Adding 1.5 * 2^23
 * leaves the integer in the last bits; beyond 2^22 those bits still order as the numbers do, so
 * that clamping them is right for any v. NaN: high. */
EW__LANE float ew__round_in(float v, int32_t low, int32_t high) {
    const int32_t zero = 0x4b400000; // the bits of 1.5 * 2^23
    int32_t bits = (int32_t)ew__bits_of_float(v + 0x1.8p23f);
    bits = bits < zero + low ? zero + low : bits;
    bits = bits > zero + high ? zero + high : bits;
    return ew__float_of_bits((uint32_t)bits) - 0x1.8p23f;
}

/* The nearest of ew__iq4_values: each middle between two neighbours that v exceeds adds their
 * distance. Written out, since a loop in here would be the one that compilers vectorise. */
EW__LANE float ew__iq4_near(float v) {
    float value = -127.0f;
    value += v > -115.5f ? 23.0f : 0.0f;
    value += v > -93.5f ? 21.0f : 0.0f;
    value += v > -74.0f ? 18.0f : 0.0f;
    value += v > -57.0f ? 16.0f : 0.0f;
    value += v > -42.0f ? 14.0f : 0.0f;
    value += v > -28.5f ? 13.0f : 0.0f;
    value += v > -16.0f ? 12.0f : 0.0f;
    value += v > -4.5f ? 11.0f : 0.0f;
    value += v > 7.0f ? 12.0f : 0.0f;
    value += v > 19.0f ? 12.0f : 0.0f;
    value += v > 31.5f ? 13.0f : 0.0f;
    value += v > 45.5f ? 15.0f : 0.0f;
    value += v > 61.0f ? 16.0f : 0.0f;
    value += v > 79.0f ? 20.0f : 0.0f;
    value += v > 101.0f ? 24.0f : 0.0f;
    return value;
}

EW__LANE float ew__level_near(struct ew__levels levels, float v) {
    return levels.iq4 ? ew__iq4_near(v) : ew__round_in(v, levels.low, levels.high);
}

/* 1 / scale; 0 where there is no finite one, so that every element becomes level 0. */
EW__LANE float ew__inverse(float scale) {
    float inverse = 1.0f / scale;
    return fabsf(inverse) <= 0x1p126f ? inverse : 0.0f;
}

EW__LANE float ew__as_half(float v) {
    return ew__half(ew__half_of(v));
}

/* ---- x' = scale * level ---- */

EW__LANE void ew__signed_errors(struct ew__levels levels, const float *restrict x,
                                const float *restrict w, int n, const float *restrict scale,
                                float *restrict error) {
    float inverse[EW__LANES], sum[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        inverse[c] = ew__inverse(scale[c]);
        sum[c] = 0.0f;
    }
    for (int j = 0; j < n; j++) {
        for (int c = 0; c < EW__LANES; c++) {
            float rest = x[j] - scale[c] * ew__level_near(levels, x[j] * inverse[c]);
            sum[c] += w[j] * rest * rest;
        }
    }
    for (int c = 0; c < EW__LANES; c++)
        error[c] = sum[c];
}

/* The scale that is best for the levels which each candidate gives, in place: sum w x q over
 * sum w q^2. */
EW__LANE void ew__signed_solve(struct ew__levels levels, const float *restrict x,
                               const float *restrict w, int n, float *restrict scale) {
    float inverse[EW__LANES], xq[EW__LANES], qq[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        inverse[c] = ew__inverse(scale[c]);
        xq[c] = qq[c] = 0.0f;
    }
    for (int j = 0; j < n; j++) {
        for (int c = 0; c < EW__LANES; c++) {
            float q = ew__level_near(levels, x[j] * inverse[c]), wq = w[j] * q;
            xq[c] += wq * x[j];
            qq[c] += wq * q;
        }
    }
    for (int c = 0; c < EW__LANES; c++) {
        float solved = xq[c] / qq[c];
        scale[c] = qq[c] > 0.0f ? solved : scale[c];
    }
}

/* ---- x' = scale * level - minimum, levels 0 to top ---- */

EW__LANE void ew__affine_errors(int32_t top, const float *restrict x, const float *restrict w,
                                int n, const float *restrict scale, const float *restrict minimum,
                                float *restrict error) {
    float inverse[EW__LANES], sum[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        inverse[c] = ew__inverse(scale[c]);
        sum[c] = 0.0f;
    }
    for (int j = 0; j < n; j++) {
        for (int c = 0; c < EW__LANES; c++) {
            float y = x[j] + minimum[c];
            float rest = y - scale[c] * ew__round_in(y * inverse[c], 0, top);
            sum[c] += w[j] * rest * rest;
        }
    }
    for (int c = 0; c < EW__LANES; c++)
        error[c] = sum[c];
}

/* Sums over a group that do not depend on the candidate. */
struct ew__moments {
    float w, wx;
};

/* The scale and minimum that are best for the levels which each candidate gives, in place: the
 * normal equations of sum w (x - s q + m)^2. `floor` is the least minimum allowed (0 or -infinity):
 * where the solution is below it, the floor and the best scale for it are taken, and where all
 * levels are equal the minimum stays and gets its best scale. */
EW__LANE void ew__affine_solve(int32_t top, const float *restrict x, const float *restrict w, int n,
                               struct ew__moments all, float floor, float *restrict scale,
                               float *restrict minimum) {
    float inverse[EW__LANES], q1[EW__LANES], q2[EW__LANES], xq[EW__LANES];
    for (int c = 0; c < EW__LANES; c++) {
        inverse[c] = ew__inverse(scale[c]);
        q1[c] = q2[c] = xq[c] = 0.0f;
    }
    for (int j = 0; j < n; j++) {
        for (int c = 0; c < EW__LANES; c++) {
            float q = ew__round_in((x[j] + minimum[c]) * inverse[c], 0, top), wq = w[j] * q;
            q1[c] += wq;
            q2[c] += wq * q;
            xq[c] += wq * x[j];
        }
    }
    for (int c = 0; c < EW__LANES; c++) {
        float det = all.w * q2[c] - q1[c] * q1[c], m = (q1[c] * xq[c] - q2[c] * all.wx) / det;
        bool free = det > 1e-6f * all.w * q2[c], low = m < floor;
        float s = (all.w * xq[c] - all.wx * q1[c]) / det, fixed = low ? floor : minimum[c];
        float bound = (xq[c] + fixed * q1[c]) / q2[c]; // the best for that minimum
        m = free && !low ? m : fixed;
        s = free && !low ? s : bound;
        bool valid = q2[c] > 0.0f && s > 0.0f;
        scale[c] = valid ? s : scale[c];
        minimum[c] = valid ? m : minimum[c];
    }
}

/* The lane with the least error, the first of equals. */
EW__LANE int ew__best_lane(const float error[EW__LANES]) {
    int best = 0;
    for (int c = 1; c < EW__LANES; c++)
        best = error[c] < error[best] ? c : best;
    return best;
}

/* Adds lanes in pairs: one order for every processor. */
EW__LANE float ew__sum_lanes(const float v[EW__LANES]) {
    float eight[8];
    for (int c = 0; c < 8; c++)
        eight[c] = v[c] + v[c + 8];
    return ((eight[0] + eight[4]) + (eight[2] + eight[6])) +
           ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

#endif
