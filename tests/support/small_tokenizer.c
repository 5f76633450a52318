// SPDX-License-Identifier: Apache-2.0
#include "support/small_tokenizer.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "%s: %s\n", what, ew_last_error());
        abort();
    }
}

struct ew__str alphabet_character(unsigned byte) {
    static char text[256][4];
    static size_t lengths[256];
    if (lengths[byte] == 0) {
        unsigned next = 0x100;
        for (unsigned b = 0; b < 256; b++) {
            bool itself = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
            lengths[b] = ew__utf8_encode(itself ? b : next++, text[b]);
        }
    }
    return ew__str_of(text[byte], lengths[byte]);
}

static void add_bytes(struct ew__buf *out) {
    for (unsigned byte = 0; byte < 256; byte++) {
        struct ew__str character = alphabet_character(byte);
        ew__buf_add_text(out, byte == 0 ? "\"" : ",\"");
        if (byte == '"' || byte == '\\')
            ew__buf_add_text(out, "\\");
        ew__buf_add(out, character.bytes, character.n);
        ew__buf_add_format(out, "\":%u", byte);
    }
}

char *small_tokenizer_json(void) {
    struct ew__buf out;
    ew__buf_init(&out, 65536);
    ew__buf_add_text(
        &out, "{\"version\":\"1.0\",\"added_tokens\":["
              "{\"id\":270,\"content\":\"<|im_start|>\",\"lstrip\":false,\"rstrip\":false,"
              "\"single_word\":false,\"normalized\":false,\"special\":true},"
              "{\"id\":271,\"content\":\"<|im_end|>\",\"normalized\":false,\"special\":true},"
              "{\"id\":272,\"content\":\"<think>\",\"special\":false},"
              "{\"id\":273,\"content\":\"<think>>\",\"special\":false}],"
              "\"normalizer\":{\"type\":\"NFC\"},"
              "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
              "\"pattern\":{\"Regex\":\"" QWEN35_REGEX_JSON "\"},"
              "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
              "\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false}]},"
              "\"post_processor\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":\"ByteLevel\"},"
              "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"vocab\":{");
    add_bytes(&out);
    ew__buf_add_text(&out, ",\"he\":256,\"ll\":257,\"hell\":258,\"hello\":259,\"Ġh\":260,"
                           "\"\\u010a\\u010A\":261,\"aa\":262,\"aaaa\":263,\"Ã©\":264},"
                           "\"merges\":[[\"h\",\"e\"],\"l l\",[\"he\",\"ll\"],[\"hell\",\"o\"],"
                           "\"Ġ h\",[\"\\u010a\",\"\\u010a\"],\"a a\",\"aa aa\",\"Ã ©\"]}}");
    must(ew__buf_status(&out) == EW_OK, "small tokenizer");
    char *copy = strdup(out.bytes);
    must(copy != NULL, "small tokenizer");
    ew__buf_release(&out);
    return copy;
}

char *replaced(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    must(at != NULL, from);
    size_t n = strlen(text) - strlen(from) + strlen(to) + 1;
    char *out = malloc(n);
    must(out != NULL, "memory");
    snprintf(out, n, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

struct ew__tokenizer *small_tokenizer(void) {
    struct ew__tokenizer *tokenizer;
    char *json = small_tokenizer_json();
    must(ew__tokenizer_from_json(json, strlen(json), &tokenizer) == EW_OK, "small tokenizer");
    free(json);
    return tokenizer;
}

char *decode_all(const struct ew__tokenizer *tokenizer, const int32_t *ids, size_t count,
                 size_t *n) {
    struct ew__decode_stream stream = {0};
    struct ew__buf out;
    ew__buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++)
        must(ew__decode_next(tokenizer, &stream, ids[i], true, &out) == EW_OK, "decode");
    must(ew__decode_finish(&stream, &out) == EW_OK, "decode");
    char *copy = calloc(out.n + 1, 1);
    must(copy != NULL, "memory");
    memcpy(copy, ew__buf_str(&out).bytes, out.n);
    *n = out.n;
    ew__buf_release(&out);
    return copy;
}
