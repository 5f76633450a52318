// SPDX-License-Identifier: Apache-2.0
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/cores.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

enum { CPUS_MAX = 1024, TEXT_MAX = 4096 };

/* ---- files of /sys and /proc ---- */

/* The file's text, cut at TEXT_MAX - 1; false when it cannot be read. */
static bool read_text(const char *root, const char *path, char text[TEXT_MAX]) {
    char full[TEXT_MAX];
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return false;
    FILE *file = fopen(full, "re");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, TEXT_MAX - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

static bool read_number(const char *root, const char *path, uint64_t *out) {
    char text[TEXT_MAX], *end;
    if (!read_text(root, path, text))
        return false;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return end != text;
}

/* Marks the processors of a list such as "0-3,8,10-11"; returns whether there was one. */
static bool mark_list(const char *list, bool marks[CPUS_MAX]) {
    bool any = false;
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long i = first; i <= last && i < CPUS_MAX; i++)
            any = marks[i] = true;
        list = *end == ',' ? end + 1 : end;
    }
    return any;
}

static bool cpu_number(const char *root, uint32_t cpu, const char *what, uint64_t *out) {
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%" PRIu32 "/%s", cpu, what);
    return read_number(root, path, out);
}

/* ---- kinds of cores ---- */

/* One processor for each physical core: siblings of a processor counted before fall away. */
static void drop_siblings(const char *root, bool cpus[CPUS_MAX]) {
    char path[128], text[TEXT_MAX];
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        bool siblings[CPUS_MAX] = {false};
        if (!cpus[i])
            continue;
        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu%" PRIu32 "/topology/thread_siblings_list", i);
        if (!read_text(root, path, text) || !mark_list(text, siblings))
            continue;
        for (uint32_t k = i + 1; k < CPUS_MAX; k++)
            cpus[k] = cpus[k] && !siblings[k];
    }
}

/* Keeps the processors whose number in `what` is at least share/100 of the largest; false, and
 * nothing changed, where a processor lacks it. */
static bool keep_fastest(const char *root, bool cpus[CPUS_MAX], const char *what, uint64_t share) {
    static const uint64_t sane = UINT64_MAX / 100;
    uint64_t speed[CPUS_MAX], most = 0;
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        if (!cpus[i])
            continue;
        if (!cpu_number(root, i, what, &speed[i]) || speed[i] > sane)
            return false;
        most = speed[i] > most ? speed[i] : most;
    }
    for (uint32_t i = 0; i < CPUS_MAX; i++)
        cpus[i] = cpus[i] && speed[i] * 100 >= most * share;
    return true;
}

/* Intel names its performance cores. Arm gives each core a capacity, where the middle of three
 * kinds counts as fast; elsewhere the top frequency tells (favoured cores differ by a few percent,
 * dense ones by a third). */
static void drop_slow(const char *root, bool cpus[CPUS_MAX]) {
    char text[TEXT_MAX];
    bool named[CPUS_MAX] = {false};
    if (read_text(root, "/sys/devices/cpu_core/cpus", text) && mark_list(text, named)) {
        bool any = false;
        for (uint32_t i = 0; i < CPUS_MAX; i++)
            any = any || (cpus[i] && named[i]);
        for (uint32_t i = 0; i < CPUS_MAX && any; i++)
            cpus[i] = cpus[i] && named[i];
        return;
    }
    if (!keep_fastest(root, cpus, "cpu_capacity", 50))
        (void)keep_fastest(root, cpus, "cpufreq/cpuinfo_max_freq", 80);
}

static uint32_t count(const bool cpus[CPUS_MAX]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < CPUS_MAX; i++)
        n += cpus[i];
    return n;
}

/* ---- control groups ---- */

static uint32_t whole_cpus(uint64_t quota, uint64_t period) {
    if (quota == 0 || period == 0)
        return 0;
    uint64_t cpus = quota / period;
    return cpus == 0 ? 1 : cpus > EW__THREADS_MAX ? EW__THREADS_MAX : (uint32_t)cpus;
}

/* The limit of one group: "max 100000" and -1 say there is none. */
static uint32_t group_quota(const char *root, const char *mount, const char *group) {
    char path[TEXT_MAX], text[TEXT_MAX];
    uint64_t quota, period;
    if (snprintf(path, sizeof path, "%s%s/cpu.max", mount, group) < (int)sizeof path &&
        read_text(root, path, text) && sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) == 2)
        return whole_cpus(quota, period);
    if (snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", mount, group) >= (int)sizeof path ||
        !read_text(root, path, text) || text[0] == '-' || sscanf(text, "%" SCNu64, &quota) != 1)
        return 0;
    if (snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", mount, group) >= (int)sizeof path ||
        !read_number(root, path, &period))
        return 0;
    return whole_cpus(quota, period);
}

static uint32_t smaller_limit(uint32_t a, uint32_t b) {
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The smallest limit of a group and of those above it; in a container the group's path may not
 * exist below the mount, whose own limit then counts. */
static uint32_t quota_of(const char *root, const char *mount, const char *group) {
    char path[TEXT_MAX];
    uint32_t limit = 0;
    snprintf(path, sizeof path, "%s", strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        limit = smaller_limit(limit, group_quota(root, mount, path));
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return limit;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup: "0::/path" is v2, "4:cpu,cpuacct:/path" v1. */
static uint32_t read_quota(const char *root) {
    char text[TEXT_MAX], *rest = NULL;
    uint32_t limit = smaller_limit(quota_of(root, "/sys/fs/cgroup", ""),
                                   quota_of(root, "/sys/fs/cgroup/cpu", ""));
    if (!read_text(root, "/proc/self/cgroup", text))
        return limit;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *names = strchr(line, ':'), *group = names != NULL ? strchr(names + 1, ':') : NULL;
        if (group == NULL || strstr(group, "..") != NULL)
            continue;
        if (group == names + 1)
            limit = smaller_limit(limit, quota_of(root, "/sys/fs/cgroup", group + 1));
        else if (strncmp(names + 1, "cpu", 3) == 0 && (names[4] == ',' || names[4] == ':'))
            limit = smaller_limit(limit, quota_of(root, "/sys/fs/cgroup/cpu", group + 1));
    }
    return limit;
}

/* ---- the whole ---- */

void ew__cores_read_at(const char *root, const bool *allowed, uint32_t n, struct ew__cores *out) {
    bool cpus[CPUS_MAX] = {false};
    for (uint32_t i = 0; i < n && i < CPUS_MAX; i++)
        cpus[i] = allowed[i];
    *out = (struct ew__cores){.logical = count(cpus), .quota = read_quota(root)};
    if (out->logical == 0)
        out->logical = 1;
    drop_siblings(root, cpus);
    out->physical = count(cpus) > 0 ? count(cpus) : 1;
    drop_slow(root, cpus);
    out->performance = count(cpus) > 0 ? count(cpus) : 1;
}

#if defined(__APPLE__)
/* Documented in sysctl(3): level 0 has the fastest cores. Not run on such a machine yet. */
static uint32_t sysctl_count(const char *name, uint32_t otherwise) {
    int32_t value = 0;
    size_t size = sizeof value;
    if (sysctlbyname(name, &value, &size, NULL, 0) != 0 || value <= 0)
        return otherwise;
    return (uint32_t)value;
}
#endif

void ew__cores_read(struct ew__cores *out) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = online > 0 ? (uint32_t)online : 1;
#if defined(__APPLE__)
    out->logical = sysctl_count("hw.logicalcpu", n);
    out->physical = sysctl_count("hw.physicalcpu", out->logical);
    out->performance = sysctl_count("hw.perflevel0.physicalcpu", out->physical);
    out->quota = 0;
#elif defined(__linux__)
    bool allowed[CPUS_MAX] = {false};
    cpu_set_t set;
    bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    for (uint32_t i = 0; i < CPUS_MAX; i++)
        allowed[i] = known ? i < CPU_SETSIZE && CPU_ISSET(i, &set) : i < n;
    ew__cores_read_at("", allowed, CPUS_MAX, out);
#else
    *out = (struct ew__cores){.logical = n, .physical = n, .performance = n};
#endif
}

static uint32_t within(const struct ew__cores *cores, uint32_t n) {
    if (cores->quota != 0 && n > cores->quota)
        n = cores->quota;
    return n == 0 ? 1 : n > EW__THREADS_MAX ? EW__THREADS_MAX : n;
}

uint32_t ew__cores_threads(const struct ew__cores *cores) {
    return within(cores, cores->performance);
}

uint32_t ew__cores_choices(const struct ew__cores *cores, uint32_t *counts) {
    const uint32_t wanted[EW__CORES_CHOICES] = {
        cores->performance >= 4 ? cores->performance / 2 : cores->performance, cores->performance,
        cores->physical, cores->logical};
    uint32_t n = 0;
    for (uint32_t i = 0; i < EW__CORES_CHOICES; i++) {
        uint32_t threads = within(cores, wanted[i]);
        if (n == 0 || threads > counts[n - 1])
            counts[n++] = threads;
    }
    return n;
}
