// SPDX-License-Identifier: Apache-2.0
/* What the library knows about the machine. */
#include "edgewise/edgewise.h"

#include "base/cache_dir.h"
#include "base/cores.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "runtime/threads.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The processor's name as Linux prints it; "" elsewhere. */
static void read_cpu_name(char *out, size_t size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    out[0] = '\0';
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    fclose(file);
}

static void list_isas(char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < ew__kernels_isa_count() && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i > 0 ? "," : "",
                               ew__kernels_isa_name(i));
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

ew_status ew_system_get_info(ew_system_info *out) {
    static _Thread_local char cpu[200], isas[200];
    if (out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT, "ew_system_get_info needs a struct with its size set");
    read_cpu_name(cpu, sizeof cpu);
    list_isas(isas, sizeof isas);
    struct ew__cores cores;
    struct ew__thread_counts counts;
    char *dir;
    ew__cores_read(&cores);
    if (ew__cache_dir_path(&dir) != EW_OK)
        dir = NULL;
    ew__threads_known(dir, &cores,
                      ew__kernels_select(ew__kernels_isa_name(ew__kernels_isa_count() - 1)),
                      &counts);
    ew__free(dir);
    ew_system_info info = {.size = out->size,
                           .isa = ew__kernels_isa_name(ew__kernels_isa_count() - 1),
                           .isas = isas,
                           .cpu = cpu,
                           .n_threads = counts.decode,
                           .n_threads_batch = counts.batch,
                           .threads_measured = counts.measured,
                           .n_logical = cores.logical,
                           .n_physical = cores.physical,
                           .n_performance = cores.performance,
                           .cpu_quota = cores.quota,
                           .memory_bytes = ew__memory_bytes(),
                           .rss_bytes = ew__rss_bytes(),
                           .peak_rss_bytes = ew__peak_rss_bytes(),
                           .built_with = COMPILER ", jansson " JANSSON_VERSION ", utf8proc"};
    memcpy(out, &info, ew__min_size(out->size, sizeof info));
    return EW_OK;
}
