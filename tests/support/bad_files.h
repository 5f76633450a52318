// SPDX-License-Identifier: Apache-2.0
/* Tables of broken files, each with the sentence that must refuse it. The tests open them; the
 * fuzzers' seeds are made from them. */
#ifndef EW_TESTS_BAD_FILES_H
#define EW_TESTS_BAD_FILES_H

#include "support/craft.h"
#include "support/gguf_plan.h"

struct bad_gguf {
    const char *name;                       /* what is wrong */
    void (*damage)(struct gguf_plan *plan); /* of gguf_plan_init's file */
    const char *sentence;                   /* part of the message */
};
extern const struct bad_gguf bad_ggufs[];
extern const size_t bad_gguf_count;

struct bad_safetensors {
    const char *name;
    const char *header; /* JSON */
    uint64_t claimed;   /* length of the header in the file; 0: the true one */
    size_t data_bytes;
    const char *sentence;
};
extern const struct bad_safetensors bad_safetensors[];
extern const size_t bad_safetensors_count;
/* Appends the file: length, header, data bytes 0, 1, 2... */
void build_safetensors(const char *header, uint64_t claimed, size_t data_bytes, struct craft *out);

#endif
