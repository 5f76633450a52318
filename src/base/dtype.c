// SPDX-License-Identifier: Apache-2.0
#include "base/dtype.h"
#include "base/size.h"

#include <stdio.h>
#include <strings.h>

static const struct ew__dtype_info table[EW__DTYPE_COUNT] = {
#define ROW(name, id, elements, bytes, quantised) [id] = {#name, elements, bytes, quantised},
    EW__DTYPE_MAP(ROW)
#undef ROW
};

/* Ids that other engines write and this build refuses, so that the refusal can name them. */
static const struct {
    uint32_t id;
    const char *name;
} foreign[] = {{4, "Q4_2 (removed)"},
               {5, "Q4_3 (removed)"},
               {9, "Q8_1"},
               {15, "Q8_K"},
               {19, "IQ1_S"},
               {29, "IQ1_M"},
               {31, "Q4_0_4_4 (removed)"},
               {32, "Q4_0_4_8 (removed)"},
               {33, "Q4_0_8_8 (removed)"},
               {34, "TQ1_0"},
               {35, "TQ2_0"},
               {39, "MXFP4"},
               {40, "NVFP4"},
               {41, "Q1_0"},
               {42, "Q2_0"}};

const struct ew__dtype_info *ew__dtype_info(uint32_t id) {
    static const struct ew__dtype_info unknown = {0};
    return id < EW__DTYPE_COUNT ? &table[id] : &unknown;
}

const char *ew__dtype_name(uint32_t id) {
    static _Thread_local char text[32];
    if (ew__dtype_info(id)->name != NULL)
        return ew__dtype_info(id)->name;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (foreign[i].id == id)
            return foreign[i].name;
    snprintf(text, sizeof text, "type %u", id);
    return text;
}

bool ew__dtype_by_name(struct ew__str name, ew__dtype *out) {
    for (uint32_t id = 0; id < EW__DTYPE_COUNT; id++) {
        const char *known = table[id].name;
        if (known != NULL && strlen(known) == name.n &&
            strncasecmp(known, name.bytes, name.n) == 0) {
            *out = (ew__dtype)id;
            return true;
        }
    }
    return false;
}

bool ew__dtype_row_bytes(ew__dtype type, uint64_t n, uint64_t *bytes) {
    const struct ew__dtype_info *info = ew__dtype_info(type);
    if (info->name == NULL || n % info->block_elements != 0)
        return false;
    return ew__mul_u64(n / info->block_elements, info->block_bytes, bytes);
}
