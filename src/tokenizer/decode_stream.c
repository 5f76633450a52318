// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

/* Appends well-formed bytes in one go and U+FFFD for each maximal ill-formed part. */
static ew_status add_repaired(struct ew__buf *out, struct ew__str text) {
    size_t written = 0;
    for (size_t at = 0; at < text.n;) {
        uint32_t code;
        bool valid;
        size_t n = ew__utf8_decode(text.bytes + at, text.n - at, &code, &valid);
        if (!valid) {
            EW__TRY(ew__buf_add(out, text.bytes + written, at - written));
            EW__TRY(ew__buf_add(out, "\xEF\xBF\xBD", 3));
            written = at + n;
        }
        at += n;
    }
    return ew__buf_add(out, text.bytes + written, text.n - written);
}

/* Takes bytes of the token into `pending` until the character there is decided, one way or the
 * other, and returns how many were taken. */
static size_t settle_pending(struct ew__decode_stream *stream, struct ew__str text) {
    size_t taken = 0;
    while (taken < text.n && stream->n_pending < sizeof stream->pending) {
        uint32_t code;
        bool valid;
        stream->pending[stream->n_pending] = text.bytes[taken];
        size_t n = ew__utf8_decode(stream->pending, stream->n_pending + 1u, &code, &valid);
        if (!valid && n <= stream->n_pending)
            break; // this byte ends an ill-formed part and belongs to what follows
        stream->n_pending++;
        taken++;
        if (valid || ew__utf8_open_tail(ew__str_of(stream->pending, stream->n_pending)) == 0)
            break;
    }
    return taken;
}

ew_status ew__decode_next(const struct ew__tokenizer *tokenizer, struct ew__decode_stream *stream,
                          int32_t id, bool show_control, struct ew__buf *out) {
    ew__token_kind kind;
    struct ew__str text = ew__tokenizer_token(tokenizer, id, &kind);
    if (kind == EW__TOKEN_UNUSED || (kind == EW__TOKEN_CONTROL && !show_control))
        return EW_OK;
    if (stream->n_pending != 0) {
        size_t taken = settle_pending(stream, text);
        text = ew__str_of(text.bytes + taken, text.n - taken);
        struct ew__str pending = ew__str_of(stream->pending, stream->n_pending);
        if (text.n == 0 && ew__utf8_open_tail(pending) == pending.n)
            return EW_OK; // still open
        EW__TRY(add_repaired(out, pending));
        stream->n_pending = 0;
    }
    size_t open = ew__utf8_open_tail(text);
    memcpy(stream->pending, text.bytes + text.n - open, open);
    stream->n_pending = (uint8_t)open;
    return add_repaired(out, ew__str_of(text.bytes, text.n - open));
}

ew_status ew__decode_finish(struct ew__decode_stream *stream, struct ew__buf *out) {
    struct ew__str pending = ew__str_of(stream->pending, stream->n_pending);
    stream->n_pending = 0;
    return add_repaired(out, pending);
}
