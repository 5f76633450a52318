// SPDX-License-Identifier: Apache-2.0
/* A job is open while its pieces are being handed out. A worker counts itself in (`inside`) before
 * it looks whether the job is open; the caller closes the job before it waits for `inside` to reach
 * zero. One of the two sees the other (sequential consistency), so the job's fields are never read
 * by a worker while the caller writes them, and the caller need not wait for sleepers to wake. */
#include "kernels/pool.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Workers spin this long for the next job before they sleep: longer than the gap between two
 * matrices of a layer, shorter than a scheduler tick. */
#define SPIN_NS 40000u
/* Pauses between two looks at the clock. */
#define SPIN_ROUNDS 64u
/* The caller's pauses before it gives the processor to a late worker. */
#define YIELD_ROUNDS 2000u

struct worker {
    struct ew__pool *pool;
    pthread_t thread;
    void *scratch;
};

struct ew__pool {
    uint32_t n_threads;
    size_t scratch_bytes;
    struct worker *workers; /* [n_threads]; entry 0 is the caller and has no thread of its own */
    uint32_t started;       /* threads to join */
    pthread_mutex_t mutex;
    pthread_cond_t wake;

    ew__task_fn *task;
    void *context;
    size_t n, grain;

    _Alignas(64) atomic_size_t next;
    _Alignas(64) atomic_uint inside;
    atomic_bool open;
    _Alignas(64) atomic_uint generation; /* of the job; a change wakes the workers */
    atomic_uint sleepers;
    atomic_bool stop;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_pieces(struct ew__pool *pool, void *scratch) {
    size_t n = pool->n, grain = pool->grain;
    for (;;) {
        size_t begin = atomic_fetch_add(&pool->next, grain);
        if (begin >= n)
            return;
        pool->task(pool->context, begin, begin + ew__min_size(grain, n - begin), scratch);
    }
}

static bool spin_for_job(struct ew__pool *pool, unsigned seen) {
    uint64_t start = ew__now_ns();
    do {
        for (unsigned i = 0; i < SPIN_ROUNDS; i++) {
            if (atomic_load(&pool->generation) != seen)
                return true;
            relax();
        }
    } while (ew__now_ns() - start < SPIN_NS);
    return false;
}

static void sleep_for_job(struct ew__pool *pool, unsigned seen) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void announce(struct ew__pool *pool) {
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    struct ew__pool *pool = worker->pool;
    unsigned seen = 0;
    for (;;) {
        if (!spin_for_job(pool, seen))
            sleep_for_job(pool, seen);
        seen = atomic_load(&pool->generation);
        if (atomic_load(&pool->stop))
            return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->open))
            take_pieces(pool, worker->scratch);
        atomic_fetch_sub(&pool->inside, 1);
    }
}

static ew_status start_workers(struct ew__pool *pool) {
    for (uint32_t i = 0; i < pool->n_threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->scratch = ew__alloc_aligned(ew__max_size(pool->scratch_bytes, 64));
        if (worker->scratch == NULL)
            return EW_NO_MEMORY;
        if (i > 0 && pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
            return ew__fail(EW_NO_MEMORY, "cannot start thread %u of %u", i + 1, pool->n_threads);
        pool->started = i;
    }
    return EW_OK;
}

ew_status ew__pool_new(uint32_t n_threads, size_t scratch_bytes, struct ew__pool **out) {
    *out = NULL;
    if (n_threads == 0)
        n_threads = ew__cpu_count();
    if (n_threads > EW__THREADS_MAX)
        n_threads = EW__THREADS_MAX;
    struct ew__pool *pool = ew__alloc_aligned(sizeof *pool);
    if (pool == NULL)
        return EW_NO_MEMORY;
    pool->n_threads = n_threads;
    pool->scratch_bytes = scratch_bytes;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = ew__calloc(n_threads, sizeof *pool->workers);
    ew_status status = pool->workers == NULL ? EW_NO_MEMORY : start_workers(pool);
    if (status != EW_OK) {
        ew__pool_free(pool);
        return status;
    }
    *out = pool;
    return EW_OK;
}

void ew__pool_free(struct ew__pool *pool) {
    if (pool == NULL)
        return;
    atomic_store(&pool->stop, true);
    announce(pool);
    for (uint32_t i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    for (uint32_t i = 0; pool->workers != NULL && i < pool->n_threads; i++)
        ew__free_aligned(pool->workers[i].scratch);
    ew__free(pool->workers);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    ew__free_aligned(pool);
}

uint32_t ew__pool_threads(const struct ew__pool *pool) {
    return pool->n_threads;
}

size_t ew__pool_scratch_bytes(const struct ew__pool *pool) {
    return pool->scratch_bytes;
}

static void wait_for_workers(struct ew__pool *pool) {
    for (unsigned rounds = 0; atomic_load(&pool->inside) > 0; rounds++) {
        if (rounds < YIELD_ROUNDS)
            relax();
        else
            sched_yield();
    }
}

void ew__pool_run(struct ew__pool *pool, size_t n, size_t grain, ew__task_fn *task, void *context) {
    if (n == 0)
        return;
    pool->task = task;
    pool->context = context;
    pool->n = n;
    pool->grain = grain > 0 ? grain : 1;
    atomic_store(&pool->next, 0);
    bool shared = pool->n_threads > 1 && n > pool->grain;
    if (shared) {
        atomic_store(&pool->open, true);
        announce(pool);
    }
    take_pieces(pool, pool->workers[0].scratch);
    if (shared) {
        atomic_store(&pool->open, false);
        wait_for_workers(pool);
    }
}
