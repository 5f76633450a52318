// SPDX-License-Identifier: Apache-2.0
#include "support/gguf_plan.h"

#include <stdlib.h>
#include <string.h>

struct plan_kv *gguf_plan_kv(struct gguf_plan *plan, const char *key, uint32_t type) {
    if (plan->n_kvs == plan_kvs_max)
        abort();
    struct plan_kv *kv = &plan->kvs[plan->n_kvs++];
    plan->kv_count++;
    *kv = (struct plan_kv){.key = key, .key_length = strlen(key), .type = type};
    return kv;
}

void gguf_plan_u16(struct gguf_plan *plan, const char *key, unsigned value) {
    craft_u16(&gguf_plan_kv(plan, key, 2)->value, value);
}

void gguf_plan_u32(struct gguf_plan *plan, const char *key, uint32_t value) {
    craft_u32(&gguf_plan_kv(plan, key, 4)->value, value);
}

struct craft *gguf_plan_revalue(struct plan_kv *kv, uint32_t type) {
    craft_free(&kv->value);
    kv->type = type;
    return &kv->value;
}

void gguf_plan_init(struct gguf_plan *plan) {
    *plan = (struct gguf_plan){.magic = {'G', 'G', 'U', 'F'},
                               .version = 3,
                               .alignment = 32,
                               .tensor_count = 2,
                               .n_tensors = 2,
                               .data_bytes = 32 + 36};
    craft_string(&gguf_plan_kv(plan, "general.architecture", 8)->value, "qwen35");
    gguf_plan_u32(plan, "t.u32", 7);
    struct craft *words = &gguf_plan_kv(plan, "t.words", 9)->value;
    craft_u32(words, 8);
    craft_u64(words, 3);
    craft_string(words, "left");
    craft_string(words, "");
    craft_string(words, "right");
    craft_u8(&gguf_plan_kv(plan, "t.flag", 7)->value, 1);
    plan->tensors[0] =
        (struct plan_tensor){.name = "a", .name_length = 1, .n_dims = 2, .dims = {4, 2}};
    plan->tensors[1] = (struct plan_tensor){
        .name = "b", .name_length = 1, .n_dims = 2, .dims = {32, 2}, .type = 2, .offset = 32};
}

void gguf_plan_free(struct gguf_plan *plan) {
    for (uint32_t i = 0; i < plan->n_kvs; i++)
        craft_free(&plan->kvs[i].value);
}

static void build_tensor(const struct plan_tensor *tensor, struct craft *out) {
    craft_u64(out, tensor->name_length);
    craft_text(out, tensor->name);
    craft_u32(out, tensor->n_dims);
    for (uint32_t i = 0; i < tensor->n_dims && i < 8; i++)
        craft_u64(out, tensor->dims[i]);
    craft_u32(out, tensor->type);
    craft_u64(out, tensor->offset);
}

void gguf_plan_build(const struct gguf_plan *plan, struct craft *out) {
    size_t start = out->n;
    craft_bytes(out, plan->magic, 4);
    craft_u32(out, plan->version);
    craft_u64(out, plan->tensor_count);
    craft_u64(out, plan->kv_count);
    for (uint32_t i = 0; i < plan->n_kvs; i++) {
        craft_u64(out, plan->kvs[i].key_length);
        craft_text(out, plan->kvs[i].key);
        craft_u32(out, plan->kvs[i].type);
        craft_bytes(out, plan->kvs[i].value.bytes, plan->kvs[i].value.n);
    }
    for (uint32_t i = 0; i < plan->n_tensors; i++)
        build_tensor(&plan->tensors[i], out);
    craft_pad(out, plan->alignment);
    for (size_t i = 0; i < plan->data_bytes; i++)
        craft_u8(out, (unsigned)(i & 0xff));
    out->n = out->n - start > plan->cut ? out->n - plan->cut : start;
}
