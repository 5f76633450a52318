// SPDX-License-Identifier: Apache-2.0
/* exp of every lane, at most 1 ulp off (kernel_check measures it); NaN stays NaN, overflow gives
 * infinity and underflow passes through the subnormals to 0. Included after an instruction set's
 * vec.h.
 *
 * x = n ln 2 + r with |r| <= ln(2)/2, exp(x) = 2^n (1 + r + r^2 q(r)). q interpolates
 * (exp(r) - 1 - r) / r^2 at the Chebyshev nodes; the relative error of the whole is 1.1e-8. */
#ifndef EW_KERNELS_SIMD_EXP_H
#define EW_KERNELS_SIMD_EXP_H

static inline vec vec_exp(vec x) {
    /* exp(-104) rounds to 0, exp(89) to infinity; the order of operands lets NaN through */
    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.0f), x));
    vec n = vec_round(vec_mul(x, vec_set(0x1.715476p+0f))); /* 1 / ln 2 */
    vec r = vec_fnma(n, vec_set(0x1.62e400p-1f), x);        /* ln 2, upper 15 bits */
    r = vec_fnma(n, vec_set(0x1.7f7d1cp-20f), r);           /* ln 2, the rest */
    vec q = vec_set(0x1.6d113cp-10f);
    q = vec_fma(q, r, vec_set(0x1.120ba2p-7f));
    q = vec_fma(q, r, vec_set(0x1.55551ap-5f));
    q = vec_fma(q, r, vec_set(0x1.5554dcp-3f));
    q = vec_fma(q, r, vec_set(0x1p-1f));
    vec p = vec_fma(vec_mul(r, r), q, r);
    return vec_scale2(vec_add(p, vec_set(1.0f)), n);
}

/* 1 / (1 + exp(-x)) */
static inline vec vec_sigmoid(vec x) {
    vec one = vec_set(1.0f);
    return vec_div(one, vec_add(one, vec_exp(vec_sub(vec_zero(), x))));
}

/* x / (1 + exp(-x)) */
static inline vec vec_silu(vec x) {
    return vec_div(x, vec_add(vec_set(1.0f), vec_exp(vec_sub(vec_zero(), x))));
}

#endif
