// SPDX-License-Identifier: Apache-2.0
#include "weights.h"

#include "base/mem.h"
#include "base/size.h"
#include "blocks.h"
#include "quant/quant.h"

#include <math.h>

/* Elements made at once: a multiple of every block. */
#define PIECE ((uint64_t)1 << 18)

/* Projections keep the variance of their input (1 / sqrt(fan_in)); the head gives logits of
 * deviation 1.3; the gates' inputs are scaled so that decay and beta cover their range. */
struct weight_law weight_law_of(ew__role role, const struct ew__config *config) {
    uint64_t columns, rows;
    ew__role_shape(config, role, &columns, &rows);
    float unit = 1 / sqrtf((float)columns);
    switch (role) {
    case EW__TOKEN_EMBD:
    case EW__OUTPUT:
    case EW__DELTA_B:
        return (struct weight_law){LAW_NORMAL, 0, 1.28f * unit};
    case EW__DELTA_A:
        return (struct weight_law){LAW_NORMAL, 0, 0.48f * unit};
    case EW__DELTA_CONV:
        return (struct weight_law){LAW_NORMAL, 0, 0.45f};
    case EW__DELTA_DECAY:
        return (struct weight_law){LAW_LOG_DECAY, 0, 0};
    case EW__DELTA_DT_BIAS:
        return (struct weight_law){LAW_DT_BIAS, 0, 0};
    case EW__DELTA_NORM:
        return (struct weight_law){LAW_NORMAL, 1, 0.2f};
    case EW__ATTN_Q_NORM:
    case EW__ATTN_K_NORM:
        return (struct weight_law){LAW_NORMAL, 0.3f, 0.25f};
    default:
        return (struct weight_law){LAW_NORMAL, 0, ew__roles[role].rank == 1 ? 0.2f : unit};
    }
}

void weight_fill(struct weight_law law, struct random_source *source, float *out, size_t n) {
    if (law.kind == LAW_NORMAL)
        random_fill(source, law.mean, law.deviation, out, n);
    for (size_t i = 0; law.kind != LAW_NORMAL && i < n; i++) {
        double unit = random_unit(source);
        double dt = exp(log(0.002) + unit * (log(0.2) - log(0.002)));
        out[i] = law.kind == LAW_LOG_DECAY ? (float)log(1 + 15 * unit)       // A in [1, 16)
                                           : (float)(dt + log(-expm1(-dt))); // softplus^-1(dt)
    }
}

static void transform_values(ew__transform transform, float *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (transform == EW__ADD_ONE)
            values[i] += 1.0f;
        if (transform == EW__NEGATE_EXP)
            values[i] = -expf(values[i]);
    }
}

static ew_status make_piece(struct weight_law law, ew__transform transform, ew__dtype type,
                            struct random_source *source, float *values, void *bytes, size_t n) {
    if (blocks_fill(type, law.deviation, source, bytes, n / ew__dtype_info(type)->block_elements))
        return EW_OK;
    weight_fill(law, source, values, n);
    transform_values(transform, values, n);
    if (!ew__quantize_row(type, values, bytes, n))
        return ew__fail(EW_UNSUPPORTED, "no generator for type %s", ew__dtype_name(type));
    return EW_OK;
}

ew_status weight_stream(struct weight_law law, ew__transform transform, ew__dtype type, uint64_t n,
                        struct random_source *source, weight_sink *put, void *context) {
    float *values = ew__alloc(PIECE * sizeof *values);
    uint8_t *bytes = ew__alloc(PIECE * sizeof *values);
    ew_status status = values != NULL && bytes != NULL ? EW_OK : EW_NO_MEMORY;
    for (uint64_t done = 0; done < n && status == EW_OK; done += PIECE) {
        uint64_t piece = n - done < PIECE ? n - done : PIECE, piece_bytes = 0;
        if (!ew__dtype_row_bytes(type, piece, &piece_bytes))
            status = ew__fail(EW_ARGUMENT, "%llu values are no whole blocks of %s",
                              (unsigned long long)piece, ew__dtype_name(type));
        if (status == EW_OK)
            status = make_piece(law, transform, type, source, values, bytes, (size_t)piece);
        if (status == EW_OK)
            status = put(context, bytes, (size_t)piece_bytes);
    }
    ew__free(values);
    ew__free(bytes);
    return status;
}
