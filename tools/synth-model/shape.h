// SPDX-License-Identifier: Apache-2.0
/* What to make: a preset, changed field by field from the command line. */
#ifndef SYNTH_SHAPE_H
#define SYNTH_SHAPE_H

#include "base/dtype.h"
#include "model/config.h"

#include <stdbool.h>
#include <stdint.h>

struct vision_shape {
    uint32_t depth, hidden_size, num_heads, intermediate_size, num_position_embeddings;
};

/* 0 no tokenizer, 1 bytes and a few hundred merges, else the number of ids to spread a full one
 * over */
enum { VOCAB_NONE = 0, VOCAB_BYTES = 1 };

struct shape {
    struct ew__config config;
    struct vision_shape vision;
    bool has_vision;
    uint32_t vocab; /* VOCAB_NONE, VOCAB_BYTES or a size */
};

/* "0.8b", "2b", "4b", "9b", "tiny"; false for another name. */
bool shape_preset(const char *name, struct shape *shape);
/* "hidden_size=128", named as in config.json, vision ones with "vision." before; false for an
 * unknown field or a bad number. */
bool shape_set(struct shape *shape, const char *assignment);
/* Fills what follows from the fields (layer kinds, rotary dims and sections) and checks all. */
ew_status shape_finish(struct shape *shape);

#endif
