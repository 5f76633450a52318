// SPDX-License-Identifier: Apache-2.0
/* count-instructions MODEL ISA WORK [--run]: how many instructions one thread executes for a fixed
 * piece of work.
 *
 * The work runs in a child that its parent single-steps (ptrace). That needs no performance
 * counters and counts every instruction set alike, those included that simulators do not know; but
 * it costs microseconds per instruction, on virtual machines tens of them. With --run the work is
 * only done, inside the function evaluate_measured, for a simulator that counts (bench/guard).
 * Loading, warming up and going to a depth are not counted. */
#define _GNU_SOURCE /* CPU_SET and sched_setaffinity */

#include "edgewise/edgewise.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 16, DEPTH = 600 };

/* Evaluate `tokens` tokens after `depth` others. */
struct work {
    const char *name;
    size_t tokens, depth;
};
static const struct work WORKS[] = {
    {"prefill", BATCH, 0},
    {"decode", 1, BATCH},
    {"deep", 1, DEPTH},
};

static int fail(const char *what, const char *why) {
    fprintf(stderr, "count-instructions: %s: %s\n", what, why);
    return 1;
}

/* A function of its own, by whose name a simulator knows when to count. */
__attribute__((noinline)) ew_status evaluate_measured(ew_session *session, const int32_t *ids,
                                                      size_t n);
ew_status evaluate_measured(ew_session *session, const int32_t *ids, size_t n) {
    ew_status status = ew_session_eval(session, ids, n);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return status;
}

/* Stops before and after the measured part when a parent is to step through it. */
static ew_status do_work(ew_session *session, const struct work *work, bool stepped) {
    static int32_t ids[DEPTH + BATCH];
    for (size_t i = 0; i < DEPTH + BATCH; i++)
        ids[i] = (int32_t)(i * 37 % 251);
    ew_status status = ew_session_eval(session, ids, BATCH); /* touches every page */
    ew_session_clear(session);
    if (status == EW_OK && work->depth > 0)
        status = ew_session_eval(session, ids, work->depth);
    if (status != EW_OK)
        return status;
    if (stepped)
        raise(SIGSTOP);
    status = evaluate_measured(session, ids + work->depth, work->tokens);
    if (stepped)
        raise(SIGSTOP);
    return status;
}

static int run(const char *path, const char *isa, const struct work *work, bool stepped) {
    ew_model_options options = EW_INIT(ew_model_options);
    ew_session_options room = EW_INIT(ew_session_options);
    ew_model *model = NULL;
    ew_session *session = NULL;
    options.n_threads = 1;
    options.n_batch = BATCH;
    options.isa = isa;
    room.n_ctx = DEPTH + BATCH;
    if (stepped && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return fail("ptrace", strerror(errno));
    ew_status status = ew_model_load(path, &options, &model);
    if (status == EW_OK)
        status = ew_session_new(model, &room, &session);
    if (status == EW_OK)
        status = do_work(session, work, stepped);
    ew_session_free(session);
    ew_model_free(model);
    return status == EW_OK ? 0 : fail(path, ew_last_error());
}

/* Prints the steps between the child's two stops; the child has said why when there are none. */
static int count_steps(pid_t pid) {
    uint64_t steps = 0;
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return 1;
    do {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
            return fail("ptrace", strerror(errno));
        steps++;
    } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    if (!WIFSTOPPED(status) || ptrace(PTRACE_CONT, pid, NULL, NULL) != 0 ||
        waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 1;
    printf("%" PRIu64 "\n", steps);
    return 0;
}

/* Both on one processor: a step is then a switch between two processes and no message between two
 * processors. */
static void stay_on_one_processor(void) {
    cpu_set_t one;
    int here = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(here < 0 ? 0u : (unsigned)here, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static int step_through(const char *path, const char *isa, const struct work *work) {
    stay_on_one_processor();
    pid_t pid = fork();
    if (pid < 0)
        return fail("fork", strerror(errno));
    return pid == 0 ? run(path, isa, work, true) : count_steps(pid);
}

int main(int argc, char **argv) {
    const struct work *work = NULL;
    for (size_t i = 0; argc >= 4 && i < sizeof WORKS / sizeof WORKS[0]; i++) {
        if (strcmp(argv[3], WORKS[i].name) == 0)
            work = &WORKS[i];
    }
    bool only_run = argc == 5 && strcmp(argv[4], "--run") == 0;
    if (work == NULL || (argc != 4 && !only_run)) {
        fputs("usage: count-instructions MODEL ISA prefill|decode|deep [--run]\n", stderr);
        return 2;
    }
    return only_run ? run(argv[1], argv[2], work, false) : step_through(argv[1], argv[2], work);
}
