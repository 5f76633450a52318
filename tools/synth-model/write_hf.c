// SPDX-License-Identifier: Apache-2.0
#include "write.h"

#include "base/os.h"
#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHARD "model.safetensors-00001-of-00001.safetensors" // the family's unusual name

/* One tensor of the folder, given to a pass: the first declares, the second fills. */
struct hf_tensor {
    const char *name;
    uint32_t n_dims;
    uint64_t dims[5]; /* contiguous one first */
    ew__dtype type;
    struct weight_law law;
};

struct hf_pass {
    const struct synth_job *job;
    struct ew__safetensors_writer *writer;
    bool fills;
    struct ew__buf *weight_map; /* of the index; in the declaring pass */
    uint64_t total_bytes;
};

static ew_status put(void *context, const void *bytes, size_t n) {
    return ew__safetensors_write(context, bytes, n);
}

static ew_status emit(struct hf_pass *pass, const struct hf_tensor *tensor) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        n *= tensor->dims[i];
    if (pass->fills) {
        struct random_source source = random_for(pass->job->seed, tensor->name);
        return weight_stream(tensor->law, EW__KEEP, tensor->type, n, &source, put, pass->writer);
    }
    pass->total_bytes += n * ew__dtype_info(tensor->type)->block_bytes;
    (void)ew__buf_add_format(pass->weight_map, "%s\n    \"%s\": \"" SHARD "\"",
                             pass->weight_map->n != 0 ? "," : "", tensor->name);
    return ew__safetensors_add_tensor(pass->writer, ew__str(tensor->name), tensor->type,
                                      tensor->n_dims, tensor->dims);
}

/* ---- text ---- */

static ew_status emit_role(struct hf_pass *pass, ew__role role, const char *prefix) {
    const struct ew__config *c = &pass->job->shape.config;
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct hf_tensor tensor = {
        .name = name, .type = pass->job->recipe->base, .law = weight_law_of(role, c)};
    snprintf(name, sizeof name, "%s%s", prefix, ew__roles[role].hf);
    ew__role_shape(c, role, &tensor.dims[0], &tensor.dims[1]);
    tensor.n_dims = ew__roles[role].rank;
    if (role == EW__DELTA_CONV) { // [C, 1, 4]
        tensor.n_dims = 3;
        tensor.dims[2] = tensor.dims[1];
        tensor.dims[1] = 1;
    }
    if (role == EW__DELTA_DECAY || role == EW__DELTA_NORM)
        tensor.type = EW__F32; // as published
    return emit(pass, &tensor);
}

static ew_status emit_layer(struct hf_pass *pass, uint32_t layer) {
    const struct ew__config *c = &pass->job->shape.config;
    char prefix[64];
    if (layer < c->n_layer)
        snprintf(prefix, sizeof prefix, "model.language_model.layers.%u.", layer);
    else
        snprintf(prefix, sizeof prefix, "mtp.layers.%u.", layer - c->n_layer);
    for (int role = 0; role < EW__ROLE_COUNT; role++) {
        bool has_prefix = ew__roles[role].scope != EW__PER_MTP;
        if (ew__role_in_layer(c, (ew__role)role, layer))
            EW__TRY(emit_role(pass, (ew__role)role, has_prefix ? prefix : ""));
    }
    return EW_OK;
}

static ew_status emit_text(struct hf_pass *pass) {
    const struct ew__config *c = &pass->job->shape.config;
    EW__TRY(emit_role(pass, EW__TOKEN_EMBD, "model.language_model."));
    EW__TRY(emit_role(pass, EW__OUTPUT_NORM, "model.language_model."));
    if (!c->tied)
        EW__TRY(emit_role(pass, EW__OUTPUT, ""));
    for (uint32_t layer = 0; layer < c->n_layer + c->n_mtp; layer++)
        EW__TRY(emit_layer(pass, layer));
    return EW_OK;
}

/* ---- vision ---- */

static ew_status emit_vision(struct hf_pass *pass, const char *name, struct weight_law law,
                             uint32_t n_dims, const uint64_t *dims) {
    char full[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct hf_tensor tensor = {
        .name = full, .type = pass->job->recipe->base, .law = law, .n_dims = n_dims};
    snprintf(full, sizeof full, "model.visual.%s", name);
    memcpy(tensor.dims, dims, n_dims * sizeof *dims);
    return emit(pass, &tensor);
}

/* "<stem>.weight" [out, in] and "<stem>.bias" [out]; in 0: a layer norm. */
static ew_status emit_linear(struct hf_pass *pass, const char *stem, uint64_t in, uint64_t out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct weight_law law = {LAW_NORMAL, 1, 0.15f};
    if (in != 0)
        law = (struct weight_law){LAW_NORMAL, 0, 1.1f / sqrtf((float)in)};
    const uint64_t dims[2] = {in != 0 ? in : out, out};
    snprintf(name, sizeof name, "%s.weight", stem);
    EW__TRY(emit_vision(pass, name, law, in != 0 ? 2 : 1, dims));
    snprintf(name, sizeof name, "%s.bias", stem);
    return emit_vision(pass, name, (struct weight_law){LAW_NORMAL, 0, 0.05f}, 1, &out);
}

static ew_status emit_vision_block(struct hf_pass *pass, uint32_t block) {
    const struct vision_shape *v = &pass->job->shape.vision;
    const struct {
        const char *name;
        uint64_t in, out;
    } linears[] = {{"norm1", 0, v->hidden_size},
                   {"norm2", 0, v->hidden_size},
                   {"attn.qkv", v->hidden_size, 3 * (uint64_t)v->hidden_size},
                   {"attn.proj", v->hidden_size, v->hidden_size},
                   {"mlp.linear_fc1", v->hidden_size, v->intermediate_size},
                   {"mlp.linear_fc2", v->intermediate_size, v->hidden_size}};
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        char stem[64];
        snprintf(stem, sizeof stem, "blocks.%u.%s", block, linears[i].name);
        EW__TRY(emit_linear(pass, stem, linears[i].in, linears[i].out));
    }
    return EW_OK;
}

static ew_status emit_vision_tower(struct hf_pass *pass) {
    const struct vision_shape *v = &pass->job->shape.vision;
    const uint64_t h = v->hidden_size, patch[5] = {16, 16, 2, 3, h};
    const uint64_t positions[2] = {h, v->num_position_embeddings};
    EW__TRY(emit_vision(pass, "patch_embed.proj.weight", (struct weight_law){LAW_NORMAL, 0, 0.035f},
                        5, patch));
    EW__TRY(emit_vision(pass, "patch_embed.proj.bias", (struct weight_law){LAW_NORMAL, 0, 0.05f}, 1,
                        &h));
    EW__TRY(emit_vision(pass, "pos_embed.weight", (struct weight_law){LAW_NORMAL, 0, 0.35f}, 2,
                        positions));
    for (uint32_t block = 0; block < v->depth; block++)
        EW__TRY(emit_vision_block(pass, block));
    EW__TRY(emit_linear(pass, "merger.norm", 0, h));
    EW__TRY(emit_linear(pass, "merger.linear_fc1", 4 * h, 4 * h));
    return emit_linear(pass, "merger.linear_fc2", 4 * h, pass->job->shape.config.n_embd);
}

/* ---- the folder ---- */

static ew_status emit_all(struct hf_pass *pass) {
    EW__TRY(emit_text(pass));
    return pass->job->shape.has_vision ? emit_vision_tower(pass) : EW_OK;
}

static ew_status write_index(const struct hf_pass *pass) {
    struct ew__buf text;
    ew__buf_init(&text, 1 << 24);
    (void)ew__buf_add_format(&text,
                             "{\n  \"metadata\": {\"total_size\": %llu},\n  \"weight_map\": {",
                             (unsigned long long)pass->total_bytes);
    (void)ew__buf_add(&text, pass->weight_map->bytes, pass->weight_map->n);
    ew_status status = ew__buf_add_text(&text, "\n  }\n}\n");
    if (status == EW_OK)
        status = write_hf_file(pass->job, "model.safetensors.index.json", ew__buf_str(&text));
    ew__buf_release(&text);
    return status;
}

static ew_status write_tensors(struct hf_pass *pass) {
    char path[4096];
    snprintf(path, sizeof path, "%s/" SHARD, pass->job->out);
    EW__TRY(emit_all(pass));
    EW__TRY(ew__buf_status(pass->weight_map));
    EW__TRY(ew__safetensors_begin(pass->writer, path));
    pass->fills = true;
    EW__TRY(emit_all(pass));
    EW__TRY(ew__safetensors_commit(pass->writer));
    return write_index(pass);
}

ew_status write_hf_file(const struct synth_job *job, const char *name, struct ew__str text) {
    char path[4096];
    struct ew__file_out out;
    int n = snprintf(path, sizeof path, "%s/%s", job->out, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return ew__fail(EW_LIMIT, "the path is too long");
    EW__TRY(ew__file_out_open(&out, path));
    ew_status status = ew__file_out_write(&out, text.bytes, text.n);
    if (status == EW_OK)
        status = ew__file_out_commit(&out);
    ew__file_out_abort(&out);
    return status;
}

ew_status write_hf(const struct synth_job *job) {
    struct ew__buf weight_map;
    struct hf_pass pass = {.job = job, .weight_map = &weight_map};
    if (strlen(job->out) > 3900)
        return ew__fail(EW_LIMIT, "the path is too long");
    EW__TRY(ew__make_dir(job->out));
    EW__TRY(write_hf_documents(job));
    if (job->vocab.n_total != 0)
        EW__TRY(write_hf_tokenizer(job));
    ew__buf_init(&weight_map, 1 << 24);
    ew_status status = ew__safetensors_writer_new(&pass.writer);
    if (status == EW_OK)
        status = write_tensors(&pass);
    ew__safetensors_writer_free(pass.writer);
    ew__buf_release(&weight_map);
    return status;
}
