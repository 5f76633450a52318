// SPDX-License-Identifier: Apache-2.0
/* The vision tower, mixed positions and multimodal prompts against the reference arrays of
 * tests/data/goldens/tiny-vl: from the folder, and from the GGUF and mmproj files converted from
 * it. Tolerances are the README's there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "edgewise/checkpoint.h"
#include "formats/gguf_write.h"
#include "model/positions.h"
#include "model/vision.h"
#include "support/golden.h"
#include "support/rig.h"
#include "support/temp_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER           "tests/data/goldens/tiny-vl"
#define TOLERANCE_LOGITS 5e-4
#define TOLERANCE_INNER  3e-4
#define TOLERANCE_VISION 2e-5
#define TOLERANCE_PIXELS 1e-6

static struct temp_folder temp; /* holds the converted files for the whole run */
static const char *converted_model, *converted_vision;

/* Largest differences seen, told at the end. */
static double worst_pixels, worst_vision, worst_features, worst_logits, worst_hidden;

static void note(double *worst, double difference) {
    *worst = difference > *worst ? difference : *worst;
}

static void must(ew_status status) {
    if (status != EW_OK)
        fail_msg("%s", ew_last_error());
}

static const char *array_name(const char *prefix, const char *what) {
    static char names[4][160];
    static unsigned turn;
    char *name = names[turn++ % 4];
    snprintf(name, sizeof names[0], "%s/%s", prefix, what);
    return name;
}

/* ---- subjects ---- */

struct subject {
    struct golden golden;
    struct ew__vision vision;
    struct ew__pool *pool;
};

static void subject_open(struct subject *s, const char *path, uint32_t n_threads) {
    memset(s, 0, sizeof *s);
    golden_open(&s->golden, FOLDER);
    must(ew__vision_open(path, ew__kernels_select(NULL), &s->vision));
    must(ew__pool_new(n_threads, ew__vision_scratch_bytes(&s->vision), &s->pool));
}

static void subject_close(struct subject *s) {
    ew__pool_free(s->pool);
    ew__vision_close(&s->vision);
    golden_close(&s->golden);
}

static struct ew__grid grid_of(const struct golden *golden, const char *medium) {
    size_t n;
    char name[64];
    snprintf(name, sizeof name, "media/%s/grid_thw", medium);
    int32_t *thw = golden_i32(golden, name, &n);
    assert_int_equal(n, 3);
    struct ew__grid grid = {(uint32_t)thw[0], (uint32_t)thw[1], (uint32_t)thw[2]};
    free(thw);
    return grid;
}

static float *features_of(const struct subject *s, const char *medium, ew__trace_fn *trace,
                          void *context) {
    size_t n;
    char name[64];
    snprintf(name, sizeof name, "media/%s/pixel_values", medium);
    float *patches = golden_f32(&s->golden, name, &n);
    const struct ew__vision_input input = {.patches = patches,
                                           .grid = grid_of(&s->golden, medium),
                                           .trace = trace,
                                           .trace_context = context};
    assert_int_equal(n, ew__grid_patches(input.grid) * EW__PATCH_VALUES);
    float *features = malloc((size_t)ew__grid_tokens(input.grid) * s->vision.shape.n_out * 4);
    must(ew__vision_forward(&s->vision, s->pool, &input, features));
    free(patches);
    return features;
}

static const char *const media[] = {"image1", "image2", "video1"};

/* ---- pixels ---- */

static void patches_agree(void **state) {
    (void)state;
    struct golden golden;
    golden_open(&golden, FOLDER);
    for (size_t m = 0; m < 3; m++) {
        size_t n;
        char name[64];
        snprintf(name, sizeof name, "media/%s/rgb_u8", media[m]);
        const struct ew__tensor *rgb = ew__safetensors_tensor(golden.arrays, ew__str(name));
        assert_non_null(rgb);
        struct ew__picture_size size = {(uint32_t)rgb->dims[2], (uint32_t)rgb->dims[1]};
        uint32_t frames = rgb->n_dims == 4 ? (uint32_t)rgb->dims[3] : 1;
        struct ew__grid grid, want_grid = grid_of(&golden, media[m]);
        must(ew__grid_of(frames, size, &grid));
        assert_memory_equal(&grid, &want_grid, sizeof grid);
        snprintf(name, sizeof name, "media/%s/pixel_values", media[m]);
        float *want = golden_f32(&golden, name, &n), *got = malloc(n * sizeof *got);
        assert_int_equal(n, ew__grid_patches(grid) * EW__PATCH_VALUES);
        ew__patchify(rgb->data, frames, size, got);
        note(&worst_pixels, assert_close(name, got, want, n, TOLERANCE_PIXELS));
        free(want), free(got);
    }
    golden_close(&golden);
}

static void patch_positions_agree(void **state) {
    (void)state;
    struct golden golden;
    golden_open(&golden, FOLDER);
    for (size_t m = 0; m < 3; m++) {
        size_t n;
        char name[64];
        struct ew__grid grid = grid_of(&golden, media[m]);
        snprintf(name, sizeof name, "media/%s/vision/patch_position_hw", media[m]);
        int32_t *want = golden_i32(&golden, name, &n);
        assert_int_equal(n, 2 * ew__grid_patches(grid));
        for (uint32_t i = 0; i < n / 2; i++) {
            uint32_t row, column;
            ew__patch_at(grid.w, i % (grid.h * grid.w), &row, &column);
            assert_int_equal(row, want[2 * i]);
            assert_int_equal(column, want[2 * i + 1]);
        }
        free(want);
    }
    golden_close(&golden);
}

/* ---- inside the tower ---- */

struct tracer {
    const struct subject *subject;
    const char *medium;
    size_t seen;
};

static void trace_vision(void *context, const char *what, uint32_t layer, const float *values,
                         size_t rows, size_t columns, size_t ld) {
    struct tracer *t = context;
    char name[96];
    size_t n;
    assert_int_equal(ld, columns);
    snprintf(name, sizeof name, "media/%s/vision/%s", t->medium, what);
    float *want = golden_f32(&t->subject->golden, name, &n);
    /* The reference repeats the learned positions for every temporal patch; blocks are stacked. */
    size_t offset = strcmp(what, "blocks") == 0 ? layer * rows * columns : 0;
    size_t copies = strcmp(what, "pos_embed") == 0 ? n / (rows * columns) : 1;
    assert_true(offset + copies * rows * columns <= n);
    for (size_t i = 0; i < copies; i++)
        note(strcmp(what, "features") == 0 ? &worst_features : &worst_vision,
             assert_close(name, values, want + offset + i * rows * columns, rows * columns,
                          TOLERANCE_VISION));
    t->seen++;
    free(want);
}

static void check_tower(const char *path) {
    struct subject s;
    subject_open(&s, path, 2);
    for (size_t m = 0; m < 3; m++) {
        struct tracer tracer = {.subject = &s, .medium = media[m]};
        size_t n;
        float *features = features_of(&s, media[m], trace_vision, &tracer);
        assert_int_equal(tracer.seen, 3 + s.vision.shape.depth);
        char name[64];
        snprintf(name, sizeof name, "media/%s/vision/features", media[m]);
        float *want = golden_f32(&s.golden, name, &n);
        assert_int_equal(n, ew__grid_tokens(grid_of(&s.golden, media[m])) * s.vision.shape.n_out);
        assert_close(name, features, want, n, TOLERANCE_VISION);
        free(want), free(features);
    }
    subject_close(&s);
}

static void folder_gives_the_reference_features(void **state) {
    (void)state;
    check_tower(FOLDER);
}

static void converted_file_gives_the_reference_features(void **state) {
    (void)state;
    check_tower(converted_vision);
}

/* ---- one number, however it is computed ---- */

/* A video of 3 x 18 x 20 patches: more than a chunk together, more than a span of keys each. */
static const struct ew__grid long_grid = {3, 18, 20};

static float *long_video(void) {
    size_t n = (size_t)ew__grid_patches(long_grid) * EW__PATCH_VALUES;
    float *patches = malloc(n * sizeof *patches);
    uint32_t random = 1;
    for (size_t i = 0; i < n; i++) {
        random = random * 1664525u + 1013904223u;
        patches[i] = (float)(random >> 24) / 127.5f - 1.0f;
    }
    return patches;
}

static float *run_long(const char *path, uint32_t n_threads, const float *patches, bool split) {
    struct subject s;
    subject_open(&s, path, n_threads);
    size_t tokens = ew__grid_tokens(long_grid) / long_grid.t, H = s.vision.shape.n_out;
    float *features = malloc(long_grid.t * tokens * H * sizeof *features);
    struct ew__vision_input input = {.patches = patches, .grid = long_grid};
    if (!split)
        must(ew__vision_forward(&s.vision, s.pool, &input, features));
    for (uint32_t t = 0; split && t < long_grid.t; t++) {
        input.grid.t = 1;
        input.patches = patches + t * tokens * EW__TOKEN_PATCHES * EW__PATCH_VALUES;
        must(ew__vision_forward(&s.vision, s.pool, &input, features + t * tokens * H));
    }
    subject_close(&s);
    return features;
}

static void results_do_not_depend_on_the_cut(void **state) {
    (void)state;
    float *patches = long_video(), *want = run_long(FOLDER, 1, patches, false);
    size_t bytes = (size_t)ew__grid_tokens(long_grid) * 64 * sizeof(float);
    float *threads = run_long(FOLDER, 3, patches, false);
    float *frames = run_long(FOLDER, 2, patches, true);
    float *file = run_long(converted_vision, 2, patches, false);
    assert_memory_equal(want, threads, bytes);
    assert_memory_equal(want, frames, bytes);
    assert_memory_equal(want, file, bytes);
    free(patches), free(want), free(threads), free(frames), free(file);
}

/* ---- a model file that carries its tower ---- */

static void add_all(struct ew__gguf_writer *writer, const struct ew__gguf *from,
                    const char *prefix) {
    for (size_t i = 0; i < ew__gguf_kv_count(from); i++)
        if (prefix == NULL || ew__str_starts(ew__gguf_kv_at(from, i)->key, prefix))
            must(ew__gguf_add_kv(writer, ew__gguf_kv_at(from, i)));
    for (size_t i = 0; i < ew__gguf_tensor_count(from); i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(from, i);
        must(ew__gguf_add_tensor(writer, t->name, (ew__dtype)t->type, t->n_dims, t->dims));
    }
}

static void write_all(struct ew__gguf_writer *writer, const struct ew__gguf *from) {
    for (size_t i = 0; i < ew__gguf_tensor_count(from); i++) {
        const struct ew__tensor *t = ew__gguf_tensor_at(from, i);
        must(ew__gguf_write(writer, t->data, (size_t)t->bytes));
    }
}

static void a_model_file_may_embed_the_tower(void **state) {
    (void)state;
    struct ew__gguf *model, *vision;
    struct ew__gguf_writer *writer;
    char path[600];
    snprintf(path, sizeof path, "%s/both.gguf", temp.path);
    must(ew__gguf_open(converted_model, &model));
    must(ew__gguf_open(converted_vision, &vision));
    must(ew__gguf_writer_new(&writer));
    add_all(writer, model, NULL);
    add_all(writer, vision, "clip.");
    must(ew__gguf_begin(writer, path));
    write_all(writer, model);
    write_all(writer, vision);
    must(ew__gguf_commit(writer));
    ew__gguf_writer_free(writer);
    ew__gguf_close(model);
    ew__gguf_close(vision);
    check_tower(path);
    struct ew__model text;
    must(ew__model_open(path, &(struct ew__model_options){0}, &text));
    ew__model_close(&text);
}

/* ---- positions and prompts ---- */

struct prompt {
    const char *name;
    const char *images[2], *video;
};

static const struct prompt prompts[] = {
    {"text", {NULL, NULL}, NULL},
    {"image-square", {"image1", NULL}, NULL},
    {"two-images", {"image1", "image2"}, NULL},
    {"video", {NULL, NULL}, "video1"},
    {"image-and-video", {"image2", NULL}, "video1"},
};

/* A prompt with everything it needs; freed by prompt_free. */
struct loaded {
    size_t n;
    int32_t *tokens, (*positions)[3], rope_delta;
    uint8_t *kinds;
    float *embeddings; /* rows of pictures and videos, zero elsewhere */
};

static void load_positions(const struct golden *golden, const struct prompt *p,
                           struct loaded *out) {
    struct ew__grid images[2], video;
    struct ew__media_grids grids = {.images = images, .videos = &video};
    struct ew__positions scan = {0};
    size_t n;
    while (grids.n_images < 2 && p->images[grids.n_images] != NULL) {
        images[grids.n_images] = grid_of(golden, p->images[grids.n_images]);
        grids.n_images++;
    }
    if (p->video != NULL) {
        video = grid_of(golden, p->video);
        grids.n_videos = 1;
    }
    int32_t *types = golden_i32(golden, array_name(p->name, "mm_token_type_ids"), &n);
    assert_int_equal(n, out->n);
    out->kinds = calloc(n + 1, 1);
    for (size_t i = 0; i < n; i++)
        out->kinds[i] = (uint8_t)types[i];
    free(types);
    out->positions = calloc(n + 1, sizeof *out->positions);
    must(ew__position_tokens(&scan, out->kinds, n, &grids, out->positions));
    assert_int_equal(scan.n_tokens, n);
    out->rope_delta = ew__rope_delta(&scan);
}

/* Rows of the media of one kind in order. */
static void place_features(struct loaded *out, uint8_t kind, const float *features, size_t rows,
                           size_t H, size_t *at) {
    for (size_t row = 0; row < rows; (*at)++) {
        assert_true(*at < out->n);
        if (out->kinds[*at] != kind)
            continue;
        memcpy(out->embeddings + *at * H, features + row * H, H * sizeof *features);
        out->tokens[*at] = -1;
        row++;
    }
}

static void load_features(const struct subject *s, const struct prompt *p, struct loaded *out) {
    size_t H = s->vision.shape.n_out, at = 0;
    out->embeddings = calloc(out->n * H, sizeof *out->embeddings);
    for (size_t i = 0; i < 2 && p->images[i] != NULL; i++) {
        float *features = features_of(s, p->images[i], NULL, NULL);
        place_features(out, EW__TOKEN_IMAGE, features,
                       ew__grid_tokens(grid_of(&s->golden, p->images[i])), H, &at);
        free(features);
    }
    if (p->video == NULL)
        return;
    at = 0;
    float *features = features_of(s, p->video, NULL, NULL);
    place_features(out, EW__TOKEN_VIDEO, features, ew__grid_tokens(grid_of(&s->golden, p->video)),
                   H, &at);
    free(features);
}

static void prompt_load(const struct subject *s, const struct prompt *p, struct loaded *out) {
    memset(out, 0, sizeof *out);
    out->tokens = golden_i32(&s->golden, array_name(p->name, "input_ids"), &out->n);
    load_positions(&s->golden, p, out);
    load_features(s, p, out);
    for (size_t i = 0; i < out->n; i++)
        assert_true((out->tokens[i] == -1) == (out->kinds[i] != EW__TOKEN_TEXT));
}

static void prompt_free(struct loaded *p) {
    free(p->tokens), free(p->positions), free(p->kinds), free(p->embeddings);
}

static void check_stored_positions(const struct golden *golden, const char *name,
                                   const struct loaded *p) {
    size_t n;
    int32_t *want = golden_i32(golden, array_name(name, "position_ids"), &n);
    assert_int_equal(n, 3 * p->n);
    int32_t *delta = golden_i32(golden, array_name(name, "rope_delta"), &n);
    for (size_t i = 0; i < p->n; i++)
        for (size_t axis = 0; axis < 3; axis++)
            assert_int_equal(p->positions[i][axis], want[axis * p->n + i]);
    assert_int_equal(p->rope_delta, delta[0]);
    free(want), free(delta);
}

/* The reference stores none for the prompt without media: each token's index on all axes. */
static void check_plain_positions(const struct loaded *p) {
    for (size_t i = 0; i < p->n; i++)
        for (size_t axis = 0; axis < 3; axis++)
            assert_int_equal(p->positions[i][axis], i);
    assert_int_equal(p->rope_delta, 0);
}

static void positions_are_the_reference(void **state) {
    (void)state;
    struct golden golden;
    golden_open(&golden, FOLDER);
    for (size_t c = 0; c < sizeof prompts / sizeof prompts[0]; c++) {
        struct loaded p = {0};
        p.tokens = golden_i32(&golden, array_name(prompts[c].name, "input_ids"), &p.n);
        load_positions(&golden, &prompts[c], &p);
        if (strcmp(prompts[c].name, "text") == 0)
            check_plain_positions(&p);
        else
            check_stored_positions(&golden, prompts[c].name, &p);
        prompt_free(&p);
    }
    golden_close(&golden);
}

static int32_t argmax(const float *values, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return (int32_t)best;
}

static void check_logits(const struct golden *golden, const char *name, const float *logits,
                         size_t n, size_t V) {
    size_t count;
    float *want = golden_f32(golden, array_name(name, "logits"), &count);
    assert_int_equal(count, n * V);
    note(&worst_logits,
         assert_close(array_name(name, "logits"), logits, want, count, TOLERANCE_LOGITS));
    float *margin = golden_f32(golden, array_name(name, "top1_margin"), &count);
    int32_t *top = golden_i32(golden, array_name(name, "argmax"), &count);
    for (size_t i = 0; i < n; i++)
        if ((double)margin[i] > 2 * TOLERANCE_LOGITS)
            assert_int_equal(argmax(logits + i * V, V), top[i]);
    free(want), free(margin), free(top);
}

static void check_greedy(const struct golden *golden, struct rig *rig, const char *name,
                         float *logits) {
    size_t n, count, V = rig->model.config->n_vocab;
    int32_t *want = golden_i32(golden, array_name(name, "greedy_ids"), &n);
    float *top1 = golden_f32(golden, array_name(name, "greedy_top1"), &count);
    float *steps = golden_has(golden, array_name(name, "greedy_logits"))
                       ? golden_f32(golden, array_name(name, "greedy_logits"), &count)
                       : NULL;
    for (size_t i = 0; i < n; i++) {
        int32_t token = argmax(logits, V);
        assert_int_equal(token, want[i]);
        assert_close("greedy_top1", &logits[token], &top1[i], 1, TOLERANCE_LOGITS);
        if (steps != NULL)
            note(&worst_logits,
                 assert_close("greedy_logits", logits, steps + i * V, V, TOLERANCE_LOGITS));
        rig_eval(rig, &token, 1, NULL, NULL, NULL, logits);
    }
    assert_int_equal(n, 16);
    free(want), free(top1), free(steps);
}

struct text_tracer {
    const struct golden *golden;
    size_t seen;
};

/* Residual stream and final norm of image-square. */
static void trace_text(void *context, const char *what, uint32_t layer, const float *values,
                       size_t rows, size_t columns, size_t ld) {
    struct text_tracer *t = context;
    bool is_hidden = strcmp(what, "hidden") == 0, is_final = strcmp(what, "final_norm") == 0;
    size_t count, row = is_hidden ? layer + 1 : 0;
    if (!is_hidden && !is_final && strcmp(what, "embedding") != 0)
        return;
    float *want =
        golden_f32(t->golden, is_final ? "image-square/final_norm" : "image-square/hidden", &count);
    assert_int_equal(ld, columns);
    assert_true((row + 1) * rows * columns <= count);
    note(&worst_hidden,
         assert_close(what, values, want + row * rows * columns, rows * columns, TOLERANCE_INNER));
    free(want);
    t->seen++;
}

static void check_prompts(const char *model_path, const char *vision_path) {
    struct subject s;
    struct rig rig;
    subject_open(&s, vision_path, 2);
    rig_open(&rig, model_path, &(struct rig_options){.kv_type = EW__F32, .n_threads = 2});
    assert_int_equal(s.vision.shape.n_out, rig.model.config->n_embd);
    for (size_t c = 0; c < sizeof prompts / sizeof prompts[0]; c++) {
        struct text_tracer tracer = {.golden = &s.golden};
        struct loaded p;
        size_t V = rig.model.config->n_vocab;
        prompt_load(&s, &prompts[c], &p);
        float *logits = malloc((p.n + 1) * V * sizeof *logits);
        rig_reset(&rig);
        if (strcmp(prompts[c].name, "image-square") == 0) {
            rig.ws.trace = trace_text;
            rig.ws.trace_context = &tracer;
        }
        rig_eval(&rig, p.tokens, p.n, (const int32_t(*)[3])p.positions, p.embeddings, NULL, logits);
        if (rig.ws.trace != NULL)
            assert_int_equal(tracer.seen, 2 + rig.model.config->n_layer);
        rig.ws.trace = NULL;
        rig.rope_delta = p.rope_delta;
        check_logits(&s.golden, prompts[c].name, logits, p.n, V);
        memmove(logits, logits + (p.n - 1) * V, V * sizeof *logits);
        check_greedy(&s.golden, &rig, prompts[c].name, logits);
        free(logits);
        prompt_free(&p);
    }
    rig_close(&rig);
    subject_close(&s);
}

static void folder_answers_as_the_reference(void **state) {
    (void)state;
    check_prompts(FOLDER, FOLDER);
}

static void converted_files_answer_as_the_reference(void **state) {
    (void)state;
    check_prompts(converted_model, converted_vision);
}

/* ---- */

static int set_up(void **state) {
    (void)state;
    static char paths[2][600];
    temp_folder_make(&temp);
    snprintf(paths[0], sizeof paths[0], "%s/model.gguf", temp.path);
    snprintf(paths[1], sizeof paths[1], "%s/mmproj.gguf", temp.path);
    converted_model = paths[0];
    converted_vision = paths[1];
    const ew_convert_options options = {.size = sizeof options, .mmproj = converted_vision};
    if (ew_convert(FOLDER, converted_model, &options) == EW_OK)
        return 0;
    print_error("%s\n", ew_last_error());
    return 1;
}

static int tear_down(void **state) {
    (void)state;
    temp_folder_remove(&temp);
    print_message("largest differences: pixels %.2g, tower %.2g, features %.2g, hidden %.2g, "
                  "logits %.2g\n",
                  worst_pixels, worst_vision, worst_features, worst_hidden, worst_logits);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_agree),
        cmocka_unit_test(patch_positions_agree),
        cmocka_unit_test(folder_gives_the_reference_features),
        cmocka_unit_test(converted_file_gives_the_reference_features),
        cmocka_unit_test(results_do_not_depend_on_the_cut),
        cmocka_unit_test(a_model_file_may_embed_the_tower),
        cmocka_unit_test(positions_are_the_reference),
        cmocka_unit_test(folder_answers_as_the_reference),
        cmocka_unit_test(converted_files_answer_as_the_reference),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
