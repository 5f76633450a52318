// SPDX-License-Identifier: Apache-2.0
/* The vision tower below the reference data: attention over many keys against plain sums, towers
 * that cannot be, lost memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "edgewise/checkpoint.h"
#include "formats/gguf_write.h"
#include "model/vision_pass.h"
#include "support/temp_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/data/goldens/tiny-vl"

static struct temp_folder temp;

static void must(ew_status status) {
    if (status != EW_OK)
        fail_msg("%s", ew_last_error());
}

static void assert_says(const char *what, const char *sentence) {
    if (strstr(ew_last_error(), sentence) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", what, ew_last_error(), sentence);
}

/* ---- attention ---- */

enum { n_frames = 2, n_keys = 530, head_dim = 12, n_heads = 2, n_patches = n_frames * n_keys };

static float *random_floats(size_t n, uint32_t seed) {
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return values;
}

static const float *row(const float *all, size_t part, size_t head, size_t patch) {
    return all + ((part * n_heads + head) * n_patches + patch) * head_dim;
}

/* softmax(q . k) v over the keys of the frame, in double. */
static void plain_attention(const float *all, size_t head, size_t patch, double out[head_dim]) {
    double scores[n_keys], sum = 0;
    size_t first = patch / n_keys * n_keys;
    for (size_t j = 0; j < n_keys; j++) {
        double score = 0;
        for (size_t d = 0; d < head_dim; d++)
            score += (double)row(all, 0, head, patch)[d] * (double)row(all, 1, head, first + j)[d];
        sum += scores[j] = exp(score);
    }
    for (size_t d = 0; d < head_dim; d++) {
        out[d] = 0;
        for (size_t j = 0; j < n_keys; j++)
            out[d] += scores[j] / sum * (double)row(all, 2, head, first + j)[d];
    }
}

/* 530 keys: two whole spans and a rest; 530 queries: no whole number of groups. */
static void attention_is_a_softmax_over_the_frame(void **state) {
    (void)state;
    for (size_t isa = 0; isa < ew__kernels_isa_count(); isa++) {
        struct ew__vision vision = {.shape = {.n_embd = n_heads * head_dim, .n_head = n_heads}};
        vision.kernels = ew__kernels_select(ew__kernels_isa_name(isa));
        struct ew__vision_pass pass = {
            .vision = &vision, .frame = n_keys, .frames = n_frames, .n = n_patches};
        pass.heads = random_floats((size_t)3 * n_heads * n_patches * head_dim, 7);
        pass.mixed = calloc((size_t)n_patches * n_heads * head_dim, sizeof *pass.mixed);
        must(ew__pool_new(2, ew__vision_attention_scratch_bytes(&vision), &pass.pool));
        ew__vision_attend(&pass);
        for (size_t patch = 0; patch < n_patches; patch += 7)
            for (size_t head = 0; head < n_heads; head++) {
                double want[head_dim];
                plain_attention(pass.heads, head, patch, want);
                for (size_t d = 0; d < head_dim; d++) {
                    float got = pass.mixed[(patch * n_heads + head) * head_dim + d];
                    assert_true(fabs((double)got - want[d]) < 1e-5);
                }
            }
        ew__pool_free(pass.pool);
        free(pass.heads), free(pass.mixed);
    }
}

/* ---- folders that cannot be ---- */

struct broken_config {
    const char *key, *value; /* JSON; NULL removes the key */
    ew_status status;
    const char *sentence;
};

static const struct broken_config broken_configs[] = {
    {"depth", NULL, EW_FORMAT, "\"depth\" is missing"},
    {"depth", "0", EW_FORMAT, "number of blocks is 0"},
    {"depth", "4", EW_FORMAT, "tensor \"model.visual.blocks.3.norm1.weight\" is missing"},
    {"depth", "4000000000", EW_FORMAT, "number of blocks is 4000000000"},
    {"depth", "-1", EW_FORMAT, "\"depth\""},
    {"depth", "\"3\"", EW_FORMAT, "\"depth\""},
    {"hidden_size", "50", EW_FORMAT, "cannot have 4 heads"},
    {"hidden_size", "4294967295", EW_FORMAT, "hidden size is 4294967295"},
    {"hidden_size", "64", EW_FORMAT, "patch_embed.proj.weight\" has shape [48, 1536]"},
    {"num_heads", "0", EW_FORMAT, "number of heads is 0"},
    {"num_heads", "5", EW_FORMAT, "cannot have 5 heads"},
    {"num_heads", "24", EW_FORMAT, "multiple of 4"},
    {"intermediate_size", "97", EW_FORMAT, "linear_fc1.weight\" has shape [96, 48]"},
    {"out_hidden_size", "65", EW_FORMAT, "merger.linear_fc2.weight\" has shape [64, 192]"},
    {"num_position_embeddings", "63", EW_UNSUPPORTED, "63 vision positions"},
    {"num_position_embeddings", "81", EW_FORMAT, "pos_embed.weight\" has shape [64, 48]"},
    {"num_position_embeddings", "0", EW_FORMAT, "side of the position table is 0"},
    {"num_position_embeddings", "4294967295", EW_UNSUPPORTED, "no square table"},
    {"patch_size", "14", EW_UNSUPPORTED, "2 x 14 x 14"},
    {"temporal_patch_size", "1", EW_UNSUPPORTED, "1 x 16 x 16"},
    {"spatial_merge_size", "3", EW_UNSUPPORTED, "merge 3"},
    {"in_channels", "1", EW_UNSUPPORTED, "1 channels"},
    {"hidden_act", "\"silu\"", EW_UNSUPPORTED, "activation \"silu\""},
    {"deepstack_visual_indexes", "[1]", EW_UNSUPPORTED, "deep-stack"},
};

static void broken_configs_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken_configs / sizeof broken_configs[0]; i++) {
        const struct broken_config *c = &broken_configs[i];
        struct ew__hf_folder hf;
        struct ew__vision vision;
        must(ew__hf_folder_open(FOLDER, &hf));
        json_t *config = json_object_get(hf.config, "vision_config");
        if (c->value == NULL)
            json_object_del(config, c->key);
        else
            json_object_set_new(config, c->key, json_loads(c->value, JSON_DECODE_ANY, NULL));
        ew_status status = ew__vision_bind(&(struct ew__vision_source){.hf = &hf},
                                           ew__kernels_select("scalar"), &vision);
        assert_says(c->key, c->sentence);
        assert_int_equal(status, c->status);
        ew__hf_folder_close(&hf);
    }
}

/* ---- tensors that are missing or wrong, in both containers ---- */

struct broken_tensor {
    const char *name;
    bool left_out;
    ew__dtype type; /* when not left out: the tensor's new type and shape */
    uint32_t n_dims;
    uint64_t dims[5];
    ew_status status;
    const char *sentence;
};

#define V "model.visual."

static const struct broken_tensor folder_tensors[] = {
    {V "patch_embed.proj.weight", .left_out = true, .status = EW_NOT_FOUND,
     .sentence = "no vision tower"},
    {V "patch_embed.proj.weight",
     false,
     EW__F32,
     5,
     {2, 16, 16, 3, 48},
     EW_UNSUPPORTED,
     "ends in 16 x 2"},
    {V "patch_embed.proj.bias", false, EW__F32, 1, {47}, EW_FORMAT, "shape [1, 47]"},
    {V "pos_embed.weight", .left_out = true, .status = EW_FORMAT,
     .sentence = "\"model.visual.pos_embed.weight\" is missing"},
    {V "blocks.1.norm2.bias", .left_out = true, .status = EW_FORMAT,
     .sentence = "\"model.visual.blocks.1.norm2.bias\" is missing"},
    {V "blocks.0.attn.qkv.weight",
     false,
     EW__F32,
     2,
     {144, 48},
     EW_FORMAT,
     "shape [48, 144], the metadata asks for [144, 48]"},
    {V "blocks.2.mlp.linear_fc2.weight", false, EW__F32, 2, {96, 0}, EW_FORMAT, "shape [0, 0]"},
    {V "blocks.2.attn.proj.bias", false, EW__I32, 1, {48}, EW_UNSUPPORTED, "has type I32"},
    {V "merger.norm.weight", false, EW__F32, 1, {192}, EW_FORMAT, "shape [1, 192]"},
    {V "merger.linear_fc2.bias", .left_out = true, .status = EW_FORMAT, .sentence = "is missing"},
};

static const struct broken_tensor file_tensors[] = {
    {"v.patch_embd.weight", .left_out = true, .status = EW_NOT_FOUND,
     .sentence = "no vision tower"},
    {"v.patch_embd.weight.1", .left_out = true, .status = EW_FORMAT,
     .sentence = "\"v.patch_embd.weight.1\" is missing"},
    {"v.patch_embd.weight.1", false, EW__F32, 4, {3, 16, 16, 48}, EW_UNSUPPORTED, "ends in 16 x 3"},
    {"v.position_embd.weight", false, EW__F32, 2, {48, 63}, EW_FORMAT, "shape [63, 48]"},
    {"v.blk.1.ln2.bias", .left_out = true, .status = EW_FORMAT,
     .sentence = "\"v.blk.1.ln2.bias\" is missing"},
    {"v.blk.0.attn_qkv.weight", false, EW__F32, 2, {144, 48}, EW_FORMAT, "shape [48, 144]"},
    {"v.blk.0.attn_out.bias", false, EW__I32, 1, {48}, EW_UNSUPPORTED, "has type I32"},
    {"v.post_ln.bias", .left_out = true, .status = EW_FORMAT, .sentence = "is missing"},
    {"mm.2.weight", false, EW__F16, 2, {96, 64}, EW_FORMAT, "shape [64, 96]"},
};

static uint64_t bytes_of(ew__dtype type, uint32_t n_dims, const uint64_t *dims) {
    uint64_t n = ew__dtype_info(type)->block_bytes;
    for (uint32_t i = 0; i < n_dims; i++)
        n *= dims[i];
    return n;
}

/* A tensor as the edit wants it; false when it is left out. */
static bool edited(const struct ew__tensor *t, const struct broken_tensor *edit,
                   struct ew__tensor *out) {
    static const uint8_t zeros[1 << 20];
    *out = *t;
    if (!ew__str_is(t->name, edit->name))
        return true;
    if (edit->left_out)
        return false;
    out->type = edit->type;
    out->n_dims = edit->n_dims;
    memcpy(out->dims, edit->dims, sizeof edit->dims);
    out->bytes = bytes_of(edit->type, edit->n_dims, edit->dims);
    out->data = zeros;
    assert_true(out->bytes <= sizeof zeros);
    return true;
}

static void write_folder_tensors(const struct ew__safetensors *from, const char *path,
                                 const struct broken_tensor *edit) {
    struct ew__safetensors_writer *writer;
    struct ew__tensor t;
    must(ew__safetensors_writer_new(&writer));
    size_t n = ew__safetensors_tensor_count(from), found = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ew__tensor *original = ew__safetensors_tensor_at(from, i, NULL);
        found += ew__str_is(original->name, edit->name);
        if (ew__str_starts(original->name, V) && edited(original, edit, &t))
            must(ew__safetensors_add_tensor(writer, t.name, (ew__dtype)t.type, t.n_dims, t.dims));
    }
    assert_int_equal(found, 1);
    must(ew__safetensors_begin(writer, path));
    for (size_t i = 0; i < n; i++) {
        const struct ew__tensor *original = ew__safetensors_tensor_at(from, i, NULL);
        if (ew__str_starts(original->name, V) && edited(original, edit, &t))
            must(ew__safetensors_write(writer, t.data, (size_t)t.bytes));
    }
    must(ew__safetensors_commit(writer));
    ew__safetensors_writer_free(writer);
}

static void broken_folders_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof folder_tensors / sizeof folder_tensors[0]; i++) {
        const struct broken_tensor *edit = &folder_tensors[i];
        const char *path = temp_path(&temp, "model.safetensors");
        struct ew__hf_folder hf;
        struct ew__vision vision;
        must(ew__hf_folder_open(FOLDER, &hf));
        write_folder_tensors(hf.tensors, path, edit);
        ew__safetensors_close(hf.tensors);
        hf.tensors = NULL;
        must(ew__safetensors_open(path, &hf.tensors));
        ew_status status = ew__vision_bind(&(struct ew__vision_source){.hf = &hf},
                                           ew__kernels_select("scalar"), &vision);
        assert_says(edit->name, edit->sentence);
        assert_int_equal(status, edit->status);
        ew__hf_folder_close(&hf);
    }
}

/* ---- towers under the names and in the layout of MLX ---- */

/* [48][3][2][16][16] -> [48][2][16][16][3] */
static void to_channels_last(const float *in, float *out) {
    for (size_t row = 0; row < 48; row++)
        for (size_t channel = 0; channel < 3; channel++)
            for (size_t at = 0; at < 512; at++)
                out[(row * 512 + at) * 3 + channel] = in[(row * 3 + channel) * 512 + at];
}

static struct ew__tensor mlx_tensor(const struct ew__tensor *t, char name[256], float *kernel) {
    struct ew__tensor out = *t;
    snprintf(name, 256, "vision_tower.%.*s", (int)(t->name.n - strlen(V)),
             t->name.bytes + strlen(V));
    out.name = ew__str(name);
    if (t->n_dims == 5) {
        const uint64_t dims[5] = {3, 16, 16, 2, 48};
        memcpy(out.dims, dims, sizeof dims);
        to_channels_last((const float *)(const void *)t->data, kernel);
        out.data = (const uint8_t *)kernel;
    }
    return out;
}

static void write_mlx_tower(const struct ew__safetensors *from, const char *path) {
    static float kernel[48 * 1536];
    struct ew__safetensors_writer *writer;
    char name[256];
    must(ew__safetensors_writer_new(&writer));
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            must(ew__safetensors_begin(writer, path));
        for (size_t i = 0; i < ew__safetensors_tensor_count(from); i++) {
            const struct ew__tensor *original = ew__safetensors_tensor_at(from, i, NULL);
            if (!ew__str_starts(original->name, V))
                continue;
            struct ew__tensor t = mlx_tensor(original, name, kernel);
            must(pass == 0 ? ew__safetensors_add_tensor(writer, t.name, (ew__dtype)t.type, t.n_dims,
                                                        t.dims)
                           : ew__safetensors_write(writer, t.data, (size_t)t.bytes));
        }
    }
    must(ew__safetensors_commit(writer));
    ew__safetensors_writer_free(writer);
}

static void mlx_towers_give_the_same_rows(void **state) {
    (void)state;
    enum { tokens = 4, width = 64 };
    const char *path = temp_path(&temp, "model.safetensors");
    struct ew__hf_folder hf;
    struct ew__vision vision;
    struct ew__pool *pool;
    float features[2][tokens * width] = {{0}};
    float *patches = random_floats(16 * EW__PATCH_VALUES, 5);
    must(ew__hf_folder_open(FOLDER, &hf));
    for (int mlx = 0; mlx < 2; mlx++) {
        if (mlx == 1) {
            write_mlx_tower(hf.tensors, path);
            ew__safetensors_close(hf.tensors);
            hf.tensors = NULL;
            must(ew__safetensors_open(path, &hf.tensors));
        }
        must(ew__vision_bind(&(struct ew__vision_source){.hf = &hf}, ew__kernels_select("scalar"),
                             &vision));
        must(ew__pool_new(1, ew__vision_scratch_bytes(&vision), &pool));
        const struct ew__vision_input input = {.patches = patches, .grid = {1, 4, 4}};
        must(ew__vision_forward(&vision, pool, &input, features[mlx]));
        ew__pool_free(pool);
        ew__vision_close(&vision);
    }
    assert_memory_equal(features[0], features[1], sizeof features[0]);
    assert_true(features[0][0] != 0);
    ew__hf_folder_close(&hf);
    free(patches);
}

/* ---- mmproj files ---- */

/* Another value of a key: a number, or text where `text` is set; neither removes the key. */
struct broken_key {
    const char *key, *text;
    bool is_number;
    uint32_t number;
    ew_status status;
    const char *sentence;
};

static const struct broken_key file_keys[] = {
    {"clip.projector_type", "mlp", false, 0, EW_UNSUPPORTED, "projector \"mlp\""},
    {"clip.vision.block_count", NULL, false, 0, EW_FORMAT, "lacks \"clip.vision.block_count\""},
    {"clip.vision.block_count", NULL, true, 4, EW_FORMAT, "\"v.blk.3.ln1.weight\" is missing"},
    {"clip.vision.block_count", NULL, true, UINT32_MAX, EW_FORMAT, "number of blocks"},
    {"clip.vision.embedding_length", NULL, true, 1u << 30, EW_FORMAT, "hidden size"},
    {"clip.vision.embedding_length", "wide", false, 0, EW_FORMAT, "embedding_length"},
    {"clip.vision.attention.head_count", NULL, true, 0, EW_FORMAT, "number of heads is 0"},
    {"clip.vision.feed_forward_length", NULL, false, 0, EW_FORMAT, "lacks"},
    {"clip.vision.projection_dim", NULL, true, 63, EW_FORMAT, "\"mm.2.weight\" has shape"},
    {"clip.vision.image_size", NULL, true, UINT32_MAX, EW_FORMAT, "side of the position table"},
    {"clip.vision.image_size", NULL, true, 15, EW_FORMAT, "side of the position table is 0"},
    {"clip.vision.patch_size", NULL, true, 14, EW_UNSUPPORTED, "2 x 14 x 14"},
    {"clip.vision.spatial_merge_size", NULL, true, 1, EW_UNSUPPORTED, "merge 1"},
    {"clip.vision.is_deepstack_layers", NULL, true, 1, EW_UNSUPPORTED, "deep-stack"},
    {"clip.vision.is_deepstack_layers", "no", false, 0, EW_FORMAT, "must hold booleans"},
};

static void add_key(struct ew__gguf_writer *writer, const struct ew__gguf_kv *kv,
                    const struct broken_key *edit) {
    if (edit == NULL || !ew__str_is(kv->key, edit->key))
        must(ew__gguf_add_kv(writer, kv));
    else if (edit->is_number)
        must(ew__gguf_add_u32(writer, edit->key, edit->number));
    else if (edit->text != NULL)
        must(ew__gguf_add_str(writer, edit->key, ew__str(edit->text)));
}

static void write_file(const struct ew__gguf *from, const char *path, const struct broken_key *key,
                       const struct broken_tensor *tensor) {
    static const struct broken_tensor none = {.name = ""};
    struct ew__gguf_writer *writer;
    struct ew__tensor t;
    tensor = tensor != NULL ? tensor : &none;
    must(ew__gguf_writer_new(&writer));
    for (size_t i = 0; i < ew__gguf_kv_count(from); i++)
        add_key(writer, ew__gguf_kv_at(from, i), key);
    for (size_t i = 0; i < ew__gguf_tensor_count(from); i++)
        if (edited(ew__gguf_tensor_at(from, i), tensor, &t))
            must(ew__gguf_add_tensor(writer, t.name, (ew__dtype)t.type, t.n_dims, t.dims));
    must(ew__gguf_begin(writer, path));
    for (size_t i = 0; i < ew__gguf_tensor_count(from); i++)
        if (edited(ew__gguf_tensor_at(from, i), tensor, &t))
            must(ew__gguf_write(writer, t.data, (size_t)t.bytes));
    must(ew__gguf_commit(writer));
    ew__gguf_writer_free(writer);
}

static void assert_file_refused(const char *what, ew_status want, const char *sentence) {
    struct ew__vision vision;
    ew_status status =
        ew__vision_open(temp_path(&temp, "broken.gguf"), ew__kernels_select("scalar"), &vision);
    assert_says(what, sentence);
    assert_says(what, "broken.gguf");
    assert_int_equal(status, want);
}

static void broken_files_are_refused(void **state) {
    (void)state;
    struct ew__gguf *whole;
    must(ew__gguf_open(temp_path(&temp, "mmproj.gguf"), &whole));
    for (size_t i = 0; i < sizeof file_keys / sizeof file_keys[0]; i++) {
        assert_non_null(ew__gguf_find(whole, file_keys[i].key));
        write_file(whole, temp_path(&temp, "broken.gguf"), &file_keys[i], NULL);
        assert_file_refused(file_keys[i].key, file_keys[i].status, file_keys[i].sentence);
    }
    for (size_t i = 0; i < sizeof file_tensors / sizeof file_tensors[0]; i++) {
        assert_non_null(ew__gguf_tensor(whole, ew__str(file_tensors[i].name)));
        write_file(whole, temp_path(&temp, "broken.gguf"), NULL, &file_tensors[i]);
        assert_file_refused(file_tensors[i].name, file_tensors[i].status, file_tensors[i].sentence);
    }
    ew__gguf_close(whole);
}

static void absent_towers_are_named(void **state) {
    (void)state;
    struct ew__vision vision;
    const struct ew__kernels *kernels = ew__kernels_select("scalar");
    assert_int_equal(ew__vision_open("tests/data/goldens/tiny-text", kernels, &vision),
                     EW_NOT_FOUND);
    assert_says("text folder", "no vision tower");
    assert_int_equal(ew__vision_open(temp_path(&temp, "model.gguf"), kernels, &vision),
                     EW_NOT_FOUND);
    assert_says("text file", "model.gguf: the file has no vision tower");
}

/* ---- calls ---- */

static void impossible_grids_are_refused(void **state) {
    (void)state;
    static const struct ew__grid grids[] = {
        {0, 2, 2}, {1, 0, 2},       {1, 2, 0},        {1, 3, 2},
        {1, 2, 3}, {1, 2048, 1024}, {1u << 20, 2, 2}, {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 1},
    };
    struct ew__vision vision;
    struct ew__pool *pool;
    float feature = 5;
    must(ew__vision_open(FOLDER, ew__kernels_select("scalar"), &vision));
    must(ew__pool_new(1, ew__vision_scratch_bytes(&vision), &pool));
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) {
        struct ew__vision_input input = {.patches = &feature, .grid = grids[i]};
        assert_int_equal(ew__vision_forward(&vision, pool, &input, &feature), EW_LIMIT);
        assert_says("grid", "must be even");
    }
    assert_true(feature == 5);
    size_t bytes, twice;
    must(ew__vision_call_bytes(&vision, (struct ew__grid){1, 32, 64}, &bytes));
    must(ew__vision_call_bytes(&vision, (struct ew__grid){9, 32, 64}, &twice));
    assert_int_equal(bytes, twice); // temporal patches one after another
    ew__pool_free(pool);
    ew__vision_close(&vision);
}

/* Every allocation of opening and of a call fails once: a status, no leak, then success. */
static void lost_memory_is_reported(void **state) {
    (void)state;
    const char *const paths[] = {FOLDER, temp_path(&temp, "mmproj.gguf")};
    const struct ew__kernels *kernels = ew__kernels_select("scalar");
    const struct ew__grid grid = {1, 2, 4};
    float *values = calloc((size_t)8 * EW__PATCH_VALUES, sizeof *values), features[2 * 64];
    for (size_t i = 0; i < 2; i++) {
        struct ew__vision vision;
        struct ew__pool *pool;
        ew_status status = EW_NO_MEMORY;
        for (uint64_t n = 1; status != EW_OK; n++) {
            ew__mem_fail_at(n);
            status = ew__vision_open(paths[i], kernels, &vision);
            assert_true(status == EW_OK || status == EW_NO_MEMORY);
        }
        ew__mem_fail_at(0);
        must(ew__pool_new(1, ew__vision_scratch_bytes(&vision), &pool));
        const struct ew__vision_input input = {.patches = values, .grid = grid};
        status = EW_NO_MEMORY;
        for (uint64_t n = 1; status != EW_OK; n++) {
            ew__mem_fail_at(n);
            status = ew__vision_forward(&vision, pool, &input, features);
            assert_true(status == EW_OK || status == EW_NO_MEMORY);
        }
        ew__mem_fail_at(0);
        ew__pool_free(pool);
        ew__vision_close(&vision);
    }
    free(values);
}

static int set_up(void **state) {
    (void)state;
    temp_folder_make(&temp);
    const ew_convert_options options = {.size = sizeof options,
                                        .mmproj = temp_path(&temp, "mmproj.gguf")};
    if (ew_convert(FOLDER, temp_path(&temp, "model.gguf"), &options) == EW_OK)
        return 0;
    print_error("%s\n", ew_last_error());
    return 1;
}

static int tear_down(void **state) {
    (void)state;
    temp_folder_remove(&temp);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_a_softmax_over_the_frame),
        cmocka_unit_test(broken_configs_are_refused),
        cmocka_unit_test(broken_folders_are_refused),
        cmocka_unit_test(mlx_towers_give_the_same_rows),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(absent_towers_are_named),
        cmocka_unit_test(impossible_grids_are_refused),
        cmocka_unit_test(lost_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
