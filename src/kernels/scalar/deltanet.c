// SPDX-License-Identifier: Apache-2.0
/* The gated delta rule (Gated DeltaNet, Yang et al. 2024), one column of the state at a time: the
 * columns do not touch each other. */
#include "kernels/scalar/isa.h"

static float update_column(float *S, size_t dk, size_t ld, const float *q, const float *k, float v,
                           float alpha, float beta) {
    float m = 0, o = 0;
    for (size_t i = 0; i < dk; i++)
        m += S[i * ld] * k[i];
    float d = beta * (v - alpha * m);
    for (size_t i = 0; i < dk; i++) {
        S[i * ld] = alpha * S[i * ld] + k[i] * d;
        o += S[i * ld] * q[i];
    }
    return o;
}

void K(delta_rule)(float *S, size_t dk, size_t cols, const float *q, const float *k, size_t ldqk,
                   const float *v, size_t ldv, const float *alpha, const float *beta, size_t ldab,
                   float *o, size_t ldo, size_t t) {
    for (size_t j = 0; j < t; j++) {
        for (size_t c = 0; c < cols; c++)
            o[j * ldo + c] = update_column(S + c, dk, cols, q + j * ldqk, k + j * ldqk,
                                           v[j * ldv + c], alpha[j * ldab], beta[j * ldab]);
    }
}
