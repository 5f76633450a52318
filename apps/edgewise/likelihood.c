// SPDX-License-Identifier: Apache-2.0
#include "likelihood.h"

#include <math.h>
#include <stdlib.h>

bool likelihood_new(likelihood *l, size_t size, bool has_base) {
    *l = (likelihood){.size = size, .has_base = has_base};
    l->nll = calloc(size, sizeof(double));
    if (!has_base)
        return l->nll != NULL;
    l->base_nll = calloc(size, sizeof(double));
    l->kl = calloc(size, sizeof(double));
    l->change = calloc(size, sizeof(double));
    return l->nll != NULL && l->base_nll != NULL && l->kl != NULL && l->change != NULL;
}

void likelihood_free(likelihood *l) {
    free(l->nll);
    free(l->base_nll);
    free(l->kl);
    free(l->change);
    *l = (likelihood){.n = 0};
}

void likelihood_add(likelihood *l, double nll) {
    l->nll[l->n++] = nll;
}

void likelihood_add_against(likelihood *l, double nll, double base_nll, double kl, bool same_best) {
    l->base_nll[l->n] = base_nll;
    l->kl[l->n] = kl;
    l->change[l->n] = exp(-nll) - exp(-base_nll);
    l->same_best += same_best;
    likelihood_add(l, nll);
}

static double mean_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n == 0 ? 0 : sum / (double)n;
}

/* Covariance of the means of x and y: that of the values over n. */
static double covariance(const double *x, const double *y, size_t n) {
    double mx = mean_of(x, n), my = mean_of(y, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mx) * (y[i] - my);
    return n < 2 ? 0 : sum / (double)(n - 1) / (double)n;
}

static estimate exp_of_mean(const double *x, size_t n) {
    double value = exp(mean_of(x, n));
    return (estimate){value, value * sqrt(covariance(x, x, n))};
}

estimate likelihood_perplexity(const likelihood *l) {
    return exp_of_mean(l->nll, l->n);
}

estimate likelihood_base_perplexity(const likelihood *l) {
    return exp_of_mean(l->base_nll, l->n);
}

estimate likelihood_ratio(const likelihood *l) {
    double value = exp(mean_of(l->nll, l->n) - mean_of(l->base_nll, l->n));
    double variance = covariance(l->nll, l->nll, l->n) +
                      covariance(l->base_nll, l->base_nll, l->n) -
                      2 * covariance(l->nll, l->base_nll, l->n);
    return (estimate){value, value * sqrt(variance > 0 ? variance : 0)};
}

estimate likelihood_mean_kl(const likelihood *l) {
    return (estimate){mean_of(l->kl, l->n), sqrt(covariance(l->kl, l->kl, l->n))};
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double likelihood_kl_quantile(likelihood *l, double q) {
    if (l->n == 0)
        return 0;
    qsort(l->kl, l->n, sizeof(*l->kl), compare);
    double at = q * (double)(l->n - 1);
    size_t low = (size_t)at, high = low + 1 < l->n ? low + 1 : low;
    return l->kl[low] + (at - (double)low) * (l->kl[high] - l->kl[low]);
}

estimate likelihood_same_best(const likelihood *l) {
    double share = l->n == 0 ? 0 : (double)l->same_best / (double)l->n;
    return (estimate){share, l->n < 2 ? 0 : sqrt(share * (1 - share) / (double)(l->n - 1))};
}

double likelihood_rms_change(const likelihood *l) {
    double sum = 0;
    for (size_t i = 0; i < l->n; i++)
        sum += l->change[i] * l->change[i];
    return l->n == 0 ? 0 : sqrt(sum / (double)l->n);
}
