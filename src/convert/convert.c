// SPDX-License-Identifier: Apache-2.0
/* ew_convert: a checkpoint folder -> a GGUF file, and an mmproj file for its vision tower. */
#include "edgewise/checkpoint.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "convert/metadata.h"
#include "convert/text_plan.h"
#include "convert/vision_plan.h"
#include "convert/vocab.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

struct target {
    const char *name;
    ew__dtype type;
    ew__file_type file_type;
};
static const struct target targets[] = {{"f32", EW__F32, EW__FILE_F32},
                                        {"f16", EW__F16, EW__FILE_F16},
                                        {"bf16", EW__BF16, EW__FILE_BF16},
                                        {"q8_0", EW__Q8_0, EW__FILE_Q8_0}};

/* One file being made. */
struct output {
    char *path;
    struct ew__tensor_plan plan;
    struct ew__gguf_writer *writer;
    bool committed;
};

struct conversion {
    struct ew__checkpoint checkpoint;
    struct ew__config config; /* the checkpoint's, without an MTP block that is incomplete */
    struct ew__str name;      /* general.name */
    const struct target *target;
    struct output model, vision; /* vision.path NULL: none */
    struct ew__conversion_progress progress;
};

/* What becomes of a quantised folder by default; the number names the mixture for people, by the
 * type that most of its matrices have. */
static const struct target own_targets[] = {{"q4_1", EW__OWN_TYPE, EW__FILE_Q4_1},
                                            {"q5_1", EW__OWN_TYPE, EW__FILE_Q5_1},
                                            {"q8_0", EW__OWN_TYPE, EW__FILE_Q8_0},
                                            {"f32", EW__OWN_TYPE, EW__FILE_F32}};

static ew_status choose_own_target(const struct ew__checkpoint *checkpoint,
                                   const struct target **out) {
    const struct ew__affine_set *set = &checkpoint->hf.affine;
    size_t counts[EW__DTYPE_COUNT] = {0}, most = 0;
    for (size_t i = 0; i < set->count; i++)
        counts[set->matrices[i].tensor.type]++;
    for (size_t i = 0; i < sizeof own_targets / sizeof own_targets[0]; i++) {
        ew__dtype type = EW__F32;
        (void)ew__dtype_by_name(ew__str(own_targets[i].name), &type);
        if (i == 0 || counts[type] > most) {
            *out = &own_targets[i];
            most = counts[type];
        }
    }
    return EW_OK;
}

static ew_status choose_target(const char *type, const struct ew__checkpoint *checkpoint,
                               const struct target **out) {
    const struct ew__tensor *embd = ew__checkpoint_tensor(checkpoint, EW__TOKEN_EMBD, 0, NULL);
    if (type == NULL && checkpoint->hf.affine.count != 0)
        return choose_own_target(checkpoint, out);
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        bool is_own = embd != NULL && targets[i].type == embd->type;
        ew__dtype named = EW__F32;
        *out = &targets[i];
        if (type == NULL ? is_own
                         : ew__dtype_by_name(ew__str(type), &named) && named == targets[i].type)
            return EW_OK;
    }
    if (type == NULL)
        return ew__fail(EW_UNSUPPORTED,
                        "the checkpoint is of no float type; name the type to write");
    return ew__fail(EW_ARGUMENT, "cannot convert to type \"%s\": f32, f16, bf16 and q8_0 are there",
                    ew__quote(type, strlen(type)));
}

/* The last component of a path. */
static struct ew__str base_name(const char *path) {
    size_t end = strlen(path), start;
    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/';)
        start--;
    struct ew__str name = ew__str_of(path + start, end - start);
    return name.n == 0 || ew__str_is(name, ".") || ew__str_is(name, "..") ? ew__str("model") : name;
}

/* folder/mmproj-file for folder/file; freed with ew__free. */
static char *mmproj_path(const char *out) {
    const char *slash = strrchr(out, '/');
    size_t folder = slash != NULL ? (size_t)(slash - out) + 1 : 0;
    size_t size = strlen(out) + sizeof "mmproj-";
    char *path = ew__alloc(size);
    if (path != NULL)
        snprintf(path, size, "%.*smmproj-%s", (int)folder, out, out + folder);
    return path;
}

static ew_status choose_paths(const char *out, const char *mmproj, struct conversion *c) {
    c->model.path = ew__strndup(out, strlen(out));
    if (c->model.path == NULL)
        return EW_NO_MEMORY;
    if (ew__vision_hf_prefix(&c->checkpoint.hf) == NULL || (mmproj != NULL && mmproj[0] == '\0'))
        return EW_OK;
    c->vision.path = mmproj != NULL ? ew__strndup(mmproj, strlen(mmproj)) : mmproj_path(out);
    if (c->vision.path == NULL)
        return EW_NO_MEMORY;
    if (strcmp(c->vision.path, out) == 0)
        return ew__fail(EW_ARGUMENT, "%s: the model and its vision tower need two files", out);
    return EW_OK;
}

/* ---- metadata that comes from the folder's other documents ---- */

static ew_status add_sampling(struct ew__gguf_writer *writer, const json_t *generation) {
    double temperature = -1, top_p = -1, min_p = -1;
    uint32_t top_k = UINT32_MAX;
    if (generation == NULL)
        return EW_OK;
    EW__TRY(ew__json_f64(generation, "temperature", &temperature));
    EW__TRY(ew__json_f64(generation, "top_p", &top_p));
    EW__TRY(ew__json_f64(generation, "min_p", &min_p));
    EW__TRY(ew__json_u32(generation, "top_k", 0, INT32_MAX, &top_k));
    if (temperature >= 0)
        EW__TRY(ew__gguf_add_f32(writer, "general.sampling.temp", (float)temperature));
    if (top_p >= 0)
        EW__TRY(ew__gguf_add_f32(writer, "general.sampling.top_p", (float)top_p));
    if (min_p >= 0)
        EW__TRY(ew__gguf_add_f32(writer, "general.sampling.min_p", (float)min_p));
    if (top_k == UINT32_MAX)
        return EW_OK;
    const struct ew__gguf_kv kv = {.key = ew__str("general.sampling.top_k"),
                                   .type = EW__GGUF_I32,
                                   .element = EW__GGUF_I32,
                                   .count = 1,
                                   .raw = ew__str_of((const char *)&top_k, sizeof top_k)};
    return ew__gguf_add_kv(writer, &kv);
}

static ew_status add_vocab(struct conversion *c) {
    struct ew__tokenizer *tokenizer = NULL;
    ew_status status = ew__tokenizer_from_hf(&c->checkpoint.hf, &tokenizer);
    if (status == EW_NOT_FOUND) {
        ew__log(EW__LOG_WARNING, "%s: no tokenizer, so the GGUF file has none either",
                c->checkpoint.hf.path);
        return EW_OK;
    }
    if (status == EW_OK)
        status = ew__add_tokenizer(c->model.writer, tokenizer, c->config.n_vocab,
                                   c->checkpoint.hf.chat_template);
    ew__tokenizer_free(tokenizer);
    return status;
}

/* ---- the files ---- */

static ew_status prepare_model(struct conversion *c) {
    struct output *model = &c->model;
    EW__TRY(ew__plan_text(&c->checkpoint, &c->config, c->target->type, &model->plan));
    EW__TRY(ew__gguf_writer_new(&model->writer));
    EW__TRY(ew__add_model_keys(model->writer, &c->config, c->name, c->target->file_type));
    EW__TRY(add_sampling(model->writer, c->checkpoint.hf.generation_config));
    EW__TRY(add_vocab(c));
    return ew__plan_declare(&model->plan, model->writer);
}

static ew_status prepare_vision(struct conversion *c) {
    struct ew__vision_config config;
    struct output *vision = &c->vision;
    EW__TRY(ew__vision_config_read(&c->checkpoint.hf, &config));
    EW__TRY(ew__plan_vision(&c->checkpoint.hf, &config, c->target->type, &vision->plan));
    EW__TRY(ew__gguf_writer_new(&vision->writer));
    EW__TRY(ew__add_vision_keys(vision->writer, &config, c->name, c->target->file_type));
    return ew__plan_declare(&vision->plan, vision->writer);
}

static ew_status write_output(struct output *output, struct ew__conversion_progress *progress) {
    EW__TRY(ew__gguf_begin(output->writer, output->path));
    return ew__plan_write(&output->plan, output->writer, progress);
}

static ew_status commit(struct output *output) {
    EW__TRY(ew__gguf_commit(output->writer));
    output->committed = true;
    return EW_OK;
}

/* Both files are complete under temporary names before the first gets its own. */
static ew_status write_files(struct conversion *c) {
    bool has_vision = c->vision.path != NULL;
    EW__TRY(prepare_model(c));
    if (has_vision)
        EW__TRY(prepare_vision(c));
    c->progress.total = ew__plan_bytes(&c->model.plan) + ew__plan_bytes(&c->vision.plan);
    EW__TRY(write_output(&c->model, &c->progress));
    if (has_vision)
        EW__TRY(write_output(&c->vision, &c->progress));
    if (has_vision)
        EW__TRY(commit(&c->vision));
    return commit(&c->model);
}

static ew_status run(const char *dir, const char *out, const ew_convert_options *options,
                     struct conversion *c) {
    if (!ew__path_is_dir(dir))
        return ew__fail(EW_ARGUMENT, "%s: only checkpoint folders are converted", dir);
    EW__TRY(ew__checkpoint_open(dir, &c->checkpoint));
    c->config = c->checkpoint.config;
    c->name = options->name != NULL ? ew__str(options->name) : base_name(dir);
    c->progress = (struct ew__conversion_progress){.report = options->progress,
                                                   .context = options->progress_context};
    EW__TRY(choose_target(options->type, &c->checkpoint, &c->target));
    EW__TRY(choose_paths(out, options->mmproj, c));
    ew_status status = write_files(c);
    bool about_dir = status == EW_FORMAT || status == EW_UNSUPPORTED;
    if (about_dir && strstr(ew_last_error(), dir) == NULL)
        return ew__fail_in(status, "%s", dir);
    return status;
}

static void release_output(struct output *output) {
    ew__gguf_writer_free(output->writer);
    ew__plan_release(&output->plan);
    ew__free(output->path);
}

ew_status ew_convert(const char *dir, const char *out, const ew_convert_options *options) {
    ew_convert_options all = {.size = sizeof all};
    if (options != NULL)
        memcpy(&all, options, ew__min_size(options->size, sizeof all));
    if (dir == NULL || out == NULL || out[0] == '\0')
        return ew__fail(EW_ARGUMENT, "a conversion needs a folder and the name of a file");
    struct conversion *c = ew__calloc(1, sizeof *c);
    if (c == NULL)
        return EW_NO_MEMORY;
    ew_status status = run(dir, out, &all, c);
    if (status != EW_OK && c->vision.committed)
        (void)remove(c->vision.path);
    release_output(&c->model);
    release_output(&c->vision);
    ew__checkpoint_close(&c->checkpoint);
    ew__free(c);
    return status;
}
