// SPDX-License-Identifier: Apache-2.0
/* Attention of the vision tower: 2-D rotary positions, all patches of a temporal patch see each
 * other. Order of sums: a frame's keys are cut into spans of EW__KV_PAGE_TOKENS from its first
 * patch on and merged in order, so that neither threads nor the frames beside it enter. */
#include "model/vision_pass.h"

#include "base/size.h"

#include <math.h>
#include <string.h>

/* Queries that share a walk over the keys. */
#define QUERY_ROWS 16u

/* Frequency j of head_dim / 4 is 10000^(-2j / (head_dim / 2)). */
void ew__vision_rope_tables(struct ew__vision_pass *pass) {
    uint32_t half = ew__vision_head_dim(pass->vision) / 2, m = half / 2;
    uint32_t places =
        pass->input->grid.h > pass->input->grid.w ? pass->input->grid.h : pass->input->grid.w;
    for (uint32_t j = 0; j < m; j++) {
        double frequency = (double)(float)pow(10000.0, -2.0 * j / half);
        for (uint32_t place = 0; place < places; place++) {
            pass->cosine[(size_t)place * m + j] = (float)cos(place * frequency);
            pass->sine[(size_t)place * m + j] = (float)sin(place * frequency);
        }
    }
}

struct place_task {
    struct ew__vision_pass *pass;
    size_t first;
};

/* Angles of a patch: its row's for the first quarter of the head, its column's for the second. */
static void patch_angles(const struct ew__vision_pass *pass, size_t patch, float *cosine,
                         float *sine) {
    size_t m = ew__vision_head_dim(pass->vision) / 4;
    uint32_t row, column;
    ew__patch_at(pass->input->grid.w, (uint32_t)(patch % pass->frame), &row, &column);
    memcpy(cosine, pass->cosine + row * m, m * sizeof *cosine);
    memcpy(cosine + m, pass->cosine + column * m, m * sizeof *cosine);
    memcpy(sine, pass->sine + row * m, m * sizeof *sine);
    memcpy(sine + m, pass->sine + column * m, m * sizeof *sine);
}

static void place_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct place_task *task = context;
    const struct ew__vision_pass *pass = task->pass;
    const struct ew__kernels *k = pass->vision->kernels;
    const size_t D = ew__vision_head_dim(pass->vision), heads = pass->vision->shape.n_head;
    const float scale = 1.0f / sqrtf((float)D);
    float *cosine = scratch, *sine = cosine + D / 2;
    for (size_t i = begin; i < end; i++) {
        size_t patch = task->first + i;
        patch_angles(pass, patch, cosine, sine);
        for (size_t part = 0; part < 3; part++)
            for (size_t head = 0; head < heads; head++) {
                float *to = pass->heads + ((part * heads + head) * pass->n + patch) * D;
                memcpy(to, pass->wide + ((i * 3 + part) * heads + head) * D, D * sizeof *to);
                if (part < 2)
                    k->rope(to, cosine, sine, D / 2);
                if (part == 0)
                    k->scale(to, scale, to, D);
            }
    }
}

void ew__vision_place_heads(struct ew__vision_pass *pass, size_t first, size_t t) {
    struct place_task task = {pass, first};
    ew__pool_run(pass->pool, t, 4, place_task, &task);
}

/* ---- sums ---- */

/* A thread's scratch. */
struct sums {
    float *p;                            /* of ew__attend_scratch */
    float *max, *sum, *o;                /* running: [QUERY_ROWS], the last [..][head_dim] */
    float *span_max, *span_sum, *span_o; /* of one span */
};

static struct sums sums_in(float *scratch, size_t D) {
    struct sums s = {.p = scratch};
    s.max = s.p + ew__attend_scratch(QUERY_ROWS, D);
    s.sum = s.max + QUERY_ROWS;
    s.span_max = s.sum + QUERY_ROWS;
    s.span_sum = s.span_max + QUERY_ROWS;
    s.o = s.span_sum + QUERY_ROWS;
    s.span_o = s.o + QUERY_ROWS * D;
    return s;
}

size_t ew__vision_attention_scratch_bytes(const struct ew__vision *vision) {
    size_t D = ew__vision_head_dim(vision);
    return (ew__attend_scratch(QUERY_ROWS, D) + QUERY_ROWS * (4 + 2 * D)) * sizeof(float);
}

/* g queries from patch `first` on over all keys of their frame, for one head. */
static void attend(const struct ew__vision_pass *pass, size_t head, size_t frame, size_t first,
                   size_t g, const struct sums *s) {
    const struct ew__kernels *kernels = pass->vision->kernels;
    const size_t D = ew__vision_head_dim(pass->vision), heads = pass->vision->shape.n_head;
    const size_t start = frame * pass->frame;
    const float *q = pass->heads + (head * pass->n + first) * D;
    const float *k = pass->heads + ((heads + head) * pass->n + start) * D;
    const float *v = pass->heads + ((2 * heads + head) * pass->n + start) * D;
    for (size_t key = 0; key < pass->frame; key += EW__KV_PAGE_TOKENS) {
        const struct ew__kv_view view = {k + key * D, v + key * D, EW__F32};
        size_t n = ew__min_size(pass->frame - key, EW__KV_PAGE_TOKENS);
        if (key == 0) {
            kernels->attend_span(q, D, g, g, &view, n, D, s->p, s->max, s->sum, s->o, D);
            continue;
        }
        kernels->attend_span(q, D, g, g, &view, n, D, s->p, s->span_max, s->span_sum, s->span_o, D);
        for (size_t i = 0; i < g; i++)
            kernels->attend_merge(s->o + i * D, &s->max[i], &s->sum[i], s->span_o + i * D,
                                  s->span_max[i], s->span_sum[i], D);
    }
}

/* Item = head x frame x group of queries, the groups innermost: a head's keys stay in cache. */
static void attend_task(void *context, size_t begin, size_t end, void *scratch) {
    const struct ew__vision_pass *pass = context;
    const size_t D = ew__vision_head_dim(pass->vision), width = pass->vision->shape.n_embd;
    const size_t groups = (pass->frame + QUERY_ROWS - 1) / QUERY_ROWS;
    const struct sums s = sums_in(scratch, D);
    for (size_t item = begin; item < end; item++) {
        size_t group = item % groups, frame = item / groups % pass->frames;
        size_t head = item / groups / pass->frames, offset = group * QUERY_ROWS;
        size_t first = frame * pass->frame + offset;
        size_t g = ew__min_size(QUERY_ROWS, pass->frame - offset);
        attend(pass, head, frame, first, g, &s);
        for (size_t i = 0; i < g; i++)
            pass->vision->kernels->scale(s.o + i * D, 1.0f / s.sum[i],
                                         pass->mixed + (first + i) * width + head * D, D);
    }
}

void ew__vision_attend(struct ew__vision_pass *pass) {
    size_t groups = (pass->frame + QUERY_ROWS - 1) / QUERY_ROWS;
    ew__pool_run(pass->pool, groups * pass->frames * pass->vision->shape.n_head, 1, attend_task,
                 pass);
}
