// SPDX-License-Identifier: Apache-2.0
/* A shape, a recipe and a seed -> files. */
#ifndef SYNTH_WRITE_H
#define SYNTH_WRITE_H

#include "recipe.h"
#include "shape.h"
#include "vocab.h"

struct synth_job {
    struct shape shape;
    struct vocab vocab; /* n_total 0: none */
    const struct recipe *recipe;
    const char *out, *name;
    uint64_t seed;
};

ew_status write_gguf(const struct synth_job *job);
/* A folder in the published layout. */
ew_status write_hf(const struct synth_job *job);
/* config.json and what else a folder has beside its tensors. */
ew_status write_hf_documents(const struct synth_job *job);
/* tokenizer.json, tokenizer_config.json and the chat template. */
ew_status write_hf_tokenizer(const struct synth_job *job);
/* text -> <out>/<name>. */
ew_status write_hf_file(const struct synth_job *job, const char *name, struct ew__str text);

#endif
