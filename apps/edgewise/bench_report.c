// SPDX-License-Identifier: Apache-2.0
#include "bench_report.h"

#include "json.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

/* Of the weights alone, in GB/s. */
static double weight_rate(const bench_result *r) {
    return (double)r->info.bytes_per_token * r->decode.s.median * 1e-9;
}

/* All that decoding one token moves, at the middle of the answer. */
static uint64_t moved_bytes(const bench_result *r) {
    uint64_t positions = r->depth + r->decode.tokens / 2;
    return r->info.bytes_per_token + positions * r->info.kv_bytes_per_token +
           2 * r->info.state_bytes;
}

static double prefill_ops_per_second(const bench_result *r) {
    return (double)r->info.prompt_ops_per_token * r->prefill.s.median;
}

static double arithmetic_limit(const bench_result *r) {
    if (strcmp(r->info.arithmetic, "int8") == 0)
        return r->limits.int8_ops_per_second;
    return strcmp(r->info.arithmetic, "bf16") == 0 ? r->limits.bf16_ops_per_second
                                                   : r->limits.f32_ops_per_second;
}

static double share(double of, double limit) {
    return limit > 0 ? of / limit : 0;
}

static double share_of_arithmetic(const bench_result *r) {
    return share(prefill_ops_per_second(r), arithmetic_limit(r));
}

static double share_of_bandwidth(const bench_result *r) {
    return share((double)moved_bytes(r) * r->decode.s.median, r->limits.read_bytes_per_second);
}

static void json_samples(json *j, const char *key, const bench_speed *speed) {
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < speed->n; i++)
        json_real(j, speed->samples[i]);
    json_close(j, ']');
}

/* Leaves the object open for more. */
static void json_speed(json *j, const char *key, const bench_speed *speed) {
    json_key(j, key);
    json_open(j, '{');
    json_put_count(j, "tokens", speed->tokens);
    json_put_real(j, "tokens_per_second", speed->s.median);
    json_put_real(j, "median", speed->s.median);
    json_put_real(j, "min", speed->s.least);
    json_put_real(j, "max", speed->s.most);
    json_samples(j, "samples", speed);
}

/* Nothing when the limits were not measured. */
static void json_share(json *j, const bench_result *r, const char *key, double value) {
    if (r->limits.read_bytes_per_second > 0)
        json_put_real(j, key, value);
}

static void json_together(json *j, const bench_result *r) {
    json_speed(j, "parallel", &r->together);
    json_put_count(j, "sequences", r->sequences);
    json_put_real(j, "times_one", r->gain.s.median);
    json_close(j, '}');
}

static void json_limits(json *j, const bench_result *r) {
    json_key(j, "limits");
    json_open(j, '{');
    json_put_real(j, "read_gigabytes_per_second", r->limits.read_bytes_per_second * 1e-9);
    json_put_real(j, "int8_gigaops_per_second", r->limits.int8_ops_per_second * 1e-9);
    json_put_real(j, "bf16_gigaops_per_second", r->limits.bf16_ops_per_second * 1e-9);
    json_put_real(j, "f32_gigaops_per_second", r->limits.f32_ops_per_second * 1e-9);
    json_close(j, '}');
}

static void json_settings(json *j, const bench_result *r) {
    json_put_count(j, "depth", r->depth);
    json_put_count(j, "repetitions", r->repetitions);
    json_put_count(j, "threads", r->info.n_threads);
    json_put_count(j, "threads_batch", r->info.n_threads_batch);
    json_put_text(j, "isa", r->info.isa);
    json_put_text(j, "kv", r->kv);
    json_put_flag(j, "exact", r->exact);
    json_put_count(j, "n_batch", r->n_batch);
    json_put_text(j, "weight_type", r->info.weight_type);
    json_put_count(j, "bytes_per_token", r->info.bytes_per_token);
    json_put_count(j, "operations_per_prompt_token", r->info.prompt_ops_per_token);
    json_put_count(j, "weight_bytes", r->info.weight_bytes);
    json_put_count(j, "peak_rss_bytes", r->peak_rss_bytes);
    json_put_real(j, "load_seconds", r->load_seconds);
    json_put_real(j, "first_token_seconds", r->first.s.median);
}

void bench_report_json(const bench_result *r) {
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_text(&j, "model", r->path);
    json_speed(&j, "prefill", &r->prefill);
    json_put_real(&j, "gigaops_per_second", prefill_ops_per_second(r) * 1e-9);
    json_put_text(&j, "arithmetic", r->info.arithmetic);
    json_share(&j, r, "share_of_arithmetic", share_of_arithmetic(r));
    json_close(&j, '}');
    json_speed(&j, "decode", &r->decode);
    json_put_real(&j, "gigabytes_per_second", weight_rate(r));
    json_put_count(&j, "moved_bytes_per_token", moved_bytes(r));
    json_share(&j, r, "share_of_bandwidth", share_of_bandwidth(r));
    json_close(&j, '}');
    if (r->together.tokens > 0)
        json_together(&j, r);
    json_settings(&j, r);
    if (r->limits.read_bytes_per_second > 0)
        json_limits(&j, r);
    json_close(&j, '}');
    fputc('\n', stdout);
}

enum { NOTE_MAX = 96 };

static void print_row(const char *what, const bench_speed *speed, const char *more) {
    if (speed->tokens > 0)
        printf("  %-10s %8llu %12.2f %12.2f %12.2f   %s\n", what, (unsigned long long)speed->tokens,
               speed->s.median, speed->s.least, speed->s.most, more);
}

/* ", 41% of the limit" behind a figure; "" when there is none. */
static void write_share(char *out, size_t size, const bench_result *r, double value) {
    if (r->limits.read_bytes_per_second > 0)
        snprintf(out, size, ", %.0f%% of the limit", 100 * value);
    else
        out[0] = '\0';
}

static void print_speeds(const bench_result *r) {
    char part[NOTE_MAX / 2];
    char line[NOTE_MAX];
    printf("  %-10s %8s %12s %12s %12s\n", "tokens/s", "tokens", "median", "min", "max");
    write_share(part, sizeof(part), r, share_of_arithmetic(r));
    snprintf(line, sizeof(line), "%.1f GOP/s%s", prefill_ops_per_second(r) * 1e-9, part);
    print_row("prefill", &r->prefill, line);
    write_share(part, sizeof(part), r, share_of_bandwidth(r));
    snprintf(line, sizeof(line), "%.2f GB/s of weights%s", weight_rate(r), part);
    print_row("decode", &r->decode, line);
    snprintf(part, sizeof(part), "%llu at once", (unsigned long long)r->sequences);
    snprintf(line, sizeof(line), "%.2f times one (%.2f to %.2f)", r->gain.s.median, r->gain.s.least,
             r->gain.s.most);
    print_row(part, &r->together, line);
}

static void print_limits(const bench_result *r) {
    if (r->limits.read_bytes_per_second <= 0)
        return;
    printf("limits of this machine: memory %.1f GB/s, int8 %.0f GOP/s, ",
           r->limits.read_bytes_per_second * 1e-9, r->limits.int8_ops_per_second * 1e-9);
    if (r->limits.bf16_ops_per_second > 0)
        printf("bf16 %.0f GOP/s, ", r->limits.bf16_ops_per_second * 1e-9);
    printf("f32 %.0f GOP/s; the weights are multiplied in %s\n",
           r->limits.f32_ops_per_second * 1e-9, r->info.arithmetic);
}

void bench_report_text(const bench_result *r) {
    char weights[TEXT_SIZE_MAX];
    char per_token[TEXT_SIZE_MAX];
    char peak[TEXT_SIZE_MAX];
    text_size(weights, r->info.weight_bytes);
    text_size(per_token, r->info.bytes_per_token);
    text_size(peak, r->peak_rss_bytes);
    text_print_line(stdout, r->path, 200);
    printf(": %s, mostly %s, %s read per token\n%s kernels, %u threads (%u for prompts), kv %s%s, "
           "batch %llu, depth %llu, %llu repetitions\n\n",
           weights, r->info.weight_type, per_token, r->info.isa, r->info.n_threads,
           r->info.n_threads_batch, r->kv, r->exact ? ", exact" : "",
           (unsigned long long)r->n_batch, (unsigned long long)r->depth,
           (unsigned long long)r->repetitions);
    print_speeds(r);
    putchar('\n');
    print_limits(r);
    printf("load %.3f s, first token of a %d-token prompt %.3f s, peak memory %s\n",
           r->load_seconds, BENCH_SHORT_PROMPT, r->first.s.median, peak);
}
