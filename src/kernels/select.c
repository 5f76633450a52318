// SPDX-License-Identifier: Apache-2.0
/* Builds the tables once, lowest set first: each starts as a copy of the one below, so that a
 * kernel that a set lacks keeps the version of the set below it. */
#include "kernels/kernels.h"

#include "kernels/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void fill_fn(struct ew__kernels *table);

fill_fn ew__kernels_fill_scalar;
#ifdef EW_HAVE_KERNELS_avx2
fill_fn ew__kernels_fill_avx2;
#endif
#ifdef EW_HAVE_KERNELS_avxvnni
fill_fn ew__kernels_fill_avxvnni;
#endif
#ifdef EW_HAVE_KERNELS_avx512
fill_fn ew__kernels_fill_avx512;
#endif
#ifdef EW_HAVE_KERNELS_neon
fill_fn ew__kernels_fill_neon;
#endif
#ifdef EW_HAVE_KERNELS_neon_dotprod
fill_fn ew__kernels_fill_neon_dotprod;
#endif
#ifdef EW_HAVE_KERNELS_neon_i8mm
fill_fn ew__kernels_fill_neon_i8mm;
#endif

/* The sets of one architecture: scalar and three more. */
#define TABLES_MAX 4u
static struct ew__kernels tables[TABLES_MAX];
static size_t table_count;
static pthread_once_t built = PTHREAD_ONCE_INIT;

static void push(bool usable, fill_fn *fill) {
    if (!usable)
        return;
    if (table_count == TABLES_MAX)
        abort(); /* a set was added without a table for it */
    if (table_count > 0)
        tables[table_count] = tables[table_count - 1];
    if (table_count == 1) { /* on the scalar twins: see kernels.h */
        memset(tables[1].mul_packed, 0, sizeof tables[1].mul_packed);
        memset(tables[1].mul_packed_float, 0, sizeof tables[1].mul_packed_float);
        memset(tables[1].mul_split, 0, sizeof tables[1].mul_split);
        memset(tables[1].screen_split, 0, sizeof tables[1].screen_split);
    }
    fill(&tables[table_count]);
    table_count++;
}

static void build(void) {
    struct ew__cpu cpu = ew__cpu_detect();
    (void)cpu;
    push(true, ew__kernels_fill_scalar);
#ifdef EW_HAVE_KERNELS_avx2
    push(cpu.avx2, ew__kernels_fill_avx2);
#endif
#ifdef EW_HAVE_KERNELS_avxvnni
    push(cpu.avxvnni, ew__kernels_fill_avxvnni);
#endif
#ifdef EW_HAVE_KERNELS_avx512
    push(cpu.avx512vnni, ew__kernels_fill_avx512);
#endif
#ifdef EW_HAVE_KERNELS_neon
    push(cpu.neon, ew__kernels_fill_neon);
#endif
#ifdef EW_HAVE_KERNELS_neon_dotprod
    push(cpu.dotprod, ew__kernels_fill_neon_dotprod);
#endif
#ifdef EW_HAVE_KERNELS_neon_i8mm
    push(cpu.i8mm, ew__kernels_fill_neon_i8mm);
#endif
}

size_t ew__kernels_isa_count(void) {
    pthread_once(&built, build);
    return table_count;
}

const char *ew__kernels_isa_name(size_t index) {
    return index < ew__kernels_isa_count() ? tables[index].isa : NULL;
}

const struct ew__kernels *ew__kernels_select(const char *isa) {
    size_t count = ew__kernels_isa_count();
    if (isa == NULL || *isa == '\0')
        isa = getenv("EDGEWISE_ISA");
    if (isa == NULL || *isa == '\0')
        return &tables[count - 1];
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tables[i].isa, isa) == 0)
            return &tables[i];
    }
    return NULL;
}
