// SPDX-License-Identifier: Apache-2.0
/* A GGUF file as a plan whose every field can be made wrong before the bytes are built. */
#ifndef EW_TESTS_GGUF_PLAN_H
#define EW_TESTS_GGUF_PLAN_H

#include "support/craft.h"

enum { plan_kvs_max = 12, plan_tensors_max = 4 };

struct plan_kv {
    const char *key;
    uint64_t key_length; /* as claimed */
    uint32_t type;       /* as in the file: 4 u32, 8 string, 9 array... */
    struct craft value;
};

struct plan_tensor {
    const char *name;
    uint64_t name_length; /* as claimed */
    uint32_t n_dims;      /* as claimed; min(n_dims, 8) dims are written */
    uint64_t dims[8];
    uint32_t type;
    uint64_t offset;
};

struct gguf_plan {
    char magic[4];
    uint32_t version;
    uint64_t kv_count, tensor_count; /* as claimed */
    struct plan_kv kvs[plan_kvs_max];
    struct plan_tensor tensors[plan_tensors_max];
    uint32_t n_kvs, n_tensors;
    size_t alignment, data_bytes;
    size_t cut; /* bytes missing at the end of the file */
};

/* The plan of a small valid file of version 3. Pairs, in this order: general.architecture "qwen35",
 * t.u32 7, t.words ["left", "", "right"], t.flag true. Tensors: "a" F32 {4, 2}, 32 bytes; "b" Q4_0
 * {32, 2}, 36 bytes; data byte i is i. */
void gguf_plan_init(struct gguf_plan *plan);
void gguf_plan_free(struct gguf_plan *plan);
/* Appends a pair without a value; counts it. */
struct plan_kv *gguf_plan_kv(struct gguf_plan *plan, const char *key, uint32_t type);
void gguf_plan_u16(struct gguf_plan *plan, const char *key, unsigned value);
void gguf_plan_u32(struct gguf_plan *plan, const char *key, uint32_t value);
/* Empties a pair's value, for another one. */
struct craft *gguf_plan_revalue(struct plan_kv *kv, uint32_t type);
/* Appends to `out`. */
void gguf_plan_build(const struct gguf_plan *plan, struct craft *out);

#endif
