// SPDX-License-Identifier: Apache-2.0
#include "quant/affine.h"

#include "quant/blocks.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <math.h>

/* ---- the parts of a row ---- */

/* A row of n columns: the integers, then scale and bias of each block of 32. */
struct row {
    float *scale, *bias; /* [n / 32] */
    uint8_t *q;          /* [n] */
    uint64_t n;
};

size_t ew__affine_scratch_bytes(const struct ew__affine *affine) {
    size_t n = (size_t)affine->tensor.dims[0];
    return n / EW__QK * 2 * sizeof(float) + n + EW__QK * sizeof(float);
}

static struct row row_in(const struct ew__affine *affine, void *scratch) {
    size_t n = (size_t)affine->tensor.dims[0], blocks = n / EW__QK;
    float *floats = scratch;
    return (struct row){floats, floats + blocks, (uint8_t *)(floats + 2 * blocks), n};
}

/* Eight elements are `bits` bytes, the first in the lowest bits: whatever the width, they fit 64
 * bits. */
static void unpack(const uint8_t *bytes, uint32_t bits, uint8_t *q, uint64_t n) {
    const uint64_t mask = (1u << bits) - 1;
    for (uint64_t i = 0; i < n; i += 8, bytes += bits) {
        uint64_t stream = 0;
        for (uint32_t k = 0; k < bits; k++)
            stream |= (uint64_t)bytes[k] << (8 * k);
        for (uint32_t k = 0; k < 8; k++)
            q[i + k] = (uint8_t)(stream >> (k * bits) & mask);
    }
}

/* Element i of a BF16, F16 or F32 tensor at any address. */
static float number_at(const struct ew__tensor *tensor, uint64_t i) {
    if (tensor->type == EW__F32)
        return ew__float_of_bits(ew__load_u32(tensor->data + 4 * i));
    uint16_t bits = ew__load_u16(tensor->data + 2 * i);
    return tensor->type == EW__F16 ? ew__half(bits) : ew__float_of_bits((uint32_t)bits << 16);
}

static struct row read_row(const struct ew__affine *affine, uint64_t row, void *scratch) {
    struct row out = row_in(affine, scratch);
    uint64_t groups = affine->scales->dims[0], blocks = out.n / EW__QK;
    uint64_t a_group = affine->group / EW__QK; // blocks that share a scale
    unpack(affine->weight->data + row * affine->weight->dims[0] * 4, affine->bits, out.q, out.n);
    for (uint64_t b = 0; b < blocks; b++) {
        out.scale[b] = number_at(affine->scales, row * groups + b / a_group);
        out.bias[b] = number_at(affine->biases, row * groups + b / a_group);
    }
    return out;
}

static void block_floats(const struct row *row, uint64_t b, float *restrict out) {
    const uint8_t *q = row->q + b * EW__QK;
    for (int i = 0; i < EW__QK; i++)
        out[i] = (float)q[i] * row->scale[b] + row->bias[b];
}

void ew__affine_floats(const struct ew__affine *affine, uint64_t row, float *out, void *scratch) {
    struct row parts = read_row(affine, row, scratch);
    for (uint64_t b = 0; b < parts.n / EW__QK; b++)
        block_floats(&parts, b, out + b * EW__QK);
}

/* ---- blocks ---- */

static void put_half(uint8_t out[2], float value) {
    uint16_t half = ew__half_of(value);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
}

static void to_q4_1(const struct row *row, struct ew__block_q4_1 *out) {
    for (uint64_t b = 0; b < row->n / EW__QK; b++, out++) {
        const uint8_t *q = row->q + b * EW__QK;
        put_half(out->d, row->scale[b]);
        put_half(out->m, row->bias[b]);
        for (int i = 0; i < 16; i++)
            out->qs[i] = (uint8_t)(q[i] | q[i + 16] << 4);
    }
}

static void to_q5_1(const struct row *row, struct ew__block_q5_1 *out) {
    for (uint64_t b = 0; b < row->n / EW__QK; b++, out++) {
        const uint8_t *q = row->q + b * EW__QK;
        uint32_t high = 0;
        put_half(out->d, row->scale[b]);
        put_half(out->m, row->bias[b]);
        for (int i = 0; i < EW__QK; i++)
            high |= (uint32_t)(q[i] >> 4) << i;
        for (int i = 0; i < 4; i++)
            out->qh[i] = (uint8_t)(high >> (8 * i));
        for (int i = 0; i < 16; i++)
            out->qs[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
    }
}

/* Sum of squares of what the block misses; in eight sums, so that it vectorises. */
static float error_of(const struct ew__block_q8_0 *block, const float x[EW__QK]) {
    float d = ew__half_at(block->d), sums[8] = {0}, sum = 0;
    for (int i = 0; i < EW__QK; i += 8) {
        for (int k = 0; k < 8; k++) {
            float miss = x[i + k] - (float)block->qs[i + k] * d;
            sums[k] += miss * miss;
        }
    }
    for (int k = 0; k < 8; k++)
        sum += sums[k];
    return sum;
}

/* The block with the group's own step: MLX chooses scale and bias such that 0 lies on the grid, so
 * that x is nearly a multiple of the scale. False where 8 bits do not reach. */
static bool on_the_grid(float step, const float x[EW__QK], struct ew__block_q8_0 *out) {
    int fits = 1;
    put_half(out->d, step);
    float inverse = 1.0f / ew__half_at(out->d);
    for (int i = 0; i < EW__QK; i++) {
        float q = x[i] * inverse;
        fits &= (q >= -128.0f) & (q <= 127.0f); // no NaN either
        /* 1.5 * 2^23 is where a float's last place is 1: the sum is rounded, its low bits are q. */
        out->qs[i] = (int8_t)(uint8_t)ew__bits_of_float(q + 0x1.8p23f);
    }
    return fits != 0;
}

/* Of the plain Q8_0 block and the one on the group's grid, the nearer. */
static void to_q8_0(const struct row *row, struct ew__block_q8_0 *out) {
    float x[EW__QK];
    struct ew__block_q8_0 grid;
    for (uint64_t b = 0; b < row->n / EW__QK; b++, out++) {
        block_floats(row, b, x);
        (void)ew__quantize_row(EW__Q8_0, x, out, EW__QK);
        if (on_the_grid(row->scale[b], x, &grid) && error_of(&grid, x) < error_of(out, x))
            *out = grid;
    }
}

ew_status ew__affine_row(const struct ew__affine *affine, ew__dtype type, uint64_t row, void *out,
                         void *scratch) {
    const struct ew__tensor *tensor = &affine->tensor;
    if (type == EW__F32) {
        ew__affine_floats(affine, row, out, scratch);
    } else {
        struct row parts = read_row(affine, row, scratch);
        if (type == EW__Q4_1)
            to_q4_1(&parts, out);
        else if (type == EW__Q5_1)
            to_q5_1(&parts, out);
        else
            to_q8_0(&parts, out);
    }
    if (ew__first_non_finite(type, out, tensor->dims[0]) == UINT64_MAX)
        return EW_OK;
    return ew__fail(
        EW_FORMAT,
        "tensor \"%s\" has a scale or bias in row %" PRIu64 " that is not finite or beyond %s",
        ew__quote(tensor->name.bytes, tensor->name.n), row, ew__dtype_name((uint32_t)type));
}
