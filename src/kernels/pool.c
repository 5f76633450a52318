// SPDX-License-Identifier: Apache-2.0
/* The pieces of a job are dealt out beforehand, to each thread a run of neighbours (its lane): it
 * reads its part of a matrix as one stream, and takes pieces without touching what others write. A
 * thread whose lane is empty takes what is left in the others', so that all end together though
 * some started late or run slower.
 *
 * A job is open while its pieces are being handed out. A worker counts itself in (`inside`) before
 * it looks whether the job is open; the caller closes the job before it waits for `inside` to reach
 * zero. One of the two sees the other (sequential consistency), so the job's fields are never read
 * by a worker while the caller writes them, and the caller need not wait for sleepers to wake. */
#include "kernels/pool.h"

#include "base/cores.h"
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
    uint32_t index;
    pthread_t thread;
    void *scratch;
};

/* Pieces next .. end - 1 are still to be taken. */
struct lane {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

struct ew__pool {
    uint32_t n_threads;
    size_t scratch_bytes;
    struct worker *workers; /* [n_threads]; entry 0 is the caller and has no thread of its own */
    uint32_t started;       /* threads to join */
    struct lane *lanes;     /* [n_threads] */
    pthread_mutex_t mutex;
    pthread_cond_t wake;   /* there is a job */
    pthread_cond_t unpark; /* the number of active threads has grown */

    ew__task_fn *task;
    void *context;
    size_t n, grain;
    uint32_t n_lanes; /* of the job */

    _Alignas(64) atomic_uint inside;
    atomic_bool open;
    _Alignas(64) atomic_uint generation; /* of the job; a change wakes the workers */
    atomic_uint sleepers;
    atomic_uint active; /* threads from this one on are parked */
    atomic_bool stop;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_lane(struct ew__pool *pool, struct lane *lane, void *scratch) {
    size_t grain = pool->grain;
    while (atomic_load_explicit(&lane->next, memory_order_relaxed) < lane->end) {
        size_t piece = atomic_fetch_add(&lane->next, 1);
        if (piece >= lane->end)
            return;
        size_t begin = piece * grain;
        pool->task(pool->context, begin, begin + ew__min_size(grain, pool->n - begin), scratch);
    }
}

/* The thread's own lane, then the others', starting with its neighbour's. */
static void take_pieces(struct ew__pool *pool, const struct worker *worker) {
    for (uint32_t i = 0; i < pool->n_lanes; i++)
        take_lane(pool, &pool->lanes[(worker->index + i) % pool->n_lanes], worker->scratch);
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

static void park(struct ew__pool *pool, uint32_t index) {
    pthread_mutex_lock(&pool->mutex);
    while (index >= atomic_load(&pool->active) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->unpark, &pool->mutex);
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
        if (worker->index >= atomic_load(&pool->active))
            park(pool, worker->index);
        else if (!spin_for_job(pool, seen))
            sleep_for_job(pool, seen);
        seen = atomic_load(&pool->generation);
        if (atomic_load(&pool->stop))
            return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->open) && worker->index < atomic_load(&pool->active))
            take_pieces(pool, worker);
        atomic_fetch_sub(&pool->inside, 1);
    }
}

static ew_status start_workers(struct ew__pool *pool) {
    for (uint32_t i = 0; i < pool->n_threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->index = i;
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
    if (n_threads == 0) {
        struct ew__cores cores;
        ew__cores_read(&cores);
        n_threads = ew__cores_threads(&cores);
    }
    if (n_threads > EW__THREADS_MAX)
        n_threads = EW__THREADS_MAX;
    struct ew__pool *pool = ew__alloc_aligned(sizeof *pool);
    if (pool == NULL)
        return EW_NO_MEMORY;
    pool->n_threads = n_threads;
    pool->scratch_bytes = scratch_bytes;
    atomic_store(&pool->active, n_threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->unpark, NULL);
    pool->workers = ew__calloc(n_threads, sizeof *pool->workers);
    pool->lanes = ew__alloc_aligned(n_threads * sizeof *pool->lanes);
    ew_status status =
        pool->workers == NULL || pool->lanes == NULL ? EW_NO_MEMORY : start_workers(pool);
    if (status != EW_OK) {
        ew__pool_free(pool);
        return status;
    }
    *out = pool;
    return EW_OK;
}

static void wake_parked(struct ew__pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->unpark);
    pthread_mutex_unlock(&pool->mutex);
}

void ew__pool_free(struct ew__pool *pool) {
    if (pool == NULL)
        return;
    atomic_store(&pool->stop, true);
    announce(pool);
    wake_parked(pool);
    for (uint32_t i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    for (uint32_t i = 0; pool->workers != NULL && i < pool->n_threads; i++)
        ew__free_aligned(pool->workers[i].scratch);
    ew__free(pool->workers);
    ew__free_aligned(pool->lanes);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->unpark);
    pthread_mutex_destroy(&pool->mutex);
    ew__free_aligned(pool);
}

uint32_t ew__pool_threads(const struct ew__pool *pool) {
    return atomic_load(&pool->active);
}

void ew__pool_use(struct ew__pool *pool, uint32_t n_threads) {
    uint32_t wanted = n_threads == 0 || n_threads > pool->n_threads ? pool->n_threads : n_threads;
    if (atomic_exchange(&pool->active, wanted) < wanted)
        wake_parked(pool);
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

/* Deals n pieces out to the lanes, as evenly as whole pieces allow. */
static void deal(struct ew__pool *pool, size_t pieces) {
    pool->n_lanes = (uint32_t)ew__min_size(atomic_load(&pool->active), pieces);
    for (uint32_t i = 0; i < pool->n_lanes; i++) {
        atomic_store(&pool->lanes[i].next, pieces * i / pool->n_lanes);
        pool->lanes[i].end = pieces * (i + 1) / pool->n_lanes;
    }
}

void ew__pool_run(struct ew__pool *pool, size_t n, size_t grain, ew__task_fn *task, void *context) {
    if (n == 0)
        return;
    pool->task = task;
    pool->context = context;
    pool->n = n;
    pool->grain = grain > 0 ? grain : 1;
    deal(pool, (n - 1) / pool->grain + 1);
    bool shared = pool->n_lanes > 1;
    if (shared) {
        atomic_store(&pool->open, true);
        announce(pool);
    }
    take_pieces(pool, &pool->workers[0]);
    if (shared) {
        atomic_store(&pool->open, false);
        wait_for_workers(pool);
    }
}
