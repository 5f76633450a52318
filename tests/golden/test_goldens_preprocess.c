// SPDX-License-Identifier: Apache-2.0
/* Sizes, patches, video frames and positions against the reference's tables: preprocess.json made
 * by its processors, vision-cases.json worked out from its formulas. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json.h"
#include "model/blocks.h"
#include "model/image_patches.h"
#include "model/positions.h"
#include "model/video_frames.h"
#include "model/vision.h"
#include "support/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREPROCESS "tests/data/goldens/preprocess/"

static void must(ew_status status) {
    if (status != EW_OK)
        fail_msg("%s", ew_last_error());
}

static json_t *load(const char *path) {
    json_t *root;
    must(ew__json_load(path, EW__JSON_CONFIG_BYTES_MAX, &root));
    return root;
}

static json_t *member(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        fail_msg("the table lacks \"%s\"", key);
    return value;
}

static uint32_t number(const json_t *object, const char *key) {
    return (uint32_t)json_integer_value(member(object, key));
}

static uint32_t element(const json_t *array, size_t index) {
    assert_true(index < json_array_size(array));
    return (uint32_t)json_integer_value(json_array_get(array, index));
}

static struct ew__picture_size picture(const json_t *row) {
    return (struct ew__picture_size){number(row, "h"), number(row, "w")};
}

/* The refusal is a sentence with the sizes in it. */
static void assert_refused(ew_status status, const json_t *row) {
    char size[32];
    snprintf(size, sizeof size, "%u x %u", number(row, "w"), number(row, "h"));
    assert_int_equal(status, EW_LIMIT);
    if (strstr(ew_last_error(), size) == NULL)
        fail_msg("\"%s\" does not name the size %s", ew_last_error(), size);
}

static void assert_grid(uint32_t frames, struct ew__picture_size size, const json_t *grid_thw,
                        uint32_t tokens) {
    struct ew__grid grid;
    must(ew__grid_of(frames, size, &grid));
    assert_int_equal(grid.t, element(grid_thw, 0));
    assert_int_equal(grid.h, element(grid_thw, 1));
    assert_int_equal(grid.w, element(grid_thw, 2));
    assert_int_equal(ew__grid_tokens(grid), tokens);
}

/* ---- preprocess.json ---- */

static void image_sizes_agree(void **state) {
    (void)state;
    json_t *root = load(PREPROCESS "preprocess.json"),
           *rows = member(member(root, "image"), "rows");
    size_t i, refused = 0;
    json_t *row;
    json_array_foreach(rows, i, row) {
        struct ew__picture_size out;
        ew_status status = ew__image_size(picture(row), EW__IMAGE_BUDGET, &out);
        if (json_object_get(row, "error") != NULL) {
            assert_refused(status, row);
            refused++;
            continue;
        }
        must(status);
        assert_int_equal(out.height, number(row, "out_h"));
        assert_int_equal(out.width, number(row, "out_w"));
        assert_grid(1, out, member(row, "grid_thw"), number(row, "tokens"));
    }
    assert_int_equal(i, 36);
    assert_int_equal(refused, 1);
    json_decref(root);
}

/* Where the two published rules differ, ours is the older one. */
static void video_sizes_agree(void **state) {
    (void)state;
    json_t *root = load(PREPROCESS "preprocess.json"),
           *rows = member(member(root, "video"), "rows");
    size_t i, refused = 0, differ = 0;
    json_t *row;
    json_array_foreach(rows, i, row) {
        json_t *older = member(row, "older_rule");
        struct ew__picture_size out;
        ew_status status =
            ew__video_size(number(row, "frames"), picture(row), EW__VIDEO_BUDGET, &out);
        differ += !json_is_true(member(row, "rules_agree"));
        if (json_object_get(older, "error") != NULL) {
            assert_refused(status, row);
            refused++;
            continue;
        }
        must(status);
        assert_int_equal(out.height, number(older, "out_h"));
        assert_int_equal(out.width, number(older, "out_w"));
        if (json_is_true(member(row, "rules_agree")))
            assert_grid(number(row, "frames"), out, member(row, "grid_thw"), number(row, "tokens"));
    }
    assert_int_equal(i, 15);
    assert_int_equal(refused, 3);
    assert_int_equal(differ, 3);
    json_decref(root);
}

static void patchify_agrees(void **state) {
    (void)state;
    struct golden golden;
    size_t n, count;
    if (ew__safetensors_open(PREPROCESS "patchify.safetensors", &golden.arrays) != EW_OK)
        fail_msg("%s", ew_last_error());
    const struct ew__tensor *rgb = ew__safetensors_tensor(golden.arrays, ew__str("rgb_u8"));
    assert_non_null(rgb);
    const struct ew__picture_size size = {(uint32_t)rgb->dims[2], (uint32_t)rgb->dims[1]};
    float *want = golden_f32(&golden, "pixel_values", &n);
    int32_t *thw = golden_i32(&golden, "grid_thw", &count);
    struct ew__grid grid;
    must(ew__grid_of(1, size, &grid));
    assert_true(grid.t == (uint32_t)thw[0] && grid.h == (uint32_t)thw[1] &&
                grid.w == (uint32_t)thw[2]);
    assert_int_equal(n, ew__grid_patches(grid) * EW__PATCH_VALUES);
    float *got = malloc(n * sizeof *got);
    ew__patchify(rgb->data, 1, size, got);
    print_message("patchify: largest difference %.2g\n",
                  assert_close("pixel_values", got, want, n, 1e-6));
    free(want), free(thw), free(got);
    golden_close(&golden);
}

/* ---- vision-cases.json ---- */

static void worked_image_sizes_agree(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json"), *row;
    size_t i, refused = 0;
    json_array_foreach(member(root, "image_smart_resize"), i, row) {
        struct ew__picture_size out;
        json_t *want = member(row, "out");
        ew_status status = ew__image_size(picture(row), EW__IMAGE_BUDGET, &out);
        if (json_is_null(want)) {
            assert_refused(status, row);
            refused++;
            continue;
        }
        must(status);
        assert_int_equal(out.height, element(want, 0));
        assert_int_equal(out.width, element(want, 1));
        assert_int_equal(out.height / 32 * (out.width / 32), number(row, "tokens"));
    }
    assert_int_equal(i, 33);
    assert_int_equal(refused, 2);
    json_decref(root);
}

/* Lists in the table leave out their middle, marked by the string "..." (one character), and always
 * end with the last item. */
static size_t index_of_listed(const json_t *list, size_t place, size_t n) {
    size_t length = json_array_size(list), dots = length;
    for (size_t i = 0; i < length; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text != NULL && text[0] != '<')
            dots = i;
    }
    if (place == dots)
        return SIZE_MAX;
    return place < dots ? place : n - (length - place);
}

static void check_indices(const json_t *row, uint32_t total, uint32_t frames) {
    size_t place;
    json_t *value;
    json_array_foreach(member(row, "indices"), place, value) {
        size_t i = index_of_listed(member(row, "indices"), place, frames);
        if (i != SIZE_MAX)
            assert_int_equal(ew__video_frame_index(total, frames, (uint32_t)i),
                             json_integer_value(value));
    }
}

/* Of long videos the table has the first eight and the last two stamps. */
static void check_stamps(const json_t *row, uint32_t total, double fps, uint32_t frames) {
    size_t place, patches = (frames + 1) / 2, listed = json_array_size(member(row, "stamps"));
    json_t *value;
    assert_true(listed == patches || listed == 10);
    json_array_foreach(member(row, "stamps"), place, value) {
        char stamp[64];
        size_t j = listed < patches && place >= 8 ? patches - listed + place : place;
        size_t n = ew__video_stamp(ew__video_patch_seconds(total, fps, frames, (uint32_t)j), stamp);
        assert_string_equal(stamp, json_string_value(value));
        assert_int_equal(n, strlen(stamp));
    }
}

static void worked_videos_agree(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json"), *row;
    size_t i;
    json_array_foreach(member(root, "video"), i, row) {
        uint32_t total = number(row, "total"), frames = number(row, "frames");
        double fps = json_number_value(member(row, "fps"));
        json_t *want = member(row, "out"), *grid_thw = member(row, "grid_thw");
        struct ew__picture_size out;
        assert_int_equal(ew__video_frame_count(total, fps), frames);
        check_indices(row, total, frames);
        check_stamps(row, total, fps, frames);
        must(ew__video_size(frames, picture(row), EW__VIDEO_BUDGET, &out));
        assert_int_equal(out.height, element(want, 0));
        assert_int_equal(out.width, element(want, 1));
        assert_grid(frames, out, grid_thw, element(grid_thw, 0) * number(row, "tokens_per_patch"));
    }
    assert_int_equal(i, 8);
    json_decref(root);
}

static size_t scan_run(struct ew__positions *scan, const json_t *run, int32_t (*out)[3]) {
    if (strcmp(json_string_value(json_array_get(run, 0)), "text") == 0) {
        must(ew__position_text(scan, element(run, 1), out));
        return element(run, 1);
    }
    must(ew__position_picture(scan, element(run, 1), element(run, 2), out));
    return (size_t)element(run, 1) * element(run, 2);
}

static void worked_positions_agree(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json"), *row, *run;
    size_t i, k;
    json_array_foreach(member(root, "positions"), i, row) {
        struct ew__positions scan = {0};
        int32_t positions[64][3];
        size_t n = 0;
        json_t *want = member(row, "T_H_W");
        assert_true(json_array_size(want) <= 64);
        json_array_foreach(member(row, "runs"), k, run) n += scan_run(&scan, run, positions + n);
        assert_int_equal(n, json_array_size(want));
        for (size_t token = 0; token < n; token++)
            for (size_t axis = 0; axis < 3; axis++)
                assert_int_equal(positions[token][axis],
                                 element(json_array_get(want, token), axis));
        assert_int_equal(ew__rope_delta(&scan), json_integer_value(member(row, "rope_delta")));
        assert_int_equal(scan.next, number(row, "next_decode_position"));
    }
    assert_int_equal(i, 4);
    json_decref(root);
}

static void worked_patch_order_agrees(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json"), *place;
    size_t i;
    json_array_foreach(member(root, "patch_order_row_col_for_grid_4x6"), i, place) {
        uint32_t row, column;
        ew__patch_at(6, (uint32_t)i, &row, &column);
        assert_int_equal(row, element(place, 0));
        assert_int_equal(column, element(place, 1));
    }
    assert_int_equal(i, 24);
    json_decref(root);
}

static void worked_table_places_agree(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json"), *rows, *want;
    const char *size;
    size_t i, seen = 0;
    json_object_foreach(member(root, "pos_embed_floor_ceil_fraction"), size, rows) {
        uint32_t n = (uint32_t)strtoul(size, NULL, 10);
        json_array_foreach(rows, i, want) {
            uint32_t low, high;
            float fraction;
            ew__vision_axis(48, n, (uint32_t)i, &low, &high, &fraction);
            assert_int_equal(low, element(want, 0));
            assert_int_equal(high, element(want, 1));
            assert_true(fabs((double)fraction - json_number_value(json_array_get(want, 2))) < 1e-6);
            seen++;
        }
    }
    assert_int_equal(seen, 2 + 4 + 16 + 3 + 6);
    json_decref(root);
}

/* Which axis turns frequency i: a batch of three tokens, each with a position on one axis. */
static void worked_mrope_axes_agree(void **state) {
    (void)state;
    json_t *root = load("tests/data/vision-cases.json");
    const char *axes = json_string_value(member(root, "mrope_axis_of_frequency"));
    struct ew__model model = {0};
    struct ew__config config = {.n_rot = 64, .rope_theta = 1e7, .rope_sections = {11, 11, 10}};
    config.yarn =
        (struct ew__yarn){.factor = 1, .n_ctx_original = 1, .beta_fast = 32, .beta_slow = 1};
    model.config = &config;
    float inv_freq[33], cosine[3 * 32], sine[3 * 32];
    struct ew__workspace ws = {
        .model = &model, .inv_freq = inv_freq, .cosine = cosine, .sine = sine};
    const int32_t positions[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    const struct ew__batch batch = {.n_tokens = 3, .positions = positions};
    ew__rope_init(&ws);
    ew__rope_tables(&ws, &batch);
    assert_int_equal(strlen(axes), 32);
    for (size_t i = 0; i < 32; i++)
        for (size_t axis = 0; axis < 3; axis++)
            assert_true((sine[axis * 32 + i] != 0) == (axes[i] == "THW"[axis]));
    json_decref(root);
}

/* ---- refusals that the tables do not have ---- */

static void impossible_sizes_are_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t frames, height, width;
        uint64_t min, max;
        ew_status status;
    } cases[] = {
        {1, 0, 10, 65536, 16777216, EW_LIMIT},
        {1, 10, 0, 65536, 16777216, EW_LIMIT},
        {1, UINT32_MAX, UINT32_MAX, 65536, 16777216, EW_LIMIT},
        {1, 100, 20001, 65536, 16777216, EW_LIMIT},
        {1, 100, 100, 2, 1, EW_ARGUMENT},
        {1, 100, 100, 0, 0, EW_ARGUMENT},
        {1, 100, 100, 1, UINT64_MAX, EW_ARGUMENT},
        {0, 64, 64, 4096, 25165824, EW_LIMIT},
        {UINT32_MAX, 64, 64, 4096, 25165824, EW_LIMIT},
        {2, 31, 64, 4096, 25165824, EW_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ew__picture_size out, from = {cases[i].height, cases[i].width};
        struct ew__pixel_budget budget = {cases[i].min, cases[i].max};
        assert_int_equal(ew__video_size(cases[i].frames, from, budget, &out), cases[i].status);
        if (cases[i].frames == 1)
            assert_int_equal(ew__image_size(from, budget, &out), cases[i].status);
    }
    struct ew__picture_size out;
    must(ew__image_size((struct ew__picture_size){1, 1}, (struct ew__pixel_budget){0, 1024}, &out));
    assert_true(out.height == 32 && out.width == 32);
}

static void impossible_grids_are_refused(void **state) {
    (void)state;
    struct ew__grid grid;
    assert_int_equal(ew__grid_of(0, (struct ew__picture_size){32, 32}, &grid), EW_ARGUMENT);
    assert_int_equal(ew__grid_of(1, (struct ew__picture_size){33, 32}, &grid), EW_ARGUMENT);
    assert_int_equal(ew__grid_of(1, (struct ew__picture_size){32, 0}, &grid), EW_ARGUMENT);
    assert_int_equal(ew__grid_of(UINT32_MAX, (struct ew__picture_size){1u << 20, 1u << 20}, &grid),
                     EW_LIMIT);
    must(ew__grid_of(7, (struct ew__picture_size){64, 32}, &grid));
    assert_true(grid.t == 4 && grid.h == 4 && grid.w == 2);
}

static void mismatched_tokens_are_refused(void **state) {
    (void)state;
    const struct ew__grid image = {1, 4, 4}, odd = {1, 3, 4}, video = {2, 2, 4};
    const struct {
        uint8_t kinds[8];
        struct ew__media_grids grids;
        const char *sentence;
    } cases[] = {
        {{0, 1, 1, 1, 0, 0, 0, 0}, {&image, NULL, 1, 0}, "3 image tokens where a picture takes 4"},
        {{0, 1, 1, 1, 1, 1, 0, 0}, {&image, NULL, 1, 0}, "more image tokens"},
        {{0, 0, 0, 0, 0, 0, 0, 0}, {&image, NULL, 1, 0}, "fewer image tokens"},
        {{0, 2, 2, 0, 0, 0, 0, 0}, {NULL, &video, 0, 1}, "fewer video tokens"},
        {{0, 2, 2, 0, 0, 0, 0, 0}, {NULL, NULL, 0, 0}, "more video tokens"},
        {{0, 1, 1, 1, 0, 0, 0, 0}, {&odd, NULL, 1, 0}, "grid of 1 x 3 x 4"},
        {{0, 3, 0, 0, 0, 0, 0, 0}, {NULL, NULL, 0, 0}, "unknown kind 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ew__positions scan = {0};
        int32_t positions[8][3];
        ew_status status =
            ew__position_tokens(&scan, cases[i].kinds, 8, &cases[i].grids, positions);
        assert_int_equal(status, EW_ARGUMENT);
        if (strstr(ew_last_error(), cases[i].sentence) == NULL)
            fail_msg("\"%s\" is not \"%s\"", ew_last_error(), cases[i].sentence);
    }
    struct ew__positions full = {.n_tokens = EW__CONTEXT_MAX - 1, .next = 5};
    int32_t positions[2][3];
    assert_int_equal(ew__position_text(&full, 2, positions), EW_LIMIT);
    assert_int_equal(ew__position_picture(&full, UINT32_MAX, UINT32_MAX, positions), EW_LIMIT);
    must(ew__position_text(&full, 1, positions));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_sizes_agree),
        cmocka_unit_test(video_sizes_agree),
        cmocka_unit_test(patchify_agrees),
        cmocka_unit_test(worked_image_sizes_agree),
        cmocka_unit_test(worked_videos_agree),
        cmocka_unit_test(worked_positions_agree),
        cmocka_unit_test(worked_patch_order_agrees),
        cmocka_unit_test(worked_table_places_agree),
        cmocka_unit_test(worked_mrope_axes_agree),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(impossible_grids_are_refused),
        cmocka_unit_test(mismatched_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
