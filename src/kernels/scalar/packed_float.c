// SPDX-License-Identifier: Apache-2.0
/* Products of packed float weights, as kernels/packed.h defines them. */
#include "kernels/scalar/isa.h"

#include "kernels/half.h"

#include <math.h>

static float weight_at(const struct ew__packed *w, size_t row, size_t k) {
    const uint8_t *vector =
        w->data + row / EW__PANEL_ROWS * w->panel_bytes + k / 2 * EW__VECTOR_BYTES;
    size_t r = row % EW__PANEL_ROWS, c = k % 2;
    return w->type == EW__BF16 ? ew__bf16_at(vector, 2 * r + c)
                               : ew__f16_at(vector, EW__PANEL_ROWS * c + r);
}

static void mul_rows(const struct ew__packed *w, size_t first, size_t count, const float *x,
                     size_t ldx, size_t t, float *y, size_t ldy) {
    size_t begin = first * EW__PANEL_ROWS, end = (first + count) * EW__PANEL_ROWS;
    for (size_t row = begin; row < end && row < w->rows; row++) {
        for (size_t j = 0; j < t; j++) {
            float acc = 0;
            for (size_t k = 0; k < w->n; k++)
                acc = fmaf(weight_at(w, row, k), x[j * ldx + k], acc);
            y[j * ldy + row] = acc;
        }
    }
}

#define MUL_PACKED(TYPE, tag, ...)                                                                 \
    void K(mul_packed_##tag)(const struct ew__packed *w, size_t first, size_t count,               \
                             const float *x, size_t ldx, size_t t, float *y, size_t ldy) {         \
        mul_rows(w, first, count, x, ldx, t, y, ldy);                                              \
    }
EW__PACKED_FLOAT_MAP(MUL_PACKED)
