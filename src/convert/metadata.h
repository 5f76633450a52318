// SPDX-License-Identifier: Apache-2.0
/* The metadata of a GGUF file of architecture "qwen35" (docs/formats.md; source: llama.cpp's
 * conversion script and reader). */
#ifndef EW_CONVERT_METADATA_H
#define EW_CONVERT_METADATA_H

#include "base/dtype.h"
#include "base/status.h"
#include "base/str.h"
#include "formats/gguf_write.h"
#include "model/config.h"

#include <stdint.h>

/* Numbers of general.file_type, which names the mixture for people; llama.cpp's enum llama_ftype.
 */
typedef enum ew__file_type {
    EW__FILE_F32 = 0,
    EW__FILE_F16 = 1,
    EW__FILE_Q4_0 = 2,
    EW__FILE_Q4_1 = 3,
    EW__FILE_Q8_0 = 7,
    EW__FILE_Q5_0 = 8,
    EW__FILE_Q5_1 = 9,
    EW__FILE_Q2_K = 10,
    EW__FILE_Q3_K_M = 12,
    EW__FILE_Q4_K_M = 15,
    EW__FILE_Q5_K_M = 17,
    EW__FILE_Q6_K = 18,
    EW__FILE_IQ4_NL = 25,
    EW__FILE_IQ4_XS = 30,
    EW__FILE_BF16 = 32
} ew__file_type;

/* general.* and qwen35.*. n_mtp blocks of the config are counted and announced. The writer keeps
 * the first failure, so the result may be left to ew__gguf_begin. */
ew_status ew__add_model_keys(struct ew__gguf_writer *writer, const struct ew__config *config,
                             struct ew__str name, ew__file_type file_type);

/* tokenizer.ggml.*: what a text model's file says about its vocabulary. */
struct ew__vocab_keys {
    uint32_t n_tokens, n_merges;
    const struct ew__str *tokens; /* byte alphabet for BPE entries, plain text for added tokens */
    const int32_t *types;         /* 1 normal, 3 control, 4 user-defined, 5 unused */
    const struct ew__str *merges; /* "left right" */
    int32_t eos, pad, bos;        /* -1: not written */
    struct ew__str chat_template; /* bytes NULL: none */
};
ew_status ew__add_vocab_keys(struct ew__gguf_writer *writer, const struct ew__vocab_keys *keys);

#endif
