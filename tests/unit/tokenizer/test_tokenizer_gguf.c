// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/craft.h"
#include "support/small_tokenizer.h"

#include <stdlib.h>

/* The tokenizer.ggml.* keys: the small tokenizer again, as a GGUF file. */

enum { n_tokens = 276, n_merges = 9 }; // two unassigned rows after the small tokenizer's ids

/* What a file says; a NULL string leaves the key out. */
struct plan {
    const char *arch, *model, *pre;
    int32_t types[n_tokens];
    const char *texts[n_tokens]; // instead of the right ones, where not NULL
    const char *merges[n_merges];
    uint64_t type_count;
    uint32_t eos;
    bool no_tokens, no_types, no_merges, types_are_floats, tokens_are_numbers;
};

static void plan_init(struct plan *plan) {
    static const char *const merges[n_merges] = {"h e", "l l", "he ll", "hell o", "Ġ h",
                                                 "Ċ Ċ", "a a", "aa aa", "Ã ©"};
    static const char *const joined[n_merges] = {"he", "ll", "hell", "hello", "Ġh",
                                                 "ĊĊ", "aa", "aaaa", "Ã©"};
    *plan = (struct plan){.arch = "qwen35", .model = "gpt2", .pre = "qwen35", .eos = SMALL_END};
    plan->type_count = n_tokens;
    for (int i = 0; i < n_tokens; i++)
        plan->types[i] = i <= SMALL_E_ACUTE ? 1 : i < SMALL_START ? 5 : i <= SMALL_END ? 3 : 4;
    plan->types[274] = plan->types[275] = 5;
    memcpy(plan->merges, merges, sizeof merges);
    memcpy(plan->texts + 256, joined, sizeof joined);
    for (int i = 265; i < n_tokens; i++)
        plan->texts[i] = "[PAD]";
    plan->texts[SMALL_START] = "<|im_start|>";
    plan->texts[SMALL_END] = "<|im_end|>";
    plan->texts[SMALL_THINK] = "<think>";
    plan->texts[SMALL_THINK_LONG] = "<think>>";
}

static void put_text_key(struct craft *craft, const char *key, const char *value) {
    craft_string(craft, key);
    craft_u32(craft, EW__GGUF_STRING);
    craft_string(craft, value);
}

static void put_array_head(struct craft *craft, const char *key, uint32_t element, uint64_t n) {
    craft_string(craft, key);
    craft_u32(craft, EW__GGUF_ARRAY);
    craft_u32(craft, element);
    craft_u64(craft, n);
}

static void put_tokens(struct craft *craft, const struct plan *plan) {
    if (plan->tokens_are_numbers) {
        put_array_head(craft, "tokenizer.ggml.tokens", EW__GGUF_U8, n_tokens);
        craft_fill(craft, 1, n_tokens);
        return;
    }
    put_array_head(craft, "tokenizer.ggml.tokens", EW__GGUF_STRING, n_tokens);
    for (unsigned i = 0; i < n_tokens; i++)
        if (plan->texts[i] != NULL) {
            craft_string(craft, plan->texts[i]);
        } else {
            struct ew__str character = alphabet_character(i);
            craft_u64(craft, character.n);
            craft_bytes(craft, character.bytes, character.n);
        }
}

static void put_types(struct craft *craft, const struct plan *plan) {
    put_array_head(craft, "tokenizer.ggml.token_type",
                   plan->types_are_floats ? EW__GGUF_F32 : EW__GGUF_I32, plan->type_count);
    for (uint64_t i = 0; i < plan->type_count; i++)
        craft_u32(craft, (uint32_t)plan->types[i % n_tokens]);
}

static void put_merges(struct craft *craft, const struct plan *plan) {
    put_array_head(craft, "tokenizer.ggml.merges", EW__GGUF_STRING, n_merges);
    for (int i = 0; i < n_merges; i++)
        craft_string(craft, plan->merges[i]);
}

static void put_file(struct craft *craft, const struct plan *plan) {
    const char *const keys[] = {"general.architecture", "tokenizer.ggml.model",
                                "tokenizer.ggml.pre"};
    const char *const values[] = {plan->arch, plan->model, plan->pre};
    uint64_t pairs = 1;
    for (int i = 0; i < 3; i++)
        pairs += values[i] != NULL ? 1 : 0;
    pairs += plan->no_tokens ? 0 : 1;
    pairs += plan->no_types ? 0 : 1;
    pairs += plan->no_merges ? 0 : 1;
    craft_text(craft, "GGUF");
    craft_u32(craft, 3);
    craft_u64(craft, 0);
    craft_u64(craft, pairs);
    for (int i = 0; i < 3; i++)
        if (values[i] != NULL)
            put_text_key(craft, keys[i], values[i]);
    if (!plan->no_tokens)
        put_tokens(craft, plan);
    if (!plan->no_types)
        put_types(craft, plan);
    if (!plan->no_merges)
        put_merges(craft, plan);
    craft_string(craft, "tokenizer.ggml.eos_token_id");
    craft_u32(craft, EW__GGUF_U32);
    craft_u32(craft, plan->eos);
    craft_pad(craft, 32);
}

static ew_status load(const struct plan *plan, struct ew__tokenizer **tokenizer) {
    struct craft craft = {0};
    struct ew__gguf *gguf;
    put_file(&craft, plan);
    if (ew__gguf_open_bytes(craft.bytes, craft.n, &gguf) != EW_OK)
        fail_msg("%s", ew_last_error());
    ew_status status = ew__tokenizer_from_gguf(gguf, tokenizer);
    ew__gguf_close(gguf);
    craft_free(&craft); // the tokenizer keeps nothing of the file
    return status;
}

static struct ew__tokenizer *load_well(const struct plan *plan) {
    struct ew__tokenizer *tokenizer;
    if (load(plan, &tokenizer) != EW_OK)
        fail_msg("%s", ew_last_error());
    return tokenizer;
}

static void check_same(const struct ew__tokenizer *a, const struct ew__tokenizer *b) {
    for (int32_t id = 0; id < SMALL_SIZE; id++) {
        ew__token_kind kind_a, kind_b;
        struct ew__str text_a = ew__tokenizer_token(a, id, &kind_a);
        struct ew__str text_b = ew__tokenizer_token(b, id, &kind_b);
        assert_true(ew__str_equal(text_a, text_b));
        assert_int_equal(kind_a, kind_b);
    }
}

static size_t encode(const struct ew__tokenizer *tokenizer, const char *text, int32_t ids[64]) {
    int32_t *out = NULL;
    size_t count = 0, capacity = 0;
    assert_int_equal(
        ew__tokenizer_encode(tokenizer, ew__str(text), EW__ENCODE_SPECIAL, &out, &count, &capacity),
        EW_OK);
    assert_true(count <= 64);
    memcpy(ids, out, count * sizeof *out);
    ew__free(out);
    return count;
}

static void a_gguf_file_gives_the_same_tokenizer(void **state) {
    (void)state;
    struct plan plan;
    plan_init(&plan);
    struct ew__tokenizer *from_gguf = load_well(&plan), *from_json = small_tokenizer();
    int32_t a[64], b[64];
    check_same(from_gguf, from_json);
    const char *text = "<|im_start|>hello aaaa\n\n<think>e\xCC\x81</think>";
    size_t n = encode(from_gguf, text, a);
    assert_int_equal(encode(from_json, text, b), n);
    assert_memory_equal(a, b, n * sizeof *a);
    assert_int_equal(ew__tokenizer_size(from_gguf), n_tokens);
    assert_int_equal(ew__tokenizer_eos(from_gguf), SMALL_END);
    assert_int_equal(ew__tokenizer_pad(from_gguf), -1);
    assert_int_equal(ew__tokenizer_added(from_gguf, ew__str("[PAD]")), -1);
    ew__tokenizer_free(from_gguf);
    ew__tokenizer_free(from_json);
}

static void count_warnings(void *context, int level, const char *line) {
    *(int *)context += level == EW__LOG_WARNING && strstr(line, "qwen35 is used") != NULL;
}

/* Pieces of x + U+0323, which nothing composes: the older rule cuts the mark off. */
static size_t pieces_of_marks(const char *arch, const char *pre) {
    struct plan plan;
    int32_t ids[64];
    plan_init(&plan);
    plan.arch = arch;
    plan.pre = pre;
    plan.merges[8] = "Ì £"; // so that ids tell: x + mark merges only inside one piece
    plan.texts[SMALL_E_ACUTE] = "xÌ";
    plan.merges[7] = "x Ì";
    plan.texts[SMALL_AAAA] = "Ì£";
    struct ew__tokenizer *tokenizer = load_well(&plan);
    size_t n = encode(tokenizer, "x\xCC\xA3", ids);
    assert_int_equal(n, 2);
    n = ids[0] == SMALL_E_ACUTE ? 1 : 2; // pieces
    ew__tokenizer_free(tokenizer);
    return n;
}

static void the_architecture_overrules_an_older_rule(void **state) {
    (void)state;
    int warnings = 0;
    ew__log_set(count_warnings, &warnings);
    assert_int_equal(pieces_of_marks("qwen35", "qwen35"), 1);
    assert_int_equal(warnings, 0);
    assert_int_equal(pieces_of_marks("qwen35", "qwen2"), 1);
    assert_int_equal(pieces_of_marks("qwen35moe", NULL), 1);
    assert_int_equal(warnings, 2);
    assert_int_equal(pieces_of_marks("qwen3", "qwen2"), 2);
    assert_int_equal(pieces_of_marks("qwen3", "qwen35"), 1);
    assert_int_equal(warnings, 2);
    ew__log_set(NULL, NULL);
}

static void expect(const struct plan *plan, ew_status wanted, const char *sentence) {
    struct ew__tokenizer *tokenizer = (struct ew__tokenizer *)&tokenizer;
    assert_int_equal(load(plan, &tokenizer), wanted);
    assert_null(tokenizer);
    if (strstr(ew_last_error(), sentence) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", ew_last_error(), sentence);
}

/* Changes one thing in a good plan. */
#define REFUSED(change, status, sentence)                                                          \
    do {                                                                                           \
        struct plan plan;                                                                          \
        plan_init(&plan);                                                                          \
        change;                                                                                    \
        expect(&plan, status, sentence);                                                           \
    } while (0)

static void files_with_unfit_keys_are_refused(void **state) {
    (void)state;
    REFUSED((plan.model = NULL, plan.no_tokens = true), EW_NOT_FOUND, "the file has no tokenizer");
    REFUSED(plan.model = NULL, EW_UNSUPPORTED, "the tokenizer model \"\" is not byte-level BPE");
    REFUSED(plan.model = "llama", EW_UNSUPPORTED, "the tokenizer model \"llama\"");
    REFUSED((plan.arch = "qwen2", plan.pre = "llama-bpe"), EW_UNSUPPORTED,
            "the split rule \"llama-bpe\" is not one of the Qwen family's");
    REFUSED(plan.no_tokens = true, EW_FORMAT, "a tokenizer without \"tokenizer.ggml.tokens\"");
    REFUSED(plan.no_types = true, EW_FORMAT, "a tokenizer without \"tokenizer.ggml.token_type\"");
    REFUSED(plan.no_merges = true, EW_FORMAT, "a tokenizer without \"tokenizer.ggml.merges\"");
    REFUSED(plan.tokens_are_numbers = true, EW_FORMAT,
            "\"tokenizer.ggml.tokens\" must be an array of strings");
    REFUSED(plan.types_are_floats = true, EW_FORMAT,
            "\"tokenizer.ggml.token_type\" must hold integers");
    REFUSED(plan.type_count--, EW_FORMAT, "the file has 276 tokens, but token types for 275");
    REFUSED(plan.eos = n_tokens, EW_FORMAT, "tokenizer.ggml.eos_token_id");
}

static void files_with_unfit_tokens_are_refused(void **state) {
    (void)state;
    REFUSED(plan.types[7] = 6, EW_UNSUPPORTED, "token 7 has type 6");
    REFUSED(plan.types[7] = 0, EW_UNSUPPORTED, "token 7 has type 0");
    REFUSED(plan.types[7] = -1, EW_UNSUPPORTED, "token 7 has type -1");
    REFUSED(plan.types[7] = 5, EW_FORMAT, "no token for the byte 0x07");
    REFUSED(plan.texts[SMALL_LL] = "he", EW_FORMAT, "the token \"he\" appears twice");
    REFUSED(plan.texts[SMALL_LL] = "", EW_FORMAT, "token 257 is empty");
    REFUSED(plan.texts[SMALL_LL] = "l l", EW_FORMAT, "character outside the byte alphabet");
    REFUSED(plan.texts[SMALL_LL] = "l\xFF", EW_FORMAT, "character outside the byte alphabet");
    REFUSED(plan.texts[SMALL_LL] = "l\xC4", EW_FORMAT, "character outside the byte alphabet");
    REFUSED(plan.texts[SMALL_LL] = "lx", EW_FORMAT, "its result is not in the vocabulary");
    REFUSED(plan.texts[SMALL_END] = "\xFF", EW_FORMAT, "added token 271 is not valid UTF-8");
    REFUSED(plan.texts[SMALL_END] = "<think>", EW_FORMAT, "has two ids, 27");
    REFUSED(plan.merges[0] = "he", EW_FORMAT, "merge 0 \"he\" is not two tokens");
    REFUSED(plan.merges[1] = "h e", EW_FORMAT, "merge 1 \"h\" + \"e\" appears twice");
}

static void an_unknown_token_is_control(void **state) {
    (void)state;
    struct plan plan;
    ew__token_kind kind;
    plan_init(&plan);
    plan.types[SMALL_THINK] = 2;
    struct ew__tokenizer *tokenizer = load_well(&plan);
    ew__tokenizer_token(tokenizer, SMALL_THINK, &kind);
    assert_int_equal(kind, EW__TOKEN_CONTROL);
    ew__tokenizer_free(tokenizer);
}

static ew_status load_and_encode(const struct ew__gguf *gguf) {
    struct ew__tokenizer *tokenizer;
    int32_t *ids = NULL;
    size_t count = 0, capacity = 0;
    static char text[9000];
    memset(text, 'h', sizeof text);
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): a view, its length is given
    memcpy(text, "e\xCC\x81 <think> hello hello \xFF", 25);
    EW__TRY(ew__tokenizer_from_gguf(gguf, &tokenizer));
    ew_status status = ew__tokenizer_encode(tokenizer, ew__str_of(text, sizeof text),
                                            EW__ENCODE_SPECIAL, &ids, &count, &capacity);
    if (status != EW_OK)
        assert_int_equal(count, 0);
    ew__free(ids);
    ew__tokenizer_free(tokenizer);
    return status;
}

/* Each allocation of loading and encoding fails once; the sanitizer build sees leaks. */
static void every_failing_allocation_is_reported(void **state) {
    (void)state;
    struct plan plan;
    struct craft craft = {0};
    struct ew__gguf *gguf;
    ew_status status = EW_NO_MEMORY;
    uint64_t n = 0;
    plan_init(&plan);
    put_file(&craft, &plan);
    assert_int_equal(ew__gguf_open_bytes(craft.bytes, craft.n, &gguf), EW_OK);
    while (status != EW_OK) {
        ew__mem_fail_at(++n);
        status = load_and_encode(gguf);
        ew__mem_fail_at(0);
        assert_true(status == EW_OK || status == EW_NO_MEMORY);
        assert_true(n < 1000);
    }
    assert_true(n > 10);
    ew__gguf_close(gguf);
    craft_free(&craft);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gguf_file_gives_the_same_tokenizer),
        cmocka_unit_test(the_architecture_overrules_an_older_rule),
        cmocka_unit_test(files_with_unfit_keys_are_refused),
        cmocka_unit_test(files_with_unfit_tokens_are_refused),
        cmocka_unit_test(an_unknown_token_is_control),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("tokenizer_gguf", tests, NULL, NULL);
}
