// SPDX-License-Identifier: Apache-2.0
/* Machines as trees of files. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cores.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL = 64 };
static char root[] = "/tmp/edgewise-cores-XXXXXX";
static bool allowed[ALL];

/* Writes a file of the tree, with its folders. */
static void put(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void put_cpu(unsigned cpu, const char *what, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", cpu, what);
    put(path, text);
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where) {
    (void)facts, (void)kind, (void)where;
    return remove(path);
}

static int machine_begin(void **state) {
    (void)state;
    memcpy(root + sizeof root - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX");
    for (unsigned i = 0; i < ALL; i++)
        allowed[i] = false;
    return mkdtemp(root) == NULL;
}

static int machine_end(void **state) {
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void expect(uint32_t n, uint32_t logical, uint32_t physical, uint32_t performance,
                   uint32_t quota) {
    struct ew__cores cores;
    for (uint32_t i = 0; i < n; i++)
        allowed[i] = true;
    ew__cores_read_at(root, allowed, ALL, &cores);
    assert_int_equal(cores.logical, logical);
    assert_int_equal(cores.physical, physical);
    assert_int_equal(cores.performance, performance);
    assert_int_equal(cores.quota, quota);
}

static void without_files_every_processor_is_a_core(void **state) {
    (void)state;
    expect(6, 6, 6, 6, 0);
}

static void siblings_are_one_core(void **state) {
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        char list[16];
        snprintf(list, sizeof list, "%u,%u\n", i % 4, i % 4 + 4);
        put_cpu(i, "topology/thread_siblings_list", list);
    }
    expect(8, 8, 4, 4, 0);
    allowed[0] = false; /* its sibling stands in for the core */
    struct ew__cores cores;
    ew__cores_read_at(root, allowed, ALL, &cores);
    assert_int_equal(cores.logical, 7);
    assert_int_equal(cores.physical, 4);
}

/* Four performance cores with two threads each, then eight efficiency cores. */
static void intel_names_its_performance_cores(void **state) {
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        char list[16];
        snprintf(list, sizeof list, i < 8 ? "%u-%u\n" : "%u\n", i < 8 ? i / 2 * 2 : i,
                 i / 2 * 2 + 1);
        put_cpu(i, "topology/thread_siblings_list", list);
        put_cpu(i, "cpufreq/cpuinfo_max_freq", "4000000\n");
    }
    put("/sys/devices/cpu_core/cpus", "0-7\n");
    expect(16, 16, 12, 4, 0);
    for (unsigned i = 0; i < 8; i++)
        allowed[i] = false; /* confined to efficiency cores: those are all there is */
    struct ew__cores cores;
    ew__cores_read_at(root, allowed, ALL, &cores);
    assert_int_equal(cores.performance, 8);
}

static void arm_tells_capacities(void **state) {
    (void)state;
    static const char *const capacities[] = {"250", "250", "250", "250",
                                             "760", "760", "760", "1024"};
    for (unsigned i = 0; i < 8; i++)
        put_cpu(i, "cpu_capacity", capacities[i]);
    expect(8, 8, 8, 4, 0);
}

static void elsewhere_the_top_frequency_tells(void **state) {
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        put_cpu(i, "cpufreq/cpuinfo_max_freq",
                i == 0  ? "5187000\n"
                : i < 3 ? "5000000\n"
                        : "3300000\n");
    expect(6, 6, 6, 3, 0);
}

static void a_missing_or_broken_fact_is_no_fact(void **state) {
    (void)state;
    put_cpu(0, "cpufreq/cpuinfo_max_freq", "5000000\n");
    put_cpu(1, "cpufreq/cpuinfo_max_freq", "words\n");
    put_cpu(2, "cpufreq/cpuinfo_max_freq", "1000000\n");
    put_cpu(0, "topology/thread_siblings_list", "0-99999999999999999999\n");
    put("/sys/devices/cpu_core/cpus", "\n");
    put("/sys/fs/cgroup/cpu.max", "garbage");
    put("/proc/self/cgroup", "0\n:::\n0::/../..\n");
    expect(3, 3, 1, 1, 0); /* the list covers the others: one core */
}

static void groups_limit_processors(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/user/app\n");
    put("/sys/fs/cgroup/user/app/cpu.max", "max 100000\n");
    expect(8, 8, 8, 8, 0);
    put("/sys/fs/cgroup/user/cpu.max", "350000 100000\n"); /* of the group above */
    expect(8, 8, 8, 8, 3);
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n"); /* half a processor: one thread */
    expect(8, 8, 8, 8, 1);
}

static void first_version_groups_limit_processors(void **state) {
    (void)state;
    put("/proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/job\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    expect(8, 8, 8, 8, 0);
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "200000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    expect(8, 8, 8, 8, 2);
}

static void threads_follow_cores_and_quota(void **state) {
    (void)state;
    static const struct {
        struct ew__cores cores;
        uint32_t threads, n_choices, choices[EW__CORES_CHOICES];
    } cases[] = {
        {{2, 2, 2, 0}, 2, 1, {2}},
        {{4, 2, 2, 0}, 2, 2, {2, 4}},
        {{16, 12, 4, 0}, 4, 4, {2, 4, 12, 16}},
        {{16, 8, 8, 3}, 3, 1, {3}},
        {{16, 8, 8, 6}, 6, 2, {4, 6}},
        {{1, 1, 1, 0}, 1, 1, {1}},
        {{1000, 500, 500, 0}, 256, 2, {250, 256}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t choices[EW__CORES_CHOICES];
        assert_int_equal(ew__cores_threads(&cases[i].cores), cases[i].threads);
        assert_int_equal(ew__cores_choices(&cases[i].cores, choices), cases[i].n_choices);
        for (uint32_t k = 0; k < cases[i].n_choices; k++)
            assert_int_equal(choices[k], cases[i].choices[k]);
    }
}

static void this_machine_has_a_core(void **state) {
    (void)state;
    struct ew__cores cores;
    ew__cores_read(&cores);
    assert_true(cores.performance >= 1 && cores.performance <= cores.physical);
    assert_true(cores.physical <= cores.logical);
    assert_true((long)cores.logical <= sysconf(_SC_NPROCESSORS_CONF));
}

#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, machine_begin, machine_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(without_files_every_processor_is_a_core),
        ON_A_MACHINE(siblings_are_one_core),
        ON_A_MACHINE(intel_names_its_performance_cores),
        ON_A_MACHINE(arm_tells_capacities),
        ON_A_MACHINE(elsewhere_the_top_frequency_tells),
        ON_A_MACHINE(a_missing_or_broken_fact_is_no_fact),
        ON_A_MACHINE(groups_limit_processors),
        ON_A_MACHINE(first_version_groups_limit_processors),
        cmocka_unit_test(threads_follow_cores_and_quota),
        cmocka_unit_test(this_machine_has_a_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
