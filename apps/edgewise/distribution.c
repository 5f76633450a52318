// SPDX-License-Identifier: Apache-2.0
#include "distribution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_STEPS = 2048, CODE_MOST = 65535, BIN_CODES = 16, N_BINS = (CODE_MOST + 1) / BIN_CODES };

bool distribution_new(distribution *d, uint32_t n_vocab) {
    *d = (distribution){.n_vocab = n_vocab};
    d->ids = calloc(n_vocab, sizeof(*d->ids));
    d->codes = calloc(n_vocab, sizeof(*d->codes));
    return d->ids != NULL && d->codes != NULL;
}

void distribution_free(distribution *d) {
    free(d->ids);
    free(d->codes);
    *d = (distribution){.n_vocab = 0};
}

double distribution_log_sum(const float *logits, size_t n, int32_t *best) {
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        at = logits[i] > logits[at] ? i : at;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(logits[i] - logits[at]);
    *best = (int32_t)at;
    return (double)logits[at] + log(fmax(sum, 1)); // the largest adds 1
}

static uint16_t code_of(double log_probability) {
    double code = -log_probability * CODE_STEPS;
    return (uint16_t)(code < 0 ? 0 : code > CODE_MOST ? CODE_MOST : lrint(code));
}

static double log_of_code(uint16_t code) {
    return -(double)code / CODE_STEPS;
}

/* The first code that is not kept: probabilities are summed in bins of 1/128 nat, from the largest
 * down, until no more than the rest is left. */
static uint32_t end_of_kept(const float *logits, size_t n, double log_sum) {
    double bins[N_BINS] = {0}, kept = 0;
    for (size_t i = 0; i < n; i++) {
        double log_probability = (double)logits[i] - log_sum;
        bins[code_of(log_probability) / BIN_CODES] += exp(log_probability);
    }
    for (uint32_t bin = 0; bin < N_BINS; bin++) {
        kept += bins[bin];
        if (kept >= 1 - DISTRIBUTION_REST_MASS)
            return (bin + 1) * BIN_CODES;
    }
    return CODE_MOST + 1;
}

void distribution_keep(distribution *d, const float *logits, double log_sum, int32_t best,
                       int32_t came) {
    uint32_t end = end_of_kept(logits, d->n_vocab, log_sum);
    double kept = 0;
    d->n = 0;
    d->best = best;
    d->next = (float)((double)logits[came] - log_sum);
    for (uint32_t i = 0; i < d->n_vocab; i++) {
        double log_probability = (double)logits[i] - log_sum;
        uint16_t code = code_of(log_probability);
        if (code >= end)
            continue;
        kept += exp(log_probability);
        d->ids[d->n] = (int32_t)i;
        d->codes[d->n++] = code;
    }
    d->rest = d->n == d->n_vocab || kept >= 1 ? 0 : (float)(1 - kept);
}

/* What the kept probabilities are multiplied with so that they and the rest are 1 in spite of the
 * rounding of their logarithms. */
static double log_scale(const distribution *d) {
    double sum = 0;
    for (uint32_t i = 0; i < d->n; i++)
        sum += exp(log_of_code(d->codes[i]));
    return log((1 - (double)d->rest) / sum);
}

double distribution_divergence(const distribution *d, const float *logits, double log_sum) {
    double scale = log_scale(d), divergence = 0, others = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        double log_p = log_of_code(d->codes[i]) + scale;
        double log_q = (double)logits[d->ids[i]] - log_sum;
        divergence += exp(log_p) * (log_p - log_q);
        others += exp(log_q);
    }
    double rest = (double)d->rest, least = 1e-12;
    if (rest > 0)
        divergence += rest * (log(rest) - log(1 - others > least ? 1 - others : least));
    return divergence;
}

static bool write_u32(FILE *out, uint32_t value) {
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    return fwrite(bytes, 1, 4, out) == 4;
}

static bool read_u32(FILE *in, uint32_t *value) {
    unsigned char bytes[4];
    if (fread(bytes, 1, 4, in) != 4)
        return false;
    *value = 0;
    for (int i = 0; i < 4; i++)
        *value |= (uint32_t)bytes[i] << (8 * i);
    return true;
}

/* Seven bits a byte, the low ones first; the high bit says that more come. */
static void write_varint(FILE *out, uint32_t value) {
    for (; value >= 128; value >>= 7)
        putc((int)(value & 127) | 128, out);
    putc((int)value, out);
}

static bool read_varint(FILE *in, uint32_t *value) {
    *value = 0;
    for (int shift = 0; shift < 28; shift += 7) {
        int byte = getc(in);
        if (byte == EOF)
            return false;
        *value |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

/* n, best, the rest in units of 2^-32, the next token's logarithm as a float; then for each kept
 * token its distance from the one before and its code in two bytes. */
bool distribution_write(const distribution *d, FILE *out) {
    int32_t before = -1;
    uint32_t next;
    memcpy(&next, &d->next, sizeof(next));
    if (!write_u32(out, d->n) || !write_u32(out, (uint32_t)d->best) ||
        !write_u32(out, (uint32_t)((double)d->rest * 0x1p32)) || !write_u32(out, next))
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        write_varint(out, (uint32_t)(d->ids[i] - before - 1));
        putc(d->codes[i] & 255, out);
        putc(d->codes[i] >> 8, out);
        before = d->ids[i];
    }
    return !ferror(out);
}

static bool read_kept(distribution *d, FILE *in) {
    uint32_t next = 0, step;
    for (uint32_t i = 0; i < d->n; i++) {
        if (!read_varint(in, &step) || step >= d->n_vocab - next)
            return false;
        int low = getc(in), high = getc(in);
        if (high == EOF)
            return false;
        d->ids[i] = (int32_t)(next + step);
        d->codes[i] = (uint16_t)(low | high << 8);
        next += step + 1;
    }
    return true;
}

bool distribution_read(distribution *d, FILE *in) {
    uint32_t best, rest, next;
    if (!read_u32(in, &d->n) || !read_u32(in, &best) || !read_u32(in, &rest) ||
        !read_u32(in, &next))
        return false;
    memcpy(&d->next, &next, sizeof(next));
    d->best = (int32_t)best;
    d->rest = (float)((double)rest * 0x1p-32);
    return d->n > 0 && d->n <= d->n_vocab && best < d->n_vocab && d->rest < 0.5F && d->next <= 0 &&
           read_kept(d, in);
}
