// SPDX-License-Identifier: Apache-2.0
/* Values for each tensor, with the statistics that keep activations of a random model in the range
 * of a trained one's. */
#ifndef SYNTH_WEIGHTS_H
#define SYNTH_WEIGHTS_H

#include "base/status.h"
#include "model/checkpoint.h"
#include "random.h"

/* Mean and deviation of normal numbers; A_log and dt_bias have distributions of their own. */
struct weight_law {
    enum { LAW_NORMAL, LAW_LOG_DECAY, LAW_DT_BIAS } kind;
    float mean, deviation;
};
struct weight_law weight_law_of(ew__role role, const struct ew__config *config);

/* n numbers of a law, as a Hugging Face checkpoint holds them. */
void weight_fill(struct weight_law law, struct random_source *source, float *out, size_t n);

/* Makes n elements of a type, a piece at a time, the transform of conversion made, and gives each
 * piece to `put`. Quantised types but Q8_0 come as random blocks: a law with mean 0 is theirs. */
typedef ew_status weight_sink(void *context, const void *bytes, size_t n);
ew_status weight_stream(struct weight_law law, ew__transform transform, ew__dtype type, uint64_t n,
                        struct random_source *source, weight_sink *put, void *context);

#endif
