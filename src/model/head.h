// SPDX-License-Identifier: Apache-2.0
/* The output head when only the largest logits are wanted (docs/model.md, "The two-stage head"). */
#ifndef EW_MODEL_HEAD_H
#define EW_MODEL_HEAD_H

#include "model/forward.h"

/* The most logits that can be asked for; more are not worth a screening. */
enum { EW__HEAD_BEST_MAX = 65 };

/* Takes a screening's memory from the arena, none where the head is not in two planes. */
ew_status ew__head_screen_init(struct ew__head_screen *screen, const struct ew__matrix *head,
                               struct ew__arena *arena);

/* logits[n_vocab] from one final hidden state, of which the n_best largest among rows 0 .. n_rows -
 * 1 are wanted: these, every logit equal to the least of them, and some others have the bits that
 * ew__head gives; the rest are -infinity. They stay the n_best largest, ties included, when all
 * are divided by a number from 1e-3 to 1e3. Returns true when all logits were computed, which
 * happens wherever less could not be proved to do. */
bool ew__head_best(struct ew__workspace *ws, const float *hidden, size_t n_rows, size_t n_best,
                   float *logits);

#endif
