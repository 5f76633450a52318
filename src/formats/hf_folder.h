// SPDX-License-Identifier: Apache-2.0
/* A checkpoint folder, of Hugging Face or MLX: its JSON documents and its safetensors. */
#ifndef EW_FORMATS_HF_FOLDER_H
#define EW_FORMATS_HF_FOLDER_H

#include "base/json.h"
#include "base/status.h"
#include "formats/affine.h"
#include "formats/safetensors.h"

struct ew__hf_folder {
    char *path;
    struct ew__safetensors *tensors;
    struct ew__affine_set affine; /* empty until ew__hf_folder_read_affine */
    json_t *config;               /* config.json: always there */
    json_t
        *generation_config; /* generation_config.json, preprocessor_config.json: NULL when absent */
    json_t *preprocessor_config;
    json_t *tokenizer_config; /* tokenizer_config.json, or NULL */
    char *chat_template; /* chat_template.jinja, else tokenizer_config's chat_template, else NULL */
};

/* Opens and checks; tokenizer.json (20 MB) is left to the tokenizer room. */
ew_status ew__hf_folder_open(const char *path, struct ew__hf_folder *out);
/* Finds the quantised matrices; refuses quantised folders of other formats, naming them. */
ew_status ew__hf_folder_read_affine(struct ew__hf_folder *folder);
/* The tensor of that name, or NULL. Of a quantised matrix what it stands for, not what lies in the
 * file: tensor->affine is set. */
const struct ew__tensor *ew__hf_folder_tensor(const struct ew__hf_folder *folder,
                                              struct ew__str name);
void ew__hf_folder_close(struct ew__hf_folder *folder);

#endif
