// SPDX-License-Identifier: Apache-2.0
#include "convert/inspection.h"

#include "base/mem.h"
#include "model/checkpoint.h"
#include "quant/quant.h"
#include "tokenizer/tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A failure becomes a problem, told without the path that the reader of the report knows; only a
 * lack of memory stays one. */
static ew_status note_failure(struct ew_inspection *inspection, ew_status status,
                              const char *path) {
    const char *text = ew_last_error();
    size_t n = strlen(path);
    if (status == EW_NO_MEMORY)
        return status;
    if (strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0)
        text += n + 2;
    return status == EW_OK ? EW_OK : ew__inspection_problem(inspection, "%s", text);
}

/* ---- every tensor ---- */

static ew_status check_types(struct ew_inspection *inspection, const struct ew__inspected *file) {
    for (size_t i = 0; i < ew__inspected_count(file); i++) {
        const char *type;
        const struct ew__tensor *tensor = ew__inspected_tensor(file, i, &type);
        if (file->folder != NULL &&
            ew__affine_find(&file->folder->affine, tensor->name, NULL) != NULL)
            continue;
        if (!ew__dtype_decodable((ew__dtype)tensor->type))
            EW__TRY(ew__inspection_problem(
                inspection, "tensor \"%s\" has type %s, which this build cannot decode",
                ew__quote(tensor->name.bytes, tensor->name.n), type));
    }
    return EW_OK;
}

static ew_status check_values_of(struct ew_inspection *inspection,
                                 const struct ew__inspected *file) {
    for (size_t i = 0; i < ew__inspected_count(file); i++) {
        const struct ew__tensor *tensor = ew__inspected_tensor(file, i, NULL);
        if (!ew__dtype_decodable((ew__dtype)tensor->type))
            continue;
        uint64_t at = ew__first_non_finite((ew__dtype)tensor->type, tensor->data,
                                           ew__tensor_elements(tensor));
        if (at != UINT64_MAX)
            EW__TRY(ew__inspection_problem(
                inspection, "tensor \"%s\" (%s) holds a NaN or infinity in block %" PRIu64,
                ew__quote(tensor->name.bytes, tensor->name.n), ew__dtype_name(tensor->type), at));
    }
    return EW_OK;
}

/* ---- the roles of the architecture ---- */

struct role_check {
    struct ew_inspection *inspection;
    const struct ew__checkpoint *checkpoint;
    const struct ew__config *config;
};

static ew_status check_role(const struct role_check *check, ew__role role, uint32_t layer) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint64_t columns, rows;
    const struct ew__tensor *tensor = ew__checkpoint_tensor(check->checkpoint, role, layer, name);
    if (tensor == NULL)
        return ew__inspection_problem(check->inspection, "tensor \"%s\" is missing", name);
    ew__role_shape(check->config, role, &columns, &rows);
    return note_failure(check->inspection, ew__check_shape(tensor, name, columns, rows), "");
}

static ew_status check_layer(const struct role_check *check, uint32_t layer) {
    for (int role = 0; role < EW__ROLE_COUNT; role++)
        if (ew__role_in_layer(check->config, (ew__role)role, layer))
            EW__TRY(check_role(check, (ew__role)role, layer));
    return EW_OK;
}

/* An incomplete MTP block is dropped when the model is loaded: one sentence, not fifteen. */
static ew_status check_mtp(const struct role_check *check) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    uint32_t layer = check->config->n_layer;
    if (check->config->n_mtp == 0)
        return EW_OK;
    for (int role = 0; role < EW__ROLE_COUNT; role++)
        if (ew__role_in_layer(check->config, (ew__role)role, layer) &&
            ew__checkpoint_tensor(check->checkpoint, (ew__role)role, layer, name) == NULL)
            return ew__inspection_problem(check->inspection,
                                          "the MTP block lacks \"%s\" and will not be used", name);
    return check_layer(check, layer);
}

static ew_status check_roles(const struct role_check *check) {
    EW__TRY(check_role(check, EW__TOKEN_EMBD, 0));
    EW__TRY(check_role(check, EW__OUTPUT_NORM, 0));
    bool has_head = ew__checkpoint_tensor(check->checkpoint, EW__OUTPUT, 0, NULL) != NULL;
    if (has_head || (check->checkpoint->gguf == NULL && !check->config->tied))
        EW__TRY(check_role(check, EW__OUTPUT, 0));
    for (uint32_t layer = 0; layer < check->config->n_layer; layer++)
        EW__TRY(check_layer(check, layer));
    return check_mtp(check);
}

/* ---- the tokenizer ---- */

static ew_status check_rule(struct ew_inspection *inspection, const struct ew__gguf *gguf) {
    struct ew__str pre = ew__str("");
    if (gguf == NULL || ew__gguf_find(gguf, "tokenizer.ggml.model") == NULL)
        return EW_OK;
    EW__TRY(note_failure(inspection, ew__gguf_str(gguf, "tokenizer.ggml.pre", &pre), ""));
    if (ew__str_is(pre, "qwen35"))
        return EW_OK;
    return ew__inspection_problem(
        inspection, "the file names the pre-tokenizer \"%s\", the family's rule qwen35 is used",
        ew__quote(pre.bytes, pre.n));
}

static ew_status check_tokenizer(const struct role_check *check) {
    const struct ew__checkpoint *checkpoint = check->checkpoint;
    struct ew__tokenizer *tokenizer = NULL;
    ew_status status = checkpoint->gguf != NULL
                           ? ew__tokenizer_from_gguf(checkpoint->gguf, &tokenizer)
                           : ew__tokenizer_from_hf(&checkpoint->hf, &tokenizer);
    if (status == EW_NOT_FOUND)
        return ew__inspection_problem(check->inspection,
                                      "there is no tokenizer: it takes token ids only");
    EW__TRY(note_failure(check->inspection, status, ""));
    uint32_t size = tokenizer != NULL ? ew__tokenizer_size(tokenizer) : 0;
    ew__tokenizer_free(tokenizer);
    if (check->config->n_vocab != 0 && size > check->config->n_vocab)
        return ew__inspection_problem(check->inspection,
                                      "the tokenizer has %u ids, the embedding only %u rows", size,
                                      check->config->n_vocab);
    return check_rule(check->inspection, checkpoint->gguf);
}

/* ---- by kind of file ---- */

static ew_status check_model(struct ew_inspection *inspection, const struct ew__inspected *file) {
    struct ew__checkpoint *checkpoint = ew__calloc(1, sizeof *checkpoint);
    if (checkpoint == NULL)
        return EW_NO_MEMORY;
    ew_status status = ew__checkpoint_open(file->path, checkpoint);
    if (status != EW_OK) {
        ew__free(checkpoint);
        return note_failure(inspection, status, file->path);
    }
    struct role_check check = {inspection, checkpoint, &checkpoint->config};
    const struct ew__tensor *embd = ew__checkpoint_tensor(checkpoint, EW__TOKEN_EMBD, 0, NULL);
    if (checkpoint->config.n_vocab == 0 && embd != NULL && embd->dims[1] <= EW__VOCAB_MAX)
        checkpoint->config.n_vocab = (uint32_t)embd->dims[1]; // as loading does
    status = check_roles(&check);
    if (status == EW_OK)
        status = check_tokenizer(&check);
    ew__checkpoint_close(checkpoint);
    ew__free(checkpoint);
    return status;
}

/* Some converters write CLIP's own constants (0.48..., 0.27...) where the family uses 0.5. */
static ew_status check_triple(struct ew_inspection *inspection, const struct ew__gguf *gguf,
                              const char *key) {
    const struct ew__gguf_kv *kv = ew__gguf_find(gguf, key);
    for (uint64_t i = 0; kv != NULL && i < kv->count; i++) {
        double value;
        if (!ew__gguf_element_f64(kv, i, &value) || fabs(value - 0.5) > 1e-3)
            return ew__inspection_problem(inspection,
                                          "\"%s\" is not 0.5: pictures will look wrong "
                                          "to the model",
                                          key);
    }
    return EW_OK;
}

static ew_status check_vision(struct ew_inspection *inspection, const struct ew__gguf *gguf) {
    struct ew__str projector = ew__str("");
    EW__TRY(note_failure(inspection, ew__gguf_str(gguf, "clip.projector_type", &projector), ""));
    if (projector.n == 0)
        EW__TRY(note_failure(inspection,
                             ew__gguf_str(gguf, "clip.vision.projector_type", &projector), ""));
    if (!ew__str_is(projector, "qwen3vl_merger"))
        EW__TRY(ew__inspection_problem(inspection,
                                       "the vision projector \"%s\" is not this family's",
                                       ew__quote(projector.bytes, projector.n)));
    EW__TRY(check_triple(inspection, gguf, "clip.vision.image_mean"));
    EW__TRY(check_triple(inspection, gguf, "clip.vision.image_std"));
    return ew__inspection_problem(
        inspection, "this file holds a vision tower: it goes beside a text model, not alone");
}

ew_status ew__inspect_problems(struct ew_inspection *inspection, const struct ew__inspected *file,
                               bool check_values) {
    struct ew__str architecture = ew__str("");
    if (file->gguf != NULL)
        EW__TRY(note_failure(inspection,
                             ew__gguf_str(file->gguf, "general.architecture", &architecture), ""));
    if (ew__str_is(architecture, "clip"))
        EW__TRY(check_vision(inspection, file->gguf));
    else if (file->gguf == NULL && file->folder == NULL)
        EW__TRY(ew__inspection_problem(
            inspection, "a safetensors file alone says nothing of its model: name its folder"));
    else
        EW__TRY(check_model(inspection, file));
    EW__TRY(check_types(inspection, file));
    return check_values ? check_values_of(inspection, file) : EW_OK;
}
