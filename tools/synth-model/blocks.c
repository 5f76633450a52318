// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include "quant/blocks.h"
#include "quant/quant.h"

#include <math.h>
#include <string.h>

/* One random byte -> a code, so that codes are about normal around `centre`. */
struct codes {
    uint8_t of[256];
    double rms; /* of the decoded integer around its centre */
};

/* z with P(normal < z) = p, by bisection: called 256 times a type. */
static double normal_quantile(double p) {
    double low = -6, high = 6;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* Codes centre - reach ... centre + reach; symmetric, so the mean is the centre. */
static struct codes make_codes(double centre, double reach) {
    struct codes codes = {.rms = 0};
    double widest = normal_quantile(255.5 / 256), sum = 0;
    for (int i = 0; i < 128; i++) {
        double offset = normal_quantile((i + 0.5) / 256) / widest * reach; // negative half
        uint8_t code = (uint8_t)lround(fmax(centre - reach, centre + offset));
        codes.of[i] = code;
        codes.of[255 - i] = (uint8_t)lround(2 * centre - code);
        sum += 2 * (code - centre) * (code - centre);
    }
    codes.rms = sqrt(sum / 256);
    return codes;
}

/* The same onto the sixteen values of IQ4_NL: the nearest one to a normal number of deviation 48.
 */
static struct codes make_iq4_codes(void) {
    struct codes codes = {.rms = 0};
    double sum = 0;
    for (int i = 0; i < 256; i++) {
        double wanted = normal_quantile((i + 0.5) / 256) * 48;
        int best = 0;
        for (int code = 1; code < 16; code++)
            if (fabs(ew__iq4_values[code] - wanted) < fabs(ew__iq4_values[best] - wanted))
                best = code;
        codes.of[i] = (uint8_t)best;
        sum += (double)ew__iq4_values[best] * ew__iq4_values[best];
    }
    codes.rms = sqrt(sum / 256);
    return codes;
}

static void draw(const struct codes *codes, struct random_source *source, uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = random_u64(source);
        for (size_t j = 0; j < 8; j++)
            out[i + j] = codes->of[bits >> (8 * j) & 255];
    }
}

static void put_half(uint8_t out[2], double value) {
    uint16_t half = ew__f32_to_f16((float)value);
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
}

/* Block scales vary by 15% around the one that gives the deviation (mean square 1.0075). */
static double vary(struct random_source *source) {
    return 0.85 + 0.3 * random_unit(source);
}

struct job {
    struct codes codes;
    double deviation;
    struct random_source *source;
};

/* A number low..high, and the root mean square of such numbers. */
static uint32_t between(struct random_source *source, uint32_t low, uint32_t high) {
    return low + (uint32_t)((random_u64(source) >> 32) * (high - low + 1) >> 32);
}
static double rms_between(uint32_t low, uint32_t high) {
    double sum = 0;
    for (uint32_t i = low; i <= high; i++)
        sum += (double)i * i;
    return sqrt(sum / (high - low + 1));
}

static void pack_nibbles(const uint8_t codes[32], uint8_t qs[16]) {
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t codes[32], uint8_t qh[4]) {
    memset(qh, 0, 4);
    for (int i = 0; i < 32; i++)
        qh[i / 8] = (uint8_t)(qh[i / 8] | (codes[i] >> 4 & 1) << (i % 8));
}

static void fill_q4_0(const struct job *job, struct ew__block_q4_0 *b) {
    uint8_t codes[32];
    draw(&job->codes, job->source, codes, 32);
    put_half(b->d, job->deviation / job->codes.rms * vary(job->source));
    pack_nibbles(codes, b->qs);
}

static void fill_q4_1(const struct job *job, struct ew__block_q4_1 *b) {
    uint8_t codes[32];
    double d = job->deviation / job->codes.rms * vary(job->source);
    draw(&job->codes, job->source, codes, 32);
    put_half(b->d, d);
    put_half(b->m, -7.5 * d);
    pack_nibbles(codes, b->qs);
}

static void fill_q5_0(const struct job *job, struct ew__block_q5_0 *b) {
    uint8_t codes[32];
    draw(&job->codes, job->source, codes, 32);
    put_half(b->d, job->deviation / job->codes.rms * vary(job->source));
    pack_fifth_bits(codes, b->qh);
    pack_nibbles(codes, b->qs);
}

static void fill_q5_1(const struct job *job, struct ew__block_q5_1 *b) {
    uint8_t codes[32];
    double d = job->deviation / job->codes.rms * vary(job->source);
    draw(&job->codes, job->source, codes, 32);
    put_half(b->d, d);
    put_half(b->m, -15.5 * d);
    pack_fifth_bits(codes, b->qh);
    pack_nibbles(codes, b->qs);
}

static void fill_iq4_nl(const struct job *job, struct ew__block_iq4_nl *b) {
    uint8_t codes[32];
    double sign = random_u64(job->source) & 1 ? 1 : -1; // the sixteen values are not symmetric
    draw(&job->codes, job->source, codes, 32);
    put_half(b->d, sign * job->deviation / job->codes.rms * vary(job->source));
    pack_nibbles(codes, b->qs);
}

static void fill_iq4_xs(const struct job *job, struct ew__block_iq4_xs *b) {
    uint8_t codes[256];
    uint32_t high = 0;
    memset(b, 0, sizeof *b);
    draw(&job->codes, job->source, codes, 256);
    for (uint32_t j = 0; j < 8; j++) {
        uint32_t magnitude = between(job->source, 16, 31);
        uint32_t stored = random_u64(job->source) & 1 ? 32 + magnitude : 32 - magnitude;
        b->scales_l[j / 2] = (uint8_t)(b->scales_l[j / 2] | (stored & 15) << (4 * (j % 2)));
        high |= (stored >> 4) << (2 * j);
        pack_nibbles(codes + 32 * j, b->qs + 16 * j);
    }
    b->scales_h[0] = (uint8_t)high;
    b->scales_h[1] = (uint8_t)(high >> 8);
    put_half(b->d, job->deviation / job->codes.rms / rms_between(16, 31) * vary(job->source));
}

static void fill_q2_k(const struct job *job, struct ew__block_q2_k *b) {
    uint8_t codes[256];
    double d = job->deviation / job->codes.rms / rms_between(6, 15) * vary(job->source);
    draw(&job->codes, job->source, codes, 256);
    for (uint32_t i = 0; i < 16; i++)
        b->scales[i] = (uint8_t)(between(job->source, 6, 15) * 0x11); // scale and minimum alike
    for (size_t i = 0; i < 64; i++) {
        const uint8_t *c = codes + 4 * i;
        b->qs[i] = (uint8_t)(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
    }
    put_half(b->d, d);
    put_half(b->dmin, 1.5 * d);
}

static void fill_q3_k(const struct job *job, struct ew__block_q3_k *b) {
    uint8_t codes[256];
    memset(b, 0, sizeof *b);
    draw(&job->codes, job->source, codes, 256); // 1..7 = -3..3, plus 4
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t magnitude = between(job->source, 16, 31);
        uint32_t stored = random_u64(job->source) & 1 ? 32 + magnitude : 32 - magnitude;
        b->scales[i % 8] = (uint8_t)(b->scales[i % 8] | (stored & 15) << (4 * (i / 8)));
        b->scales[8 + i % 4] = (uint8_t)(b->scales[8 + i % 4] | (stored >> 4) << (2 * (i / 4)));
    }
    for (uint32_t half = 0; half < 2; half++)
        for (uint32_t j = 0; j < 4; j++)
            for (uint32_t l = 0; l < 32; l++) {
                uint32_t code = codes[128 * half + 32 * j + l];
                b->qs[32 * half + l] = (uint8_t)(b->qs[32 * half + l] | (code & 3) << (2 * j));
                b->hmask[l] = (uint8_t)(b->hmask[l] | (code >> 2) << (4 * half + j));
            }
    put_half(b->d, job->deviation / job->codes.rms / rms_between(16, 31) * vary(job->source));
}

/* Eight 6-bit scales and as many minima, equal to them, in the 12 bytes of Q4_K and Q5_K. */
static void pack_k4_scales(struct random_source *source, uint8_t s[12]) {
    uint32_t sc[8];
    for (uint32_t j = 0; j < 8; j++)
        sc[j] = between(source, 24, 63);
    for (uint32_t j = 0; j < 4; j++) {
        s[j] = (uint8_t)(sc[j] | (sc[j + 4] >> 4) << 6);
        s[j + 4] = s[j];
        s[j + 8] = (uint8_t)((sc[j + 4] & 15) * 0x11);
    }
}

static void pack_k4_codes(const uint8_t codes[256], uint8_t qs[128]) {
    for (uint32_t p = 0; p < 4; p++)
        for (uint32_t l = 0; l < 32; l++)
            qs[32 * p + l] =
                (uint8_t)((codes[64 * p + l] & 15) | (codes[64 * p + 32 + l] & 15) << 4);
}

static void fill_q4_k(const struct job *job, struct ew__block_q4_k *b) {
    uint8_t codes[256];
    double d = job->deviation / job->codes.rms / rms_between(24, 63) * vary(job->source);
    draw(&job->codes, job->source, codes, 256);
    pack_k4_scales(job->source, b->scales);
    pack_k4_codes(codes, b->qs);
    put_half(b->d, d);
    put_half(b->dmin, 7.5 * d);
}

static void fill_q5_k(const struct job *job, struct ew__block_q5_k *b) {
    uint8_t codes[256];
    double d = job->deviation / job->codes.rms / rms_between(24, 63) * vary(job->source);
    draw(&job->codes, job->source, codes, 256);
    pack_k4_scales(job->source, b->scales);
    pack_k4_codes(codes, b->qs);
    for (uint32_t l = 0; l < 32; l++) {
        uint32_t bits = 0;
        for (uint32_t j = 0; j < 8; j++)
            bits |= (uint32_t)(codes[32 * j + l] >> 4) << j;
        b->qh[l] = (uint8_t)bits;
    }
    put_half(b->d, d);
    put_half(b->dmin, 15.5 * d);
}

static void fill_q6_k(const struct job *job, struct ew__block_q6_k *b) {
    uint8_t codes[256];
    draw(&job->codes, job->source, codes, 256); // 1..63 = -31..31, plus 32
    for (uint32_t i = 0; i < 16; i++) {
        int magnitude = (int)between(job->source, 64, 127);
        b->scales[i] = (int8_t)(random_u64(job->source) & 1 ? magnitude : -magnitude);
    }
    for (uint32_t half = 0; half < 2; half++)
        for (uint32_t l = 0; l < 32; l++) {
            const uint8_t *c = codes + 128 * half + l;
            b->ql[64 * half + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            b->ql[64 * half + 32 + l] = (uint8_t)((c[32] & 15) | (c[96] & 15) << 4);
            b->qh[32 * half + l] =
                (uint8_t)(c[0] >> 4 | (c[32] >> 4) << 2 | (c[64] >> 4) << 4 | (c[96] >> 4) << 6);
        }
    put_half(b->d, job->deviation / job->codes.rms / rms_between(64, 127) * vary(job->source));
}

/* X(TYPE, tag, centre of the codes, reach around it) */
#define GENERATORS(X)                                                                              \
    X(Q4_0, q4_0, 8, 7)                                                                            \
    X(Q4_1, q4_1, 7.5, 7.5)                                                                        \
    X(Q5_0, q5_0, 16, 15)                                                                          \
    X(Q5_1, q5_1, 15.5, 15.5)                                                                      \
    X(Q2_K, q2_k, 1.5, 1.5)                                                                        \
    X(Q3_K, q3_k, 4, 3)                                                                            \
    X(Q4_K, q4_k, 7.5, 7.5)                                                                        \
    X(Q5_K, q5_k, 15.5, 15.5)                                                                      \
    X(Q6_K, q6_k, 32, 31)                                                                          \
    X(IQ4_NL, iq4_nl, 0, 0)                                                                        \
    X(IQ4_XS, iq4_xs, 0, 0)

bool blocks_known(ew__dtype type) {
#define IS_KNOWN(name, tag, centre, reach) || type == EW__##name
    return false GENERATORS(IS_KNOWN);
#undef IS_KNOWN
}

bool blocks_fill(ew__dtype type, double deviation, struct random_source *source, void *out,
                 size_t blocks) {
    struct job job = {.deviation = deviation, .source = source};
    switch (type) {
#define FILL_CASE(name, tag, centre, reach)                                                        \
    case EW__##name:                                                                               \
        job.codes = (centre) == 0 ? make_iq4_codes() : make_codes(centre, reach);                  \
        for (size_t i = 0; i < blocks; i++)                                                        \
            fill_##tag(&job, (struct ew__block_##tag *)out + i);                                   \
        return true;
        GENERATORS(FILL_CASE)
#undef FILL_CASE
    default:
        return false;
    }
}
