// SPDX-License-Identifier: Apache-2.0
/* What edgewise bench found, as a table or as one JSON object. */
#ifndef EDGEWISE_APP_BENCH_REPORT_H
#define EDGEWISE_APP_BENCH_REPORT_H

#include "edgewise/edgewise.h"
#include "measure.h"

enum { BENCH_SHORT_PROMPT = 16 }; /* tokens of the prompt whose first token is timed */

typedef struct bench_speed {
    uint64_t tokens;       /* of one repetition; 0: not measured, and all else is 0 */
    spread s;              /* tokens/s; seconds for the first token */
    const double *samples; /* [n], ascending */
    size_t n;
} bench_speed;

typedef struct bench_result {
    const char *path, *kv;
    ew_model_info info;
    ew_machine_peak limits; /* all 0: not measured */
    bool exact;
    uint64_t n_batch, depth, repetitions, peak_rss_bytes;
    double load_seconds;
    bench_speed prefill, decode, first;
    uint64_t sequences;         /* decoded together; 0: not measured */
    bench_speed together, gain; /* tokens/s of all of them, and times `decode` */
} bench_result;

void bench_report_json(const bench_result *r);
void bench_report_text(const bench_result *r);

#endif
