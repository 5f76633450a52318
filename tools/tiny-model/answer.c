// SPDX-License-Identifier: Apache-2.0
/* tiny-answer MODEL STOP_ID IMAGE_ID   answers prompts, given as ids, one per line of standard
 * input
 *
 * A line is: the most tokens to generate, "-" or a file with a picture's bytes (SIDE x SIDE x RGB),
 * the ids of the prompt. Printed per line: proposals of the MTP block, how many of them were what
 * the model itself chose next, and the ids of the greedy answer, without the stop token when it
 * came ("." after the numbers) or cut off at the limit ("+").
 *
 * Goes below the public API because pictures and the MTP block are not part of it yet. */
#include "base/mem.h"
#include "edgewise/edgewise.h"
#include "model/forward.h"
#include "model/positions.h"
#include "model/vision.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 128, GRID = SIDE / 16, IMAGE_TOKENS = GRID * GRID / 4, CONTEXT = 1024 };

struct answerer {
    struct ew__model model;
    struct ew__vision vision;
    bool has_vision;
    struct ew__pool *pool;
    struct ew__workspace ws;
    void **pages;
    float *state;
    int32_t stop, image;
    /* [CONTEXT] rows */
    int32_t *ids, *embedded; /* embedded: -1 where a picture's row stands */
    int32_t (*positions)[3];
    float *rows, *hidden, *logits, *drafted; /* [H], [H], [V], [H] */
};

struct job {
    size_t n, most; /* tokens of the prompt, tokens to generate */
    char picture[512];
};

static ew_status open_model(struct answerer *a, const char *path, const char *mmproj) {
    struct ew__model_options options = {0};
    struct ew__workspace_options ws = {
        .max_tokens = CONTEXT, .max_ctx = CONTEXT, .kv_type = EW__F32, .with_mtp = true};
    EW__TRY(ew__model_open(path, &options, &a->model));
    a->model.config = &a->model.checkpoint.config;
    ws.with_mtp = a->model.mtp != NULL;
    size_t scratch = ew__forward_scratch_bytes(&a->model);
    if (ew__vision_open(mmproj, ew__kernels_select(NULL), &a->vision) == EW_OK) {
        size_t more = ew__vision_scratch_bytes(&a->vision);
        a->has_vision = true;
        scratch = more > scratch ? more : scratch;
    }
    EW__TRY(ew__pool_new(1, scratch, &a->pool));
    return ew__workspace_init(&a->ws, &a->model, a->pool, &ws);
}

static bool get_memory(struct answerer *a) {
    size_t H = a->model.config->n_embd, V = a->model.config->n_vocab;
    size_t n_pages = ew__pages_for(CONTEXT);
    a->pages = calloc(n_pages, sizeof *a->pages);
    for (size_t i = 0; a->pages != NULL && i < n_pages; i++)
        if ((a->pages[i] = ew__alloc_aligned(a->ws.layout.page_bytes)) == NULL)
            return false;
    a->state = ew__alloc_aligned(a->ws.layout.state_floats * sizeof(float));
    a->ids = calloc(CONTEXT + 1, sizeof *a->ids);
    a->embedded = calloc(CONTEXT + 1, sizeof *a->embedded);
    a->positions = calloc(CONTEXT + 1, sizeof *a->positions);
    a->rows = calloc((CONTEXT + 1) * H, sizeof(float));
    a->hidden = calloc((CONTEXT + 1) * H, sizeof(float));
    a->drafted = calloc((CONTEXT + 1) * H, sizeof(float));
    a->logits = calloc(V, sizeof(float));
    return a->pages != NULL && a->state != NULL && a->ids != NULL && a->embedded != NULL &&
           a->positions != NULL && a->rows != NULL && a->hidden != NULL && a->drafted != NULL &&
           a->logits != NULL;
}

static bool look(struct answerer *a, const char *path, float *features) {
    static uint8_t rgb[SIDE * SIDE * 3];
    static float patches[GRID * GRID * EW__PATCH_VALUES];
    FILE *file = fopen(path, "rb");
    bool whole = file != NULL && fread(rgb, 1, sizeof rgb, file) == sizeof rgb;
    if (file != NULL)
        (void)fclose(file);
    if (!whole || !a->has_vision)
        return false;
    ew__patchify(rgb, 1, (struct ew__picture_size){SIDE, SIDE}, patches);
    const struct ew__vision_input input = {.patches = patches, .grid = {1, GRID, GRID}};
    return ew__vision_forward(&a->vision, a->pool, &input, features) == EW_OK;
}

/* Positions and embedding rows of the prompt; one picture at most. */
static bool place(struct answerer *a, const struct job *job) {
    size_t H = a->model.config->n_embd, at = 0;
    struct ew__positions scan = {0};
    while (at < job->n) {
        a->embedded[at] = a->ids[at];
        if (a->ids[at] != a->image) {
            if (ew__position_text(&scan, 1, a->positions + at) != EW_OK)
                return false;
            at++;
            continue;
        }
        if (at + IMAGE_TOKENS > job->n || !look(a, job->picture, a->rows + at * H) ||
            ew__position_picture(&scan, GRID / 2, GRID / 2, a->positions + at) != EW_OK)
            return false;
        for (size_t i = 0; i < IMAGE_TOKENS; i++)
            a->embedded[at++] = -1;
    }
    for (; at < CONTEXT; at++)
        if (ew__position_text(&scan, 1, a->positions + at) != EW_OK)
            return false;
    return true;
}

static struct ew__run run_of(const struct answerer *a, size_t first, size_t n) {
    return (struct ew__run){
        .n = (uint32_t)n, .n_past = (uint32_t)first, .pages = a->pages, .state = a->state};
}

static void eval(struct answerer *a, size_t first, size_t n) {
    size_t H = a->model.config->n_embd;
    struct ew__run run = run_of(a, first, n);
    struct ew__batch batch = {.n_tokens = (uint32_t)n,
                              .tokens = a->embedded + first,
                              .embeddings = a->rows + first * H,
                              .positions = (const int32_t(*)[3])(a->positions + first),
                              .runs = &run,
                              .n_runs = 1};
    ew__forward(&a->ws, &batch, a->hidden + first * H);
}

static int32_t best(struct answerer *a, const float *hidden) {
    int32_t chosen = 0;
    ew__head(&a->ws, hidden, 1, a->logits);
    for (uint32_t i = 1; i < a->model.config->n_vocab; i++)
        chosen = a->logits[i] > a->logits[chosen] ? (int32_t)i : chosen;
    return chosen;
}

/* Slots first .. first+n-1 of the MTP block; its guess of the token after the last one's. */
static int32_t propose(struct answerer *a, size_t first, size_t n) {
    size_t H = a->model.config->n_embd;
    struct ew__run run = run_of(a, first, n);
    struct ew__batch batch = {.n_tokens = (uint32_t)n,
                              .tokens = a->embedded + first + 1,
                              .embeddings = a->rows + (first + 1) * H,
                              .positions = (const int32_t(*)[3])(a->positions + first),
                              .runs = &run,
                              .n_runs = 1};
    ew__mtp_forward(&a->ws, &batch, a->hidden + first * H, a->drafted);
    return best(a, a->drafted + (n - 1) * H);
}

static void answer(struct answerer *a, const struct job *job) {
    size_t length = job->n, proposals = 0, accepted = 0, made = 0;
    int32_t expected = -1, next;
    memset(a->state, 0, a->ws.layout.state_floats * sizeof(float));
    eval(a, 0, length);
    while (true) {
        next = best(a, a->hidden + (length - 1) * a->model.config->n_embd);
        accepted += expected >= 0 && next == expected;
        if (next == a->stop || made == job->most || length == CONTEXT)
            break;
        a->ids[length] = a->embedded[length] = next;
        if (a->model.mtp != NULL) {
            expected = made == 0 ? propose(a, 0, length) : propose(a, length - 1, 1);
            proposals++;
        }
        eval(a, length++, 1);
        made++;
    }
    printf("%zu %zu %c", proposals, accepted, next == a->stop ? '.' : '+');
    for (size_t i = job->n; i < length; i++)
        printf(" %d", a->ids[i]);
    putchar('\n');
    (void)fflush(stdout);
}

static bool read_job(struct answerer *a, char *line, struct job *job) {
    char *rest = NULL, *word = strtok_r(line, " \n", &rest);
    job->n = 0;
    job->most = word != NULL ? strtoul(word, NULL, 10) : 0;
    word = strtok_r(NULL, " \n", &rest);
    if (word == NULL || strlen(word) >= sizeof job->picture)
        return false;
    memcpy(job->picture, word, strlen(word) + 1);
    while ((word = strtok_r(NULL, " \n", &rest)) != NULL && job->n < CONTEXT) {
        long id = strtol(word, NULL, 10);
        if (id < 0 || (unsigned long)id >= a->model.config->n_vocab)
            return false;
        a->ids[job->n++] = (int32_t)id;
    }
    return job->n > 0 && job->n < CONTEXT;
}

static void release(struct answerer *a) {
    for (size_t i = 0; a->pages != NULL && i < ew__pages_for(CONTEXT); i++)
        ew__free_aligned(a->pages[i]);
    free(a->pages);
    ew__free_aligned(a->state);
    free(a->ids);
    free(a->embedded);
    free(a->positions);
    free(a->rows);
    free(a->hidden);
    free(a->logits);
    free(a->drafted);
    ew__workspace_release(&a->ws);
    ew__pool_free(a->pool);
    if (a->has_vision)
        ew__vision_close(&a->vision);
    ew__model_close(&a->model);
}

static bool answer_all(struct answerer *a) {
    struct job job;
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    while (good && getline(&line, &capacity, stdin) > 0) {
        good = read_job(a, line, &job) && place(a, &job);
        if (good)
            answer(a, &job);
    }
    free(line);
    return good;
}

int main(int argc, char **argv) {
    struct answerer a = {0};
    int rc = 0;
    if (argc != 4 && argc != 5)
        return fprintf(stderr, "usage: tiny-answer MODEL STOP_ID IMAGE_ID [MMPROJ] < jobs\n"), 2;
    a.stop = (int32_t)strtol(argv[2], NULL, 10);
    a.image = (int32_t)strtol(argv[3], NULL, 10);
    if (open_model(&a, argv[1], argv[argc - 1 == 4 ? 4 : 1]) != EW_OK || !get_memory(&a))
        rc = (fprintf(stderr, "tiny-answer: %s\n", ew_last_error()), 1);
    else if (!answer_all(&a))
        rc = (fprintf(stderr, "tiny-answer: a line that cannot be answered\n"), 1);
    release(&a);
    return rc;
}
