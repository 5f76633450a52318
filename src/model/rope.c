// SPDX-License-Identifier: Apache-2.0
/* Rotary positions: interleaved M-RoPE (docs/model.md) and YaRN (arXiv 2309.00071). */
#include "model/blocks.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* The (fractional) frequency index that turns `rotations` times over the original context. */
static double correction_index(const struct ew__config *c, double rotations) {
    return c->n_rot * log(c->yarn.n_ctx_original / (rotations * 2 * pi)) / (2 * log(c->rope_theta));
}

/* inv_freq[i] = theta^(-2i/n_rot), under YaRN blended with its interpolated value: fast frequencies
 * stay, slow ones are divided by the factor, a linear ramp lies between. */
void ew__rope_init(struct ew__workspace *ws) {
    const struct ew__config *c = ws->model->config;
    uint32_t half = c->n_rot / 2;
    double low = floor(correction_index(c, c->yarn.beta_fast));
    double high = ceil(correction_index(c, c->yarn.beta_slow));
    low = low < 0 ? 0 : low;
    high = high > c->n_rot - 1 ? c->n_rot - 1 : high;
    if (high <= low)
        high = low + 0.001;
    for (uint32_t i = 0; i < half; i++) {
        double plain = pow(c->rope_theta, -2.0 * i / c->n_rot), ramp = (i - low) / (high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        if (c->yarn.factor > 1)
            plain = plain * (1 - ramp) + plain / c->yarn.factor * ramp;
        ws->inv_freq[i] = (float)plain;
    }
    double magnitude = c->yarn.attention_factor;
    if (magnitude <= 0)
        magnitude = c->yarn.factor > 1 ? 0.1 * log(c->yarn.factor) + 1 : 1;
    ws->inv_freq[half] = (float)magnitude;
}

/* Which of T, H, W drives frequency i: H where i mod 3 = 1, W where i mod 3 = 2, while their
 * sections last; T else. */
static uint32_t axis_of(const struct ew__config *c, uint32_t i) {
    if (i % 3 == 1 && i < 3 * c->rope_sections[1])
        return 1;
    if (i % 3 == 2 && i < 3 * c->rope_sections[2])
        return 2;
    return 0;
}

void ew__rope_tables(struct ew__workspace *ws, const struct ew__batch *batch) {
    const struct ew__config *c = ws->model->config;
    uint32_t half = c->n_rot / 2;
    for (uint32_t t = 0; t < batch->n_tokens; t++)
        for (uint32_t i = 0; i < half; i++) {
            double angle = (double)batch->positions[t][axis_of(c, i)] * (double)ws->inv_freq[i];
            ws->cosine[t * half + i] = (float)cos(angle) * ws->inv_freq[half];
            ws->sine[t * half + i] = (float)sin(angle) * ws->inv_freq[half];
        }
}
