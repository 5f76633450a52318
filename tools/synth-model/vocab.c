// SPDX-License-Identifier: Apache-2.0
#include "vocab.h"

#include "sample_text.h"

#include <stdlib.h>
#include <string.h>

enum { LEARNED_MERGES = 311, BYTE_COUNT = 256, TOKEN_BYTES_MAX = 24 };

const struct vocab_added vocab_added[VOCAB_ADDED_COUNT] = {
    {"<|endoftext|>", true},      {"<|im_start|>", true},
    {"<|im_end|>", true},         {"<|object_ref_start|>", true},
    {"<|object_ref_end|>", true}, {"<|box_start|>", true},
    {"<|box_end|>", true},        {"<|quad_start|>", true},
    {"<|quad_end|>", true},       {"<|vision_start|>", true},
    {"<|vision_end|>", true},     {"<|vision_pad|>", true},
    {"<|image_pad|>", true},      {"<|video_pad|>", true},
    {"<tool_call>", false},       {"</tool_call>", false},
    {"<|fim_prefix|>", false},    {"<|fim_middle|>", false},
    {"<|fim_suffix|>", false},    {"<|fim_pad|>", false},
    {"<|repo_name|>", false},     {"<|file_sep|>", false},
    {"<tool_response>", false},   {"</tool_response>", false},
    {"<think>", false},           {"</think>", false},
    {"<|audio_start|>", true},    {"<|audio_end|>", true},
    {"<tts_pad>", true},          {"<tts_text_bos>", true},
    {"<tts_text_eod>", true},     {"<tts_text_bos_single>", true},
    {"<|audio_pad|>", true},
};

const char vocab_chat_template[] =
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}";

/* Adds a token with these bytes; false when there is one already or the vocabulary is full. */
static bool add_token(struct vocab *vocab, const char *bytes, size_t n, ew_status *status) {
    uint32_t id = (uint32_t)vocab->ids.count, known;
    char *copy = vocab->bytes + vocab->n_bytes;
    if (*status != EW_OK || id == vocab->n_base || n > TOKEN_BYTES_MAX ||
        ew__map_get(&vocab->ids, ew__str_of(bytes, n), &known))
        return false;
    memcpy(copy, bytes, n);
    vocab->n_bytes += n;
    vocab->tokens[id] = ew__str_of(copy, n);
    *status = ew__map_add(&vocab->ids, vocab->tokens[id], id, NULL);
    return *status == EW_OK;
}

static bool add_merge(struct vocab *vocab, uint32_t left, uint32_t right, ew_status *status) {
    char bytes[2 * TOKEN_BYTES_MAX];
    struct ew__str a = vocab->tokens[left], b = vocab->tokens[right];
    memcpy(bytes, a.bytes, a.n);
    memcpy(bytes + a.n, b.bytes, b.n);
    if (!add_token(vocab, bytes, a.n + b.n, status))
        return false;
    vocab->merges[vocab->n_merges++] = (struct vocab_merge){left, right};
    return true;
}

/* GPT-2's order of the byte tokens: the printable ones first. */
static void add_bytes(struct vocab *vocab, ew_status *status) {
    for (int pass = 0; pass < 2; pass++)
        for (int byte = 0; byte < BYTE_COUNT; byte++) {
            bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
            char c = (char)byte;
            if (printable == (pass == 0))
                (void)add_token(vocab, &c, 1, status);
        }
}

static uint32_t id_of(const struct vocab *vocab, const char *bytes, size_t n) {
    uint32_t id = UINT32_MAX;
    (void)ew__map_get(&vocab->ids, ew__str_of(bytes, n), &id);
    return id;
}

/* ---- learning ---- */

enum { SAMPLE_BYTES = sizeof sample_text - 1 };

struct sample {
    uint32_t ids[SAMPLE_BYTES];
    uint8_t starts[SAMPLE_BYTES]; /* 1: a piece of the pre-tokenizer begins here */
    size_t n;
};

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters with the space before them, runs of spaces, and single characters: merges that cross the
 * pre-tokenizer's borders would never be used. */
static void cut_sample(const struct vocab *vocab, struct sample *sample) {
    sample->n = SAMPLE_BYTES;
    for (size_t i = 0; i < SAMPLE_BYTES; i++) {
        char c = sample_text[i], before = i == 0 ? '\n' : sample_text[i - 1];
        bool joins = is_letter(c) ? is_letter(before) || before == ' ' : c == before && c <= ' ';
        sample->ids[i] = id_of(vocab, &sample_text[i], 1);
        sample->starts[i] = !joins;
    }
}

static int compare_pairs(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The most frequent pair, the lowest ids among equals; false when none is seen twice. */
static bool best_pair(const struct sample *sample, uint64_t *pairs, struct vocab_merge *out) {
    size_t n = 0, best = 1, run = 0;
    for (size_t i = 0; i + 1 < sample->n; i++)
        if (!sample->starts[i + 1])
            pairs[n++] = (uint64_t)sample->ids[i] << 32 | sample->ids[i + 1];
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < n; i++) {
        run = i != 0 && pairs[i] == pairs[i - 1] ? run + 1 : 1;
        if (run > best) {
            best = run;
            *out = (struct vocab_merge){(uint32_t)(pairs[i] >> 32), (uint32_t)pairs[i]};
        }
    }
    return best > 1;
}

static void apply_merge(struct sample *sample, struct vocab_merge merge, uint32_t result) {
    size_t n = 0;
    for (size_t i = 0; i < sample->n; i++) {
        bool found = i + 1 < sample->n && !sample->starts[i + 1] && sample->ids[i] == merge.left &&
                     sample->ids[i + 1] == merge.right;
        sample->starts[n] = sample->starts[i];
        sample->ids[n++] = found ? result : sample->ids[i];
        i += found;
    }
    sample->n = n;
}

static ew_status learn(struct vocab *vocab, uint32_t n_merges) {
    ew_status status = EW_OK;
    struct sample *sample = ew__arena_alloc(&vocab->arena, sizeof *sample);
    uint64_t *pairs = ew__arena_alloc(&vocab->arena, SAMPLE_BYTES * sizeof *pairs);
    struct vocab_merge merge = {0, 0};
    if (sample == NULL || pairs == NULL)
        return EW_NO_MEMORY;
    cut_sample(vocab, sample);
    while (vocab->n_merges < n_merges && best_pair(sample, pairs, &merge)) {
        uint32_t result = (uint32_t)vocab->ids.count;
        if (!add_merge(vocab, merge.left, merge.right, &status))
            return status != EW_OK ? status : ew__fail(EW_INTERNAL, "two ways to spell one token");
        apply_merge(sample, merge, result);
    }
    return EW_OK;
}

/* ---- letter combinations ---- */

static const char letters[] = "etaoinshrdlcumwfgypbvkjxqz"; // by frequency in English

/* Every token of two strings: `left` of n_left letters (after a space or not) and n_right letters,
 * while there is room. Combinations count like an odometer, the last letter fastest. */
static void combine(struct vocab *vocab, bool space, uint32_t n_left, uint32_t n_right,
                    ew_status *status) {
    uint32_t n = n_left + n_right, at[8] = {0};
    char text[9];
    while (*status == EW_OK && vocab->ids.count < vocab->n_base) {
        size_t left_bytes = space + n_left;
        text[0] = ' ';
        for (uint32_t i = 0; i < n; i++)
            text[space + i] = letters[at[i]];
        uint32_t left = id_of(vocab, text, left_bytes);
        uint32_t right = id_of(vocab, text + left_bytes, n_right);
        if (left != UINT32_MAX && right != UINT32_MAX)
            (void)add_merge(vocab, left, right, status);
        uint32_t digit = n;
        while (digit > 0 && ++at[digit - 1] == 26)
            at[--digit] = 0;
        if (digit == 0)
            return;
    }
}

static ew_status fill_up(struct vocab *vocab) {
    ew_status status = EW_OK;
    combine(vocab, true, 0, 1, &status);
    combine(vocab, false, 1, 1, &status);
    combine(vocab, true, 0, 2, &status);
    combine(vocab, false, 2, 1, &status);
    combine(vocab, true, 0, 3, &status);
    combine(vocab, false, 2, 2, &status);
    if (status == EW_OK && vocab->ids.count < vocab->n_base)
        return ew__fail(EW_ARGUMENT, "a vocabulary has at most %zu base tokens here",
                        vocab->ids.count);
    return status;
}

/* ---- all of it ---- */

static ew_status share_out(uint32_t size, struct vocab *vocab) {
    if (size == 1) {
        vocab->n_base = BYTE_COUNT + LEARNED_MERGES;
        vocab->n_total = (vocab->n_base + VOCAB_ADDED_COUNT + 31) / 32 * 32;
        return EW_OK;
    }
    uint32_t unused = (uint32_t)((uint64_t)size * 243 / 248320); // as in the published vocabulary
    if (size < BYTE_COUNT + VOCAB_ADDED_COUNT + unused || size > 1u << 19)
        return ew__fail(EW_ARGUMENT, "a vocabulary of %u ids is out of range", size);
    vocab->n_total = size;
    vocab->n_base = size - VOCAB_ADDED_COUNT - unused;
    return EW_OK;
}

static ew_status build(struct vocab *vocab) {
    ew_status status = EW_OK;
    vocab->bytes_capacity = (size_t)vocab->n_base * 8 + LEARNED_MERGES * TOKEN_BYTES_MAX;
    vocab->bytes = ew__arena_alloc(&vocab->arena, vocab->bytes_capacity);
    vocab->tokens = ew__arena_alloc(&vocab->arena, vocab->n_base * sizeof *vocab->tokens);
    vocab->merges = ew__arena_alloc(&vocab->arena, vocab->n_base * sizeof *vocab->merges);
    if (vocab->bytes == NULL || vocab->tokens == NULL || vocab->merges == NULL)
        return EW_NO_MEMORY;
    EW__TRY(ew__map_init(&vocab->ids, vocab->n_base));
    add_bytes(vocab, &status);
    EW__TRY(status);
    uint32_t wanted = vocab->n_base - BYTE_COUNT;
    EW__TRY(learn(vocab, wanted < LEARNED_MERGES ? wanted : LEARNED_MERGES));
    return fill_up(vocab);
}

ew_status vocab_make(uint32_t size, struct vocab *out) {
    *out = (struct vocab){0};
    EW__TRY(share_out(size, out));
    ew_status status = build(out);
    if (status != EW_OK)
        vocab_release(out);
    return status;
}

void vocab_release(struct vocab *vocab) {
    ew__map_release(&vocab->ids);
    ew__arena_release(&vocab->arena);
    *vocab = (struct vocab){0};
}

uint32_t vocab_added_id(const struct vocab *vocab, const char *text) {
    for (uint32_t i = 0; i < VOCAB_ADDED_COUNT; i++)
        if (strcmp(vocab_added[i].text, text) == 0)
            return vocab->n_base + i;
    return UINT32_MAX;
}
