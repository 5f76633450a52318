// SPDX-License-Identifier: Apache-2.0
#include "quant/encode.h"

static ew__search_isa limit = EW__SEARCH_AVX512;

void ew__search_limit(ew__search_isa most) {
    limit = most;
}

ew__search_isa ew__search_isa_here(void) {
    ew__search_isa best = EW__SEARCH_BASE;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2"))
        best = EW__SEARCH_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        best = EW__SEARCH_AVX512;
#endif
    return best < limit ? best : limit;
}
