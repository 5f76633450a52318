// SPDX-License-Identifier: Apache-2.0
/* Which vector instructions this processor has and this operating system saves. */
#ifndef EW_KERNELS_CPU_H
#define EW_KERNELS_CPU_H

#include <stdbool.h>

struct ew__cpu {
    bool avx2;       /* AVX2, FMA and F16C, with the ymm registers enabled */
    bool avxvnni;    /* the above and AVX-VNNI: VPDPBUSD on ymm registers */
    bool avx512vnni; /* AVX-512 F, BW, DQ, VL and VNNI, with the zmm registers enabled */
    bool neon;       /* Armv8 Advanced SIMD */
    bool dotprod;    /* Armv8.2 SDOT and UDOT */
    bool i8mm;       /* the above and Armv8.6 SMMLA */
};

struct ew__cpu ew__cpu_detect(void);

#endif
