// SPDX-License-Identifier: Apache-2.0
/* Text calls of the public API: the tokenizer behind the model handle. */
#include "runtime/engine.h"

#include "base/limits.h"
#include "base/mem.h"

static ew_status need_tokenizer(const ew_model *model) {
    if (model == NULL)
        return ew__fail(EW_ARGUMENT, "no model");
    if (model->tokenizer == NULL)
        return ew__fail(EW_NOT_FOUND,
                        "this checkpoint carries no tokenizer, only token ids work with it");
    return EW_OK;
}

ew_status ew_tokenize(const ew_model *model, const char *text, size_t n, ew_tokenize_flags flags,
                      int32_t **ids, size_t *count) {
    size_t capacity = 0;
    EW__TRY(need_tokenizer(model));
    if ((text == NULL && n != 0) || ids == NULL || count == NULL)
        return ew__fail(EW_ARGUMENT, "ew_tokenize needs a text and places for the ids");
    *ids = NULL;
    *count = 0;
    ew__encode_flags encode = flags == EW_TOKENIZE_SPECIAL ? EW__ENCODE_SPECIAL : EW__ENCODE_PLAIN;
    ew_status status = ew__tokenizer_encode(
        model->tokenizer, ew__str_of(text != NULL ? text : "", n), encode, ids, count, &capacity);
    if (status != EW_OK) {
        ew__free(*ids);
        *ids = NULL;
    }
    return status;
}

ew_status ew_detokenize(const ew_model *model, const int32_t *ids, size_t count, bool show_control,
                        char **text, size_t *n) {
    struct ew__decode_stream stream = {0};
    struct ew__buf buf;
    EW__TRY(need_tokenizer(model));
    if ((ids == NULL && count != 0) || text == NULL)
        return ew__fail(EW_ARGUMENT, "ew_detokenize needs ids and a place for the text");
    *text = NULL;
    ew__buf_init(&buf, EW__TEXT_BYTES_MAX);
    ew_status status = EW_OK;
    for (size_t i = 0; i < count && status == EW_OK; i++)
        status = ew__decode_next(model->tokenizer, &stream, ids[i], show_control, &buf);
    if (status == EW_OK)
        status = ew__decode_finish(&stream, &buf);
    if (status == EW_OK) {
        *text = ew__buf_take(&buf, n);
        return *text != NULL ? EW_OK : EW_NO_MEMORY;
    }
    ew__buf_release(&buf);
    return status;
}

ew_status ew_token_bytes(const ew_model *model, int32_t id, const char **bytes, size_t *n) {
    ew__token_kind kind;
    EW__TRY(need_tokenizer(model));
    if (bytes == NULL || n == NULL || id < 0 ||
        (uint32_t)id >= ew__tokenizer_size(model->tokenizer))
        return ew__fail(EW_ARGUMENT, "token id %d is outside the vocabulary", id);
    struct ew__str text = ew__tokenizer_token(model->tokenizer, id, &kind);
    *bytes = text.bytes;
    *n = text.n;
    return EW_OK;
}

int32_t ew_token_by_text(const ew_model *model, const char *text) {
    if (model == NULL || model->tokenizer == NULL || text == NULL)
        return -1;
    return ew__tokenizer_added(model->tokenizer, ew__str(text));
}
