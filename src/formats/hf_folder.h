// SPDX-License-Identifier: Apache-2.0
/* A Hugging Face checkpoint folder: its JSON documents and its safetensors. */
#ifndef EW_FORMATS_HF_FOLDER_H
#define EW_FORMATS_HF_FOLDER_H

#include "base/json.h"
#include "base/status.h"
#include "formats/safetensors.h"

struct ew__hf_folder {
    char *path;
    struct ew__safetensors *tensors;
    json_t *config; /* config.json: always there */
    json_t
        *generation_config; /* generation_config.json, preprocessor_config.json: NULL when absent */
    json_t *preprocessor_config;
    json_t *tokenizer_config; /* tokenizer_config.json, or NULL */
    char *chat_template; /* chat_template.jinja, else tokenizer_config's chat_template, else NULL */
};

/* Opens and checks; tokenizer.json (20 MB) is left to the tokenizer room. */
ew_status ew__hf_folder_open(const char *path, struct ew__hf_folder *out);
void ew__hf_folder_close(struct ew__hf_folder *folder);

#endif
