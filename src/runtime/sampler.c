// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampler.h"

#include "base/mem.h"
#include "base/size.h"
#include "base/status.h"

#include <math.h>

ew_status ew__candidates_init(struct ew__candidates *candidates, size_t n_vocab) {
    candidates->items = ew__calloc(n_vocab, sizeof *candidates->items);
    candidates->capacity = n_vocab;
    return candidates->items != NULL ? EW_OK : EW_NO_MEMORY;
}

void ew__candidates_release(struct ew__candidates *candidates) {
    ew__free(candidates->items);
    *candidates = (struct ew__candidates){0};
}

ew_status ew__sampling_check(const ew_sampling *s) {
    if (!(s->temperature >= 0 && s->temperature <= 100))
        return ew__fail(EW_ARGUMENT, "temperature %g is outside 0 to 100", (double)s->temperature);
    if (!(s->top_p >= 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1))
        return ew__fail(EW_ARGUMENT, "top_p %g and min_p %g must lie in 0 to 1", (double)s->top_p,
                        (double)s->min_p);
    if (s->top_k < 0)
        return ew__fail(EW_ARGUMENT, "top_k %d is negative", s->top_k);
    return EW_OK;
}

double ew__random_uniform(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53;
}

static int32_t largest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best] || isnan(logits[best]))
            best = i;
    return (int32_t)best;
}

static bool is_before(struct ew__candidate a, struct ew__candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap (best candidate at the root) below `at`. */
static void sift_down(struct ew__candidate *heap, size_t n, size_t at) {
    struct ew__candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* Moves the best `keep` candidates, best first, to the end of the array; returns where they begin
 * (in reverse order: the best one stands last). With top_p, fewer are enough. */
static size_t order_best(struct ew__candidate *items, size_t n, size_t keep, double enough,
                         double max) {
    double sum = 0;
    size_t left = n;
    for (size_t at = n / 2; at-- > 0;)
        sift_down(items, n, at);
    while (left > 0 && n - left < keep && sum < enough) {
        struct ew__candidate best = items[0];
        items[0] = items[--left];
        sift_down(items, left, 0);
        items[left] = best;
        sum += exp((double)best.logit - max);
    }
    return left;
}

/* Draws from items[first..n), walking from the end (the best) down. */
static int32_t draw(const struct ew__candidate *items, size_t first, size_t n, double max,
                    uint64_t *random) {
    double total = 0, sum = 0, u = ew__random_uniform(random);
    for (size_t i = n; i-- > first;)
        total += exp((double)items[i].logit - max);
    for (size_t i = n; i-- > first;) {
        sum += exp((double)items[i].logit - max);
        if (sum > u * total)
            return items[i].id;
    }
    return items[first].id;
}

/* Candidates after temperature and min_p; the largest scaled logit in *max. */
static size_t collect(struct ew__candidate *items, const float *logits, size_t n,
                      const ew_sampling *s, double *max) {
    float top = logits[largest(logits, n)] / s->temperature;
    float floor = s->min_p > 0 ? top + logf(s->min_p) : -INFINITY;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        float scaled = logits[i] / s->temperature;
        if (scaled >= floor)
            items[count++] = (struct ew__candidate){scaled, (int32_t)i};
    }
    *max = top;
    return count;
}

static double weight_of(const struct ew__candidate *items, size_t first, size_t n, double max) {
    double sum = 0;
    for (size_t i = n; i-- > first;)
        sum += exp((double)items[i].logit - max);
    return sum;
}

/* The shortest run from the end whose weight reaches p of the whole. */
static size_t cut_top_p(const struct ew__candidate *items, size_t first, size_t n, double max,
                        double p) {
    double enough = p * weight_of(items, first, n, max), sum = 0;
    size_t at = n;
    while (at > first && (at == n || sum < enough))
        sum += exp((double)items[--at].logit - max);
    return at;
}

int32_t ew__sample(struct ew__candidates *candidates, const float *logits, size_t n,
                   const ew_sampling *s, uint64_t *random) {
    n = ew__min_size(n, candidates->capacity);
    struct ew__candidate *items = candidates->items;
    if (!(s->temperature > 0))
        return largest(logits, n);
    double max;
    size_t count = collect(items, logits, n, s, &max), first = 0;
    if (count == 0) // every logit is NaN
        return largest(logits, n);
    bool has_top_k =
        s->top_k > 0 && (size_t)s->top_k<count, has_top_p = s->top_p> 0 && s->top_p < 1;
    if (has_top_k)
        first = order_best(items, count, (size_t)s->top_k, INFINITY, max);
    else if (has_top_p)
        first = order_best(items, count, count, (double)s->top_p * weight_of(items, 0, count, max),
                           max);
    if (has_top_k && has_top_p)
        first = cut_top_p(items, first, count, max, (double)s->top_p);
    return draw(items, first, count, max, random);
}
