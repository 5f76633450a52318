// SPDX-License-Identifier: Apache-2.0
/* One user turn in the family's chat form. Source: the models' chat template; non-thinking prompts
 * carry a closed, empty think block. */
#include "edgewise/edgewise.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runtime/engine.h"

struct ids {
    int32_t *items;
    size_t count, capacity;
};

static ew_status add_text(const ew_model *model, struct ids *ids, const char *text,
                          ew__encode_flags flags) {
    return ew__tokenizer_encode(model->tokenizer, ew__str(text), flags, &ids->items, &ids->count,
                                &ids->capacity);
}

/* The template trims the content; its words never become control tokens. */
static ew_status add_user(const ew_model *model, struct ids *ids, const char *user) {
    struct ew__buf text;
    size_t n = strlen(user);
    while (n > 0 && strchr(" \t\r\n", user[n - 1]) != NULL)
        n--;
    size_t lead = strspn(user, " \t\r\n");
    ew__buf_init(&text, EW__TEXT_BYTES_MAX);
    (void)ew__buf_add_text(&text, "user\n");
    if (lead < n)
        (void)ew__buf_add(&text, user + lead, n - lead);
    ew_status status = ew__buf_status(&text);
    if (status == EW_OK)
        status = add_text(model, ids, text.bytes, EW__ENCODE_PLAIN);
    ew__buf_release(&text);
    return status;
}

static ew_status add_turn(const ew_model *model, struct ids *ids, const char *user) {
    EW__TRY(add_text(model, ids, "<|im_start|>", EW__ENCODE_SPECIAL));
    EW__TRY(add_user(model, ids, user));
    return add_text(model, ids, "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
                    EW__ENCODE_SPECIAL);
}

ew_status ew_chat_turn(const ew_model *model, const char *user, int32_t **ids, size_t *count) {
    struct ids list = {0};
    if (model == NULL || user == NULL || ids == NULL || count == NULL)
        return ew__fail(EW_ARGUMENT, "ew_chat_turn needs a model, a text and places for the ids");
    if (ew_token_by_text(model, "<|im_start|>") < 0 || ew_token_by_text(model, "<|im_end|>") < 0)
        return ew__fail(EW_NOT_FOUND, "this checkpoint has no chat tokens");
    ew_status status = add_turn(model, &list, user);
    if (status != EW_OK) {
        ew__free(list.items);
        return status;
    }
    *ids = list.items;
    *count = list.count;
    return EW_OK;
}
