// SPDX-License-Identifier: Apache-2.0
/* An input that starts with 'T' is text for a fixed small tokenizer; any other is a
 * tokenizer.json. */
#include "fuzz/fuzz.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "support/small_tokenizer.h"

struct ids {
    int32_t *ids;
    size_t count, capacity;
};

static struct ids encode(const struct ew__tokenizer *tokenizer, struct ew__str text,
                         ew__encode_flags flags) {
    struct ids out = {0};
    FUZZ_CHECK(ew__tokenizer_encode(tokenizer, text, flags, &out.ids, &out.count, &out.capacity) ==
               EW_OK);
    for (size_t i = 0; i < out.count; i++) {
        ew__token_kind kind;
        struct ew__str token = ew__tokenizer_token(tokenizer, out.ids[i], &kind);
        FUZZ_CHECK(token.n > 0 && kind != EW__TOKEN_UNUSED);
        FUZZ_CHECK(flags != EW__ENCODE_PLAIN || kind == EW__TOKEN_NORMAL);
    }
    return out;
}

static ew_status gather(void *context, struct ew__str piece) {
    FUZZ_CHECK(piece.n > 0);
    return ew__buf_add(context, piece.bytes, piece.n);
}

/* Plain ids decode to what the pieces add up to, which is well-formed and encodes to the same ids
 * again. */
static void check_text(const struct ew__tokenizer *tokenizer, struct ew__str text) {
    struct ew__buf pieces;
    size_t n;
    ew__buf_init(&pieces, SIZE_MAX / 2);
    struct ids plain = encode(tokenizer, text, EW__ENCODE_PLAIN);
    char *decoded = decode_all(tokenizer, plain.ids, plain.count, &n);
    FUZZ_CHECK(ew__tokenizer_pieces(tokenizer, text, gather, &pieces) == EW_OK);
    FUZZ_CHECK(ew__str_equal(ew__buf_str(&pieces), ew__str_of(decoded, n)));
    FUZZ_CHECK(ew__utf8_valid(ew__str_of(decoded, n)));
    struct ids again = encode(tokenizer, ew__str_of(decoded, n), EW__ENCODE_PLAIN);
    FUZZ_CHECK(again.count == plain.count);
    FUZZ_CHECK(plain.count == 0 ||
               memcmp(again.ids, plain.ids, plain.count * sizeof *plain.ids) == 0);
    struct ids special = encode(tokenizer, text, EW__ENCODE_SPECIAL);
    FUZZ_CHECK(special.count <= plain.count + text.n);
    ew__free(plain.ids);
    ew__free(again.ids);
    ew__free(special.ids);
    ew__buf_release(&pieces);
    free(decoded);
}

static void check_document(const char *bytes, size_t size) {
    struct ew__tokenizer *tokenizer;
    ew_status status = ew__tokenizer_from_json(bytes, size, &tokenizer);
    FUZZ_CHECK((status == EW_OK) == (tokenizer != NULL));
    if (status == EW_OK)
        check_text(tokenizer, ew__str("hello <think> e\xCC\x81\n\n  aaaa 12 \xFF <|im_end|>"));
    else
        FUZZ_CHECK(ew_last_error()[0] != '\0');
    ew__tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct ew__tokenizer *tokenizer; // kept: building it would be most of the work
    if (tokenizer == NULL)
        tokenizer = small_tokenizer();
    if (size == 0)
        return 0;
    bool is_text = data[0] == 'T';
    size_t skipped = is_text ? 1 : 0;
    uint8_t *bytes = fuzz_copy(data + skipped, size - skipped);
    if (is_text)
        check_text(tokenizer, ew__str_of((const char *)bytes, size - 1));
    else
        check_document((const char *)bytes, size);
    free(bytes);
    return 0;
}
