// SPDX-License-Identifier: Apache-2.0
/* Sums over scored positions: perplexity, and how one distribution differs from another. Standard
 * errors take the positions as independent. Definitions as in llama.cpp's perplexity program, so
 * that figures compare. */
#ifndef EDGEWISE_APP_LIKELIHOOD_H
#define EDGEWISE_APP_LIKELIHOOD_H

#include <stdbool.h>
#include <stddef.h>

typedef struct estimate {
    double value, error;
} estimate;

/* One number per scored position; kl and the rest only when there is a base. */
typedef struct likelihood {
    size_t n, size;
    bool has_base;
    double *nll;      /* -ln of the probability of the token that came */
    double *base_nll; /* the same by the base */
    double *kl;       /* divergence from the base, nats */
    double *change;   /* probability of the token that came, less the base's */
    size_t same_best; /* positions with the same most likely token */
} likelihood;

/* Room for `size` positions; false without memory. */
bool likelihood_new(likelihood *l, size_t size, bool has_base);
void likelihood_free(likelihood *l);
void likelihood_add(likelihood *l, double nll);
void likelihood_add_against(likelihood *l, double nll, double base_nll, double kl, bool same_best);

/* exp of the mean of -ln p. */
estimate likelihood_perplexity(const likelihood *l);
estimate likelihood_base_perplexity(const likelihood *l);
/* Perplexity over the base's, with the error of positions that move together taken out. */
estimate likelihood_ratio(const likelihood *l);
estimate likelihood_mean_kl(const likelihood *l);
/* The q-quantile of the divergence, q in [0, 1], linear between neighbours. Sorts l->kl. */
double likelihood_kl_quantile(likelihood *l, double q);
/* Share of positions with the same most likely token. */
estimate likelihood_same_best(const likelihood *l);
/* Root of the mean square of the change in probability of the token that came. */
double likelihood_rms_change(const likelihood *l);

#endif
