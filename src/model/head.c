// SPDX-License-Identifier: Apache-2.0
/* The two-stage head. A screening of the head's upper plane (kernels/split.h) gives each panel of
 * 16 rows a number that none of its logits exceeds. The n_best panels with the largest are computed
 * exactly; the n_best-th largest logit found there is a lower bound of the n_best-th largest of
 * all, so panels below it hold none of the wanted logits and are left out. What is computed has
 * the plain head's bits, because it is computed by the plain head's kernel.
 *
 * Left out are panels below the bound less 2^-20 of it, so that a logit left out is still below all
 * wanted ones after a division by a temperature, which rounds twice by 2^-24. NaN compares false
 * and so is never left out. */
#include "model/head.h"

#include "base/arena.h"
#include "base/size.h"

#include <math.h>

#define PIECES_PER_THREAD 16u
#define PANELS_TOGETHER   4u
/* More than this share of the panels is computed faster by the plain head. */
#define REFINED_SHARE 4u
/* Plain passes after a screening that ruled out too little, at most: it may go better later. */
#define REST_MOST 64u

ew_status ew__head_screen_init(struct ew__head_screen *screen, const struct ew__matrix *head,
                               struct ew__arena *arena) {
    *screen = (struct ew__head_screen){0};
    if (!head->split)
        return EW_OK;
    size_t panels = ew__packed_panels(head->rows);
    screen->top = ew__arena_alloc(arena, panels * sizeof *screen->top);
    screen->list = ew__arena_alloc(arena, panels * sizeof *screen->list);
    screen->d = ew__arena_alloc(arena, head->n / 32 * sizeof *screen->d);
    screen->e = ew__arena_alloc(arena, head->n / 16 * sizeof *screen->e);
    screen->usable = true;
    return screen->top != NULL && screen->list != NULL && screen->d != NULL && screen->e != NULL
               ? EW_OK
               : EW_NO_MEMORY;
}

/* One pass of the head for one hidden state. */
struct pass {
    const struct ew__kernels *kernels;
    const struct ew__matrix *head;
    struct ew__split split;
    struct ew__head_screen *screen;
    struct ew__screen acts;
    const struct ew__qact *q;
    float *logits;
    size_t n_list; /* of screen->list, the panels to be computed */
};

static void screen_panels(void *context, size_t begin, size_t end, void *scratch) {
    const struct pass *pass = context;
    size_t last = ew__min_size(end * EW__PANEL_ROWS, pass->head->rows);
    (void)scratch;
    pass->kernels->screen_split[pass->head->type](&pass->split, begin, end - begin, &pass->acts,
                                                  pass->screen->top);
    for (size_t row = begin * EW__PANEL_ROWS; row < last; row++)
        pass->logits[row] = -INFINITY;
}

static void compute_listed(void *context, size_t begin, size_t end, void *scratch) {
    const struct pass *pass = context;
    for (size_t i = begin; i < end; i++)
        pass->kernels->mul_split[pass->head->type](&pass->split, pass->screen->list[i], 1, pass->q,
                                                   0, 1, pass->logits, pass->head->rows, scratch);
}

/* Keeps the `most` largest values offered, in ascending order. NaN is not kept. */
struct largest {
    float values[EW__HEAD_BEST_MAX];
    uint32_t from[EW__HEAD_BEST_MAX];
    size_t n, most;
};

static void offer(struct largest *kept, float value, uint32_t from) {
    if (!(kept->n < kept->most ? value == value : value > kept->values[0]))
        return;
    size_t at = 0;
    if (kept->n < kept->most) {
        at = kept->n++;
        for (; at > 0 && kept->values[at - 1] > value; at--) {
            kept->values[at] = kept->values[at - 1];
            kept->from[at] = kept->from[at - 1];
        }
    } else {
        for (; at + 1 < kept->n && kept->values[at + 1] < value; at++) {
            kept->values[at] = kept->values[at + 1];
            kept->from[at] = kept->from[at + 1];
        }
    }
    kept->values[at] = value;
    kept->from[at] = from;
}

/* Computes the n_best panels with the largest bounds, and returns the n_best-th largest of their
 * logits, or NaN when there are not as many. Their bounds become -infinity: they are done. */
static float compute_likely(struct pass *pass, struct ew__pool *pool, size_t n_rows,
                            size_t n_best) {
    struct largest panels = {.most = n_best}, found = {.most = n_best};
    for (size_t i = 0; i * EW__PANEL_ROWS < n_rows; i++)
        offer(&panels, pass->screen->top[i], (uint32_t)i);
    for (size_t i = 0; i < panels.n; i++) {
        pass->screen->list[i] = panels.from[i];
        pass->screen->top[panels.from[i]] = -INFINITY;
    }
    ew__pool_run(pool, panels.n, 1, compute_listed, pass);
    for (size_t i = 0; i < panels.n; i++) {
        size_t row = (size_t)panels.from[i] * EW__PANEL_ROWS;
        size_t end = ew__min_size(row + EW__PANEL_ROWS, n_rows);
        for (; row < end; row++)
            offer(&found, pass->logits[row], 0);
    }
    return found.n == n_best ? found.values[0] : NAN;
}

/* Lists the panels that may hold one of the wanted logits; false: more than are worth it. */
static bool list_others(struct pass *pass, size_t n_rows, float least) {
    size_t panels = ew__packed_panels(n_rows), most = panels / REFINED_SHARE;
    float cut = least - fmaxf(fabsf(least) * 0x1p-20f, 0x1p-100f);
    pass->n_list = 0;
    for (size_t i = 0; i < panels; i++) {
        float top = pass->screen->top[i];
        if (top < cut || top == -INFINITY)
            continue;
        if (pass->n_list == most)
            return false;
        pass->screen->list[pass->n_list++] = (uint32_t)i;
    }
    return true;
}

static bool try_screening(struct pass *pass, struct ew__pool *pool, size_t n_rows, size_t n_best) {
    size_t panels = ew__packed_panels(pass->head->rows);
    size_t pieces = (size_t)ew__pool_threads(pool) * PIECES_PER_THREAD;
    size_t grain = ew__round_up(ew__max_size(panels / pieces, 1), PANELS_TOGETHER);
    ew__screen_make(pass->head->type, pass->head->n, pass->q, 0, &pass->acts);
    ew__pool_run(pool, panels, grain, screen_panels, pass);
    float least = compute_likely(pass, pool, n_rows, n_best);
    if (isnan(least) || !list_others(pass, n_rows, least))
        return false;
    ew__pool_run(pool, pass->n_list, 2, compute_listed, pass);
    pass->screen->n_computed += n_best + pass->n_list;
    return true;
}

/* Whether to try, given how the last tries went. Only time depends on it. */
static bool is_worth_it(struct ew__head_screen *screen) {
    if (screen->rest == 0)
        return true;
    screen->rest--;
    return false;
}

static void note(struct ew__head_screen *screen, bool separated) {
    screen->next_rest =
        separated ? 0 : (uint32_t)ew__min_size(2 * (size_t)screen->next_rest + 1, REST_MOST);
    screen->rest = screen->next_rest;
    screen->n_screened += separated;
    screen->n_failed += !separated;
}

bool ew__head_best(struct ew__workspace *ws, const float *hidden, size_t n_rows, size_t n_best,
                   float *logits) {
    const struct ew__model *model = ws->model;
    const struct ew__matrix *head = &model->head;
    if (!ws->screen.usable || ws->exact || n_best == 0 || n_best > EW__HEAD_BEST_MAX ||
        n_rows == 0 || n_rows > head->rows || !is_worth_it(&ws->screen)) {
        ew__head(ws, hidden, 1, logits);
        return true;
    }
    ew__quantise_acts(model->kernels, ws->pool, hidden, head->n, head->n, 1, &ws->q);
    struct pass pass = {.kernels = model->kernels,
                        .head = head,
                        .split = ew__split_at(head->packed, head->type, head->rows, head->n),
                        .screen = &ws->screen,
                        .acts = {.d = ws->screen.d, .e = ws->screen.e},
                        .q = &ws->q,
                        .logits = logits};
    bool separated = try_screening(&pass, ws->pool, n_rows, n_best);
    note(&ws->screen, separated);
    if (!separated)
        ew__head(ws, hidden, 1, logits);
    return !separated;
}
