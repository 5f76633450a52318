// SPDX-License-Identifier: Apache-2.0
/* Random well-formed quantised blocks whose decoded values have mean 0 and a wanted deviation: the
 * layout, scales and code distribution of a real file without the cost of an encoder. */
#ifndef SYNTH_BLOCKS_H
#define SYNTH_BLOCKS_H

#include "base/dtype.h"
#include "random.h"

#include <stdbool.h>

/* Writes `blocks` blocks to out; false for a type that has no generator here. Q8_0 and floats are
 * encoded from real numbers instead: see weights.c. */
bool blocks_fill(ew__dtype type, double deviation, struct random_source *source, void *out,
                 size_t blocks);
bool blocks_known(ew__dtype type);

#endif
