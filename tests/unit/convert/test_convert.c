// SPDX-License-Identifier: Apache-2.0
/* Folders -> GGUF: every tensor compared with a recomputation that shares no code with the room. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "edgewise/checkpoint.h"
#include "edgewise/edgewise.h"
#include "formats/gguf_read.h"
#include "model/checkpoint.h"
#include "quant/quant.h"
#include "support/temp_folder.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define GOLDENS "tests/data/goldens/"

static const char *const folders[] = {GOLDENS "tiny-text", GOLDENS "tiny-text-bf16",
                                      GOLDENS "tiny-text-untied", GOLDENS "tiny-vl",
                                      GOLDENS "tiny-mtp"};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

static void convert(const char *dir, const char *out, const char *type) {
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.type = type;
    if (ew_convert(dir, out, &options) != EW_OK)
        fail_msg("%s: %s", dir, ew_last_error());
}

static float *decode(const struct ew__tensor *tensor) {
    uint64_t n = ew__tensor_elements(tensor);
    float *values = malloc((size_t)n * sizeof *values);
    assert_true(ew__dequantize_row((ew__dtype)tensor->type, tensor->data, values, n));
    return values;
}

/* GGUF place of the checkpoint's value head k r + j: j n_k + k. */
static size_t tiled(const struct ew__config *c, size_t grouped) {
    size_t r = c->n_v_head / c->n_k_head;
    return grouped % r * c->n_k_head + grouped / r;
}

/* Moves blocks of `unit` values of `from`, one per head, to their tiled places in `to`. */
static void move_heads(const struct ew__config *c, const float *from, float *to, size_t unit) {
    for (size_t head = 0; head < c->n_v_head; head++)
        memcpy(to + tiled(c, head) * unit, from + head * unit, unit * sizeof *to);
}

/* What the role's values must be in the file, from the folder's. Freed with free(). */
static float *expected_values(const struct ew__config *c, ew__role role,
                              const struct ew__tensor *source) {
    size_t n = (size_t)ew__tensor_elements(source), columns = (size_t)source->dims[0];
    float *in = decode(source), *out = malloc(n * sizeof *out);
    size_t head = c->v_head_dim, before = 2 * (size_t)c->n_k_head * c->k_head_dim * columns;
    memcpy(out, in, n * sizeof *out);
    if (role == EW__DELTA_QKV || role == EW__DELTA_CONV)
        move_heads(c, in + before, out + before, head * columns);
    else if (role == EW__DELTA_Z)
        move_heads(c, in, out, head * columns);
    else if (role == EW__DELTA_A || role == EW__DELTA_B)
        move_heads(c, in, out, columns);
    else if (role == EW__DELTA_DECAY || role == EW__DELTA_DT_BIAS)
        move_heads(c, in, out, 1);
    else if (role == EW__DELTA_OUT)
        for (size_t row = 0; row < n / columns; row++)
            move_heads(c, in + row * columns, out + row * columns, head);
    bool centred = ew__roles[role].rank == 1 && strstr(ew__roles[role].hf, "norm") != NULL &&
                   role != EW__DELTA_NORM;
    for (size_t i = 0; i < n; i++)
        out[i] = centred ? out[i] + 1.0f : role == EW__DELTA_DECAY ? -expf(out[i]) : out[i];
    free(in);
    return out;
}

struct pair {
    struct ew__checkpoint hf, gguf;
    ew__dtype matrix_type;
    size_t compared;
};

static void compare_role(struct pair *pair, ew__role role, uint32_t layer) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    const struct ew__tensor *source = ew__checkpoint_tensor(&pair->hf, role, layer, NULL);
    const struct ew__tensor *result = ew__checkpoint_tensor(&pair->gguf, role, layer, name);
    if (source == NULL || result == NULL)
        fail_msg("%s is missing", name);
    uint64_t n = ew__tensor_elements(source), bytes, columns, rows;
    ew__role_shape(&pair->hf.config, role, &columns, &rows);
    bool is_vector = ew__roles[role].rank == 1;
    assert_int_equal(result->type, is_vector ? EW__F32 : pair->matrix_type);
    assert_int_equal(result->n_dims, is_vector && role != EW__DELTA_CONV ? 1 : 2);
    assert_int_equal(result->dims[0], columns);
    assert_int_equal(result->dims[1], rows);
    float *want = expected_values(&pair->hf.config, role, source);
    assert_true(ew__dtype_row_bytes((ew__dtype)result->type, n, &bytes));
    uint8_t *encoded = malloc((size_t)bytes);
    assert_true(ew__quantize_row((ew__dtype)result->type, want, encoded, n));
    assert_int_equal(result->bytes, bytes);
    if (memcmp(encoded, result->data, (size_t)bytes) != 0)
        fail_msg("%s has other values", name);
    free(encoded);
    free(want);
    pair->compared++;
}

static void compare_all(struct pair *pair) {
    const struct ew__config *c = &pair->hf.config;
    compare_role(pair, EW__TOKEN_EMBD, 0);
    compare_role(pair, EW__OUTPUT_NORM, 0);
    if (!c->tied)
        compare_role(pair, EW__OUTPUT, 0);
    for (uint32_t layer = 0; layer < c->n_layer + c->n_mtp; layer++)
        for (int role = 0; role < EW__ROLE_COUNT; role++)
            if (ew__role_in_layer(c, (ew__role)role, layer))
                compare_role(pair, (ew__role)role, layer);
    assert_int_equal(pair->compared, ew__gguf_tensor_count(pair->gguf.gguf));
}

static void compare_configs(const struct ew__config *a, const struct ew__config *b) {
    assert_int_equal(a->n_layer, b->n_layer);
    assert_int_equal(a->n_mtp, b->n_mtp);
    assert_int_equal(a->n_embd, b->n_embd);
    assert_int_equal(a->n_ff, b->n_ff);
    assert_int_equal(a->n_ctx_train, b->n_ctx_train);
    assert_int_equal(a->n_head, b->n_head);
    assert_int_equal(a->n_head_kv, b->n_head_kv);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->n_rot, b->n_rot);
    assert_memory_equal(a->rope_sections, b->rope_sections, sizeof a->rope_sections);
    assert_true(a->rope_theta == b->rope_theta && a->rms_eps == b->rms_eps);
    assert_int_equal(a->n_k_head, b->n_k_head);
    assert_int_equal(a->n_v_head, b->n_v_head);
    assert_int_equal(a->k_head_dim, b->k_head_dim);
    assert_int_equal(a->v_head_dim, b->v_head_dim);
    assert_memory_equal(a->is_full, b->is_full, a->n_layer);
}

static void check_conversion(const char *dir, const char *type, ew__dtype matrix_type) {
    struct temp_folder temp;
    struct pair *pair = calloc(1, sizeof *pair);
    temp_folder_make(&temp);
    convert(dir, temp_path(&temp, "m.gguf"), type);
    assert_int_equal(ew__checkpoint_open(dir, &pair->hf), EW_OK);
    assert_int_equal(ew__checkpoint_open(temp_path(&temp, "m.gguf"), &pair->gguf), EW_OK);
    compare_configs(&pair->hf.config, &pair->gguf.config);
    pair->matrix_type = matrix_type;
    compare_all(pair);
    ew__checkpoint_close(&pair->hf);
    ew__checkpoint_close(&pair->gguf);
    free(pair);
    temp_folder_remove(&temp);
}

static void every_tensor_is_as_recomputed(void **state) {
    (void)state;
    for (size_t i = 0; i < FOLDERS; i++) {
        check_conversion(folders[i], "f32", EW__F32);
        check_conversion(folders[i], "f16", EW__F16);
        check_conversion(folders[i], "Q8_0", EW__Q8_0);
    }
    check_conversion(GOLDENS "tiny-text-bf16", NULL, EW__BF16); // the checkpoint's own type
    check_conversion(GOLDENS "tiny-text", NULL, EW__F32);
}

/* ---- logits ---- */

static float *logits_of(const char *path, size_t *n_vocab) {
    static const int32_t ids[] = {1, 5, 77, 200, 3, 9, 450, 12, 0, 511, 42};
    ew_model *model = NULL;
    ew_session *session = NULL;
    ew_model_options options = EW_INIT(ew_model_options);
    options.exact = true; // packed F32 does not exist, and packed BF16 adds in an order of its own
    if (ew_model_load(path, &options, &model) != EW_OK ||
        ew_session_new(model, NULL, &session) != EW_OK)
        fail_msg("%s", ew_last_error());
    ew_model_info info = EW_INIT(ew_model_info);
    assert_int_equal(ew_model_get_info(model, &info), EW_OK);
    assert_int_equal(ew_session_eval(session, ids, sizeof ids / sizeof ids[0]), EW_OK);
    float *logits = malloc(info.n_vocab * sizeof *logits);
    memcpy(logits, ew_session_logits(session), info.n_vocab * sizeof *logits);
    *n_vocab = info.n_vocab;
    ew_session_free(session);
    ew_model_free(model);
    return logits;
}

static void f32_gives_the_folders_logits_bit_for_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < FOLDERS; i++) {
        struct temp_folder temp;
        size_t n, m;
        temp_folder_make(&temp);
        convert(folders[i], temp_path(&temp, "m.gguf"), "f32");
        float *from_folder = logits_of(folders[i], &n);
        float *from_file = logits_of(temp_path(&temp, "m.gguf"), &m);
        assert_int_equal(n, m);
        assert_memory_equal(from_folder, from_file, n * sizeof *from_file);
        free(from_folder);
        free(from_file);
        temp_folder_remove(&temp);
    }
}

/* ---- vision ---- */

static const struct ew__tensor *need(const struct ew__gguf *gguf, const char *name) {
    const struct ew__tensor *tensor = ew__gguf_tensor(gguf, ew__str(name));
    if (tensor == NULL)
        fail_msg("%s is missing", name);
    return tensor;
}

static void compare_plain(const struct ew__gguf *gguf, const struct ew__checkpoint *hf,
                          const char *name, const char *source_name) {
    const struct ew__tensor *result = need(gguf, name);
    const struct ew__tensor *source = ew__safetensors_tensor(hf->hf.tensors, ew__str(source_name));
    assert_non_null(source);
    assert_int_equal(result->type, EW__F32);
    assert_int_equal(result->n_dims, source->n_dims);
    assert_memory_equal(result->dims, source->dims, sizeof result->dims[0] * 2);
    assert_int_equal(result->bytes, source->bytes);
    assert_memory_equal(result->data, source->data, (size_t)source->bytes);
}

static void compare_vision_blocks(const struct ew__gguf *gguf, const struct ew__checkpoint *hf) {
    static const char *const names[][2] = {{"ln1", "norm1"},
                                           {"ln2", "norm2"},
                                           {"attn_qkv", "attn.qkv"},
                                           {"attn_out", "attn.proj"},
                                           {"ffn_up", "mlp.linear_fc1"},
                                           {"ffn_down", "mlp.linear_fc2"}};
    for (unsigned block = 0; block < 3; block++)
        for (size_t i = 0; i < 12; i++) {
            char name[96], source[96];
            const char *part = i % 2 ? "bias" : "weight";
            snprintf(name, sizeof name, "v.blk.%u.%s.%s", block, names[i / 2][0], part);
            snprintf(source, sizeof source, "model.visual.blocks.%u.%s.%s", block, names[i / 2][1],
                     part);
            compare_plain(gguf, hf, name, source);
        }
}

/* Time slice t of the kernel [h][3][2][16][16] as [h][3][16][16]. */
static void compare_patch_kernel(const struct ew__gguf *gguf, const struct ew__checkpoint *hf) {
    const struct ew__tensor *source =
        ew__safetensors_tensor(hf->hf.tensors, ew__str("model.visual.patch_embed.proj.weight"));
    float *from = decode(source);
    for (size_t t = 0; t < 2; t++) {
        const struct ew__tensor *slice =
            need(gguf, t == 0 ? "v.patch_embd.weight" : "v.patch_embd.weight.1");
        const uint64_t dims[4] = {16, 16, 3, 48};
        assert_int_equal(slice->n_dims, 4);
        assert_memory_equal(slice->dims, dims, sizeof dims);
        float *values = decode(slice);
        for (size_t out = 0; out < 48; out++)
            for (size_t channel = 0; channel < 3; channel++)
                for (size_t p = 0; p < 256; p++)
                    assert_true(values[(out * 3 + channel) * 256 + p] ==
                                from[((out * 3 + channel) * 2 + t) * 256 + p]);
        free(values);
    }
    free(from);
}

static void vision_tower_becomes_an_mmproj_file(void **state) {
    (void)state;
    struct temp_folder temp;
    struct ew__gguf *gguf;
    struct ew__checkpoint *hf = calloc(1, sizeof *hf);
    struct ew__str text = ew__str("");
    uint32_t number = 0;
    temp_folder_make(&temp);
    convert(GOLDENS "tiny-vl", temp_path(&temp, "m.gguf"), "f32");
    assert_int_equal(temp_folder_count(&temp), 2);
    assert_int_equal(ew__gguf_open(temp_path(&temp, "mmproj-m.gguf"), &gguf), EW_OK);
    assert_int_equal(ew__checkpoint_open(GOLDENS "tiny-vl", hf), EW_OK);
    assert_int_equal(ew__gguf_str(gguf, "clip.projector_type", &text), EW_OK);
    assert_true(ew__str_is(text, "qwen3vl_merger"));
    assert_int_equal(ew__gguf_u32(gguf, "clip.vision.image_size", 0, 9999, &number), EW_OK);
    assert_int_equal(number, 8 * 16);
    compare_vision_blocks(gguf, hf);
    compare_patch_kernel(gguf, hf);
    compare_plain(gguf, hf, "v.patch_embd.bias", "model.visual.patch_embed.proj.bias");
    compare_plain(gguf, hf, "v.position_embd.weight", "model.visual.pos_embed.weight");
    compare_plain(gguf, hf, "v.post_ln.weight", "model.visual.merger.norm.weight");
    compare_plain(gguf, hf, "mm.0.weight", "model.visual.merger.linear_fc1.weight");
    compare_plain(gguf, hf, "mm.2.bias", "model.visual.merger.linear_fc2.bias");
    assert_int_equal(ew__gguf_tensor_count(gguf), 4 + 3 * 12 + 6);
    ew__gguf_close(gguf);
    ew__checkpoint_close(hf);
    free(hf);
    temp_folder_remove(&temp);
}

/* Rows of 48 are no whole blocks of Q8_0: those matrices are F16; rows of 96 are not. */
static void vision_rows_without_whole_blocks_fall_back(void **state) {
    (void)state;
    struct temp_folder temp;
    struct ew__gguf *gguf;
    temp_folder_make(&temp);
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.type = "q8_0";
    options.mmproj = temp_path(&temp, "eyes.gguf");
    assert_int_equal(ew_convert(GOLDENS "tiny-vl", temp_path(&temp, "m.gguf"), &options), EW_OK);
    assert_int_equal(ew__gguf_open(options.mmproj, &gguf), EW_OK);
    assert_int_equal(need(gguf, "v.blk.0.attn_qkv.weight")->type, EW__F16);
    assert_int_equal(need(gguf, "v.blk.0.ffn_down.weight")->type, EW__Q8_0);
    assert_int_equal(need(gguf, "v.patch_embd.weight")->type, EW__F32);
    assert_int_equal(need(gguf, "v.blk.0.ln1.weight")->type, EW__F32);
    ew__gguf_close(gguf);
    temp_folder_remove(&temp);
}

static void an_empty_mmproj_name_leaves_the_tower_out(void **state) {
    (void)state;
    struct temp_folder temp;
    temp_folder_make(&temp);
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.mmproj = "";
    assert_int_equal(ew_convert(GOLDENS "tiny-vl", temp_path(&temp, "m.gguf"), &options), EW_OK);
    assert_int_equal(temp_folder_count(&temp), 1);
    temp_folder_remove(&temp);
}

/* ---- failures ---- */

static void expect_failure(const char *dir, const char *out, const char *type, ew_status status,
                           const char *words) {
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.type = type;
    assert_int_equal(ew_convert(dir, out, &options), status);
    if (strstr(ew_last_error(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", ew_last_error(), words);
}

/* Allocations that opening the folder takes. Their failures are the business of the rooms below;
 * and the JSON library stops the program at some of them. */
static uint64_t allocations_of_opening(const char *dir) {
    struct ew__checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    uint64_t before = ew__mem_count();
    assert_int_equal(ew__checkpoint_open(dir, checkpoint), EW_OK);
    uint64_t count = ew__mem_count() - before;
    ew__checkpoint_close(checkpoint);
    free(checkpoint);
    return count;
}

static void every_failing_allocation_leaves_no_file(void **state) {
    (void)state;
    struct temp_folder temp;
    char out[600];
    ew_convert_options options = EW_INIT(ew_convert_options);
    uint64_t first = allocations_of_opening(GOLDENS "tiny-mtp") + 2, n = first;
    ew_status status = EW_NO_MEMORY;
    temp_folder_make(&temp);
    snprintf(out, sizeof out, "%s/m.gguf", temp.path);
    options.type = "q8_0";
    for (; status != EW_OK && n < first + 10000; n++) {
        ew__mem_fail_at(n);
        status = ew_convert(GOLDENS "tiny-mtp", out, &options);
        ew__mem_fail_at(0);
        if (status != EW_OK && status != EW_NO_MEMORY)
            fail_msg("allocation %u: %s", (unsigned)n, ew_last_error());
        assert_int_equal(temp_folder_count(&temp), status == EW_OK ? 2 : 0);
    }
    assert_int_equal(status, EW_OK);
    assert_true(n > first + 300); // three for each of the tensors, and the metadata
    temp_folder_remove(&temp);
}

static void a_full_disk_leaves_no_file(void **state) {
    (void)state;
    struct temp_folder temp;
    struct rlimit before, small;
    temp_folder_make(&temp);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 300000; // the model takes 1.2 MB
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ew_status status = ew_convert(GOLDENS "tiny-mtp", temp_path(&temp, "m.gguf"), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, EW_IO);
    assert_non_null(strstr(ew_last_error(), "m.gguf"));
    assert_int_equal(temp_folder_count(&temp), 0);
    temp_folder_remove(&temp);
}

static bool stop_half_way(void *context, uint64_t done, uint64_t total) {
    int *calls = context;
    ++*calls;
    assert_true(done <= total && total > 1000000);
    return false;
}

static void stopping_leaves_no_file(void **state) {
    (void)state;
    struct temp_folder temp;
    int calls = 0;
    temp_folder_make(&temp);
    ew_convert_options options = EW_INIT(ew_convert_options);
    options.progress = stop_half_way;
    options.progress_context = &calls;
    assert_int_equal(ew_convert(GOLDENS "tiny-vl", temp_path(&temp, "m.gguf"), &options),
                     EW_CANCELLED);
    assert_int_equal(calls, 1);
    assert_int_equal(temp_folder_count(&temp), 0);
    temp_folder_remove(&temp);
}

static void bad_arguments_are_one_sentence(void **state) {
    (void)state;
    expect_failure(GOLDENS "tiny-text", "/nonexistent/m.gguf", "f32", EW_IO, "/nonexistent/");
    expect_failure(GOLDENS "tiny-text", "/tmp/m.gguf", "q4_k_m", EW_ARGUMENT, "q4_k_m");
    expect_failure(GOLDENS "tiny-text", "/tmp/m.gguf", "i32", EW_ARGUMENT, "i32");
    expect_failure(GOLDENS "tiny-text/model.safetensors", "/tmp/m.gguf", NULL, EW_ARGUMENT,
                   "only checkpoint folders");
    expect_failure(GOLDENS "absent", "/tmp/m.gguf", NULL, EW_ARGUMENT, "absent");
    expect_failure(GOLDENS "tiny-text", "", NULL, EW_ARGUMENT, "name of a file");
}

/* tiny-text with the bytes of one value of its embedding replaced, and a changed config.json. */
static void make_variant(const struct temp_folder *temp, const float *value, const char *from,
                         const char *to) {
    struct ew__buf file;
    assert_int_equal(ew__file_read(GOLDENS "tiny-text/model.safetensors", 1 << 24, &file), EW_OK);
    struct ew__safetensors *set;
    assert_int_equal(ew__safetensors_open_bytes(file.bytes, file.n, &set), EW_OK);
    const struct ew__tensor *embd =
        ew__safetensors_tensor(set, ew__str("model.language_model.embed_tokens.weight"));
    size_t at = (size_t)(embd->data - (const uint8_t *)file.bytes) + 4 * (64 * 7 + 3);
    ew__safetensors_close(set);
    if (value != NULL)
        memcpy(file.bytes + at, value, sizeof *value);
    temp_write(temp, "model.safetensors", file.bytes, file.n);
    ew__buf_release(&file);
    assert_int_equal(ew__file_read(GOLDENS "tiny-text/config.json", 1 << 20, &file), EW_OK);
    char *place = strstr(file.bytes, from);
    assert_non_null(place);
    struct ew__buf changed;
    ew__buf_init(&changed, 1 << 20);
    (void)ew__buf_add(&changed, file.bytes, (size_t)(place - file.bytes));
    (void)ew__buf_add_text(&changed, to);
    (void)ew__buf_add_text(&changed, place + strlen(from));
    temp_write(temp, "config.json", changed.bytes, changed.n);
    ew__buf_release(&changed);
    ew__buf_release(&file);
}

static void values_that_cannot_be_kept_are_refused(void **state) {
    (void)state;
    struct temp_folder temp, out;
    const float nan_value = NAN, large = 1e6f;
    temp_folder_make(&temp);
    temp_folder_make(&out);
    make_variant(&temp, &nan_value, "\"dtype\"", "\"dtype\"");
    expect_failure(temp.path, temp_path(&out, "m.gguf"), "f32", EW_FORMAT,
                   "embed_tokens.weight\" holds a NaN or infinity in row 7");
    make_variant(&temp, &large, "\"dtype\"", "\"dtype\"");
    expect_failure(temp.path, temp_path(&out, "m.gguf"), "f16", EW_FORMAT,
                   "values in row 7 that F16 cannot hold");
    assert_int_equal(temp_folder_count(&out), 0);
    convert(temp.path, temp_path(&out, "m.gguf"), "f32");
    temp_folder_remove(&temp);
    temp_folder_remove(&out);
}

static void configurations_that_do_not_fit_are_refused(void **state) {
    (void)state;
    struct temp_folder temp, out;
    temp_folder_make(&temp);
    temp_folder_make(&out);
    const char *file = temp_path(&out, "m.gguf");
    make_variant(&temp, NULL, "\"intermediate_size\": 128", "\"intermediate_size\": 96");
    expect_failure(temp.path, file, "f32", EW_FORMAT, "mlp.gate_proj.weight");
    make_variant(&temp, NULL, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    expect_failure(temp.path, file, "f32", EW_FORMAT, "\"lm_head.weight\" is missing");
    make_variant(&temp, NULL, "qwen3_5_text", "llama");
    expect_failure(temp.path, file, "f32", EW_UNSUPPORTED, "llama");
    assert_int_equal(temp_folder_count(&out), 0);
    /* An announced MTP block that is not there is left out. */
    make_variant(&temp, NULL, "\"mtp_num_hidden_layers\": 0", "\"mtp_num_hidden_layers\": 1");
    convert(temp.path, file, "f32");
    struct ew__gguf *gguf;
    uint32_t blocks = 0;
    assert_int_equal(ew__gguf_open(file, &gguf), EW_OK);
    assert_int_equal(ew__gguf_u32(gguf, "qwen35.block_count", 0, 99, &blocks), EW_OK);
    assert_int_equal(blocks, 8);
    assert_null(ew__gguf_find(gguf, "qwen35.nextn_predict_layers"));
    ew__gguf_close(gguf);
    temp_folder_remove(&temp);
    temp_folder_remove(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_is_as_recomputed),
        cmocka_unit_test(f32_gives_the_folders_logits_bit_for_bit),
        cmocka_unit_test(vision_tower_becomes_an_mmproj_file),
        cmocka_unit_test(vision_rows_without_whole_blocks_fall_back),
        cmocka_unit_test(an_empty_mmproj_name_leaves_the_tower_out),
        cmocka_unit_test(every_failing_allocation_leaves_no_file),
        cmocka_unit_test(a_full_disk_leaves_no_file),
        cmocka_unit_test(stopping_leaves_no_file),
        cmocka_unit_test(bad_arguments_are_one_sentence),
        cmocka_unit_test(values_that_cannot_be_kept_are_refused),
        cmocka_unit_test(configurations_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
