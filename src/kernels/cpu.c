// SPDX-License-Identifier: Apache-2.0
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE /* sysctlbyname */
#endif

#include "kernels/cpu.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>
#include <stdint.h>

/* CPUID and XCR0 bits: Intel SDM volume 2, CPUID; volume 1, section 13.3. */
#define LEAF1_ECX_FMA     (1u << 12)
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define LEAF1_ECX_F16C    (1u << 29)
#define LEAF7_EBX_AVX2    (1u << 5)
#define LEAF7_EBX_512     (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */
#define LEAF7_ECX_VNNI    (1u << 11)
#define LEAF7_1_EAX_VNNI  (1u << 4) /* AVX-VNNI: leaf 7, subleaf 1 */
#define XCR0_YMM          0x06u
#define XCR0_ZMM          0xe6u

static uint32_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

struct ew__cpu ew__cpu_detect(void) {
    struct ew__cpu cpu = {0};
    uint32_t a, b, c, d, b7, c7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF1_ECX_OSXSAVE))
        return cpu;
    uint32_t enabled = xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
        return cpu;
    cpu.avx2 = (b7 & LEAF7_EBX_AVX2) && (c & LEAF1_ECX_FMA) && (c & LEAF1_ECX_F16C) &&
               (enabled & XCR0_YMM) == XCR0_YMM;
    cpu.avx512vnni = cpu.avx2 && (b7 & LEAF7_EBX_512) == LEAF7_EBX_512 && (c7 & LEAF7_ECX_VNNI) &&
                     (enabled & XCR0_ZMM) == XCR0_ZMM;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) /* a: the highest subleaf */
        cpu.avxvnni = cpu.avx2 && (a & LEAF7_1_EAX_VNNI);
    return cpu;
}

#elif defined(__aarch64__)

#if defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_BIT_ASIMD   (1ul << 1) /* arch/arm64/include/uapi/asm/hwcap.h */
#define HWCAP_BIT_DOTPROD (1ul << 20)
#define HWCAP2_BIT_I8MM   (1ul << 13)
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

struct ew__cpu ew__cpu_detect(void) {
    struct ew__cpu cpu = {.neon = true};
#if defined(__linux__)
    unsigned long caps = getauxval(AT_HWCAP);
    cpu.neon = (caps & HWCAP_BIT_ASIMD) != 0;
    cpu.dotprod = cpu.neon && (caps & HWCAP_BIT_DOTPROD) != 0;
    cpu.i8mm = cpu.dotprod && (getauxval(AT_HWCAP2) & HWCAP2_BIT_I8MM) != 0;
#elif defined(__APPLE__)
    cpu.dotprod = true; /* every Apple arm64 processor since A13 and M1 */
    int has = 0;
    size_t size = sizeof has;
    if (sysctlbyname("hw.optional.arm.FEAT_I8MM", &has, &size, NULL, 0) == 0)
        cpu.i8mm = has != 0;
#endif
    return cpu;
}

#else

struct ew__cpu ew__cpu_detect(void) {
    return (struct ew__cpu){0};
}

#endif
