// SPDX-License-Identifier: Apache-2.0
/* tools/synth-model: every form it writes is accepted, and its weights have the wanted statistics.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/os.h"
#include "edgewise/checkpoint.h"
#include "edgewise/edgewise.h"
#include "formats/gguf_read.h"
#include "quant/quant.h"
#include "support/temp_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char tool[1024];

/* <build>/tests/test_synth_model -> <build>/tools/synth-model/synth-model */
static int find_tool(void **state) {
    (void)state;
    ssize_t n = readlink("/proc/self/exe", tool, sizeof tool - 64);
    if (n < 0)
        return -1;
    tool[n] = '\0';
    for (int up = 0; up < 2; up++)
        *strrchr(tool, '/') = '\0';
    snprintf(tool + strlen(tool), sizeof tool - strlen(tool), "/tools/synth-model/synth-model");
    return access(tool, X_OK);
}

static int run(const char *arguments) {
    char command[4096];
    snprintf(command, sizeof command, "'%s' %s >/dev/null 2>&1", tool, arguments);
    int status = system(command); // NOLINT(cert-env33-c): our own program and paths
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void make(const char *size, const char *out, const char *options) {
    char arguments[2048];
    snprintf(arguments, sizeof arguments, "%s '%s' %s", size, out, options);
    if (run(arguments) != 0)
        fail_msg("synth-model %s failed", arguments);
}

static void expect_no_problem(const char *path) {
    ew_inspection *it;
    if (ew_inspect(path, true, &it) != EW_OK)
        fail_msg("%s", ew_last_error());
    if (ew_inspection_problem_count(it) != 0)
        fail_msg("%s: %s", path, ew_inspection_problem(it, 0));
    ew_inspection_free(it);
}

/* Mean near 0 and deviation near 1 / sqrt(columns), as a projection has. */
static void check_statistics(const struct ew__tensor *tensor) {
    uint64_t n = ew__tensor_elements(tensor);
    float *values = malloc((size_t)n * sizeof *values);
    double sum = 0, squares = 0, want = 1 / sqrt((double)tensor->dims[0]);
    assert_true(ew__dequantize_row((ew__dtype)tensor->type, tensor->data, values, n));
    for (uint64_t i = 0; i < n; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    free(values);
    double mean = sum / (double)n, deviation = sqrt(squares / (double)n - mean * mean);
    if (fabs(mean) > 0.02 * want || fabs(deviation / want - 1) > 0.03)
        fail_msg("%.*s (%s): mean %g, deviation %g, wanted %g", (int)tensor->name.n,
                 tensor->name.bytes, ew__dtype_name(tensor->type), mean, deviation, want);
}

static void every_type_is_well_formed(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ew__dtype gate;
    } types[] = {{"f32", EW__F32},     {"f16", EW__F16},       {"bf16", EW__BF16},
                 {"q8_0", EW__Q8_0},   {"q4_0", EW__Q4_0},     {"q4_1", EW__Q4_1},
                 {"q5_0", EW__Q5_0},   {"q5_1", EW__Q5_1},     {"q2_k", EW__Q2_K},
                 {"q3_k_m", EW__Q3_K}, {"q4_k_m", EW__Q4_K},   {"q5_k_m", EW__Q5_K},
                 {"q6_k", EW__Q6_K},   {"iq4_nl", EW__IQ4_NL}, {"iq4_xs", EW__IQ4_XS}};
    struct temp_folder temp;
    temp_folder_make(&temp);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct ew__gguf *gguf;
        char options[128];
        snprintf(options, sizeof options, "--type %s hidden_size=256 intermediate_size=512",
                 types[i].name);
        make("tiny", temp_path(&temp, "m.gguf"), options);
        expect_no_problem(temp_path(&temp, "m.gguf"));
        assert_int_equal(ew__gguf_open(temp_path(&temp, "m.gguf"), &gguf), EW_OK);
        const struct ew__tensor *gate = ew__gguf_tensor(gguf, ew__str("blk.1.ffn_gate.weight"));
        assert_int_equal(gate->type, types[i].gate);
        check_statistics(gate);
        check_statistics(ew__gguf_tensor(gguf, ew__str("blk.0.ffn_down.weight")));
        ew__gguf_close(gguf);
    }
    temp_folder_remove(&temp);
}

static void q4_k_m_favours_the_layers_that_llama_cpp_does(void **state) {
    (void)state;
    static const char favoured[] = {0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23};
    struct temp_folder temp;
    struct ew__gguf *gguf;
    temp_folder_make(&temp);
    make("tiny", temp_path(&temp, "m.gguf"),
         "--type q4_k_m hidden_size=256 intermediate_size=256 num_hidden_layers=24");
    assert_int_equal(ew__gguf_open(temp_path(&temp, "m.gguf"), &gguf), EW_OK);
    for (unsigned layer = 0; layer < 24; layer++) {
        char name[64];
        bool is_favoured = memchr(favoured, (int)layer, sizeof favoured) != NULL;
        const char *mixer = layer % 4 == 3 ? "attn_v" : "attn_qkv";
        snprintf(name, sizeof name, "blk.%u.ffn_down.weight", layer);
        assert_int_equal(ew__gguf_tensor(gguf, ew__str(name))->type,
                         is_favoured ? EW__Q6_K : EW__Q4_K);
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, mixer);
        assert_int_equal(ew__gguf_tensor(gguf, ew__str(name))->type,
                         is_favoured ? EW__Q6_K : EW__Q4_K);
    }
    assert_int_equal(ew__gguf_tensor(gguf, ew__str("token_embd.weight"))->type, EW__Q6_K);
    ew__gguf_close(gguf);
    temp_folder_remove(&temp);
}

/* ---- the tokenizer ---- */

static ew_model *load(const char *path) {
    ew_model *model;
    if (ew_model_load(path, NULL, &model) != EW_OK)
        fail_msg("%s", ew_last_error());
    return model;
}

static void expect_same_tokens(const ew_model *a, const ew_model *b) {
    static const char text[] =
        "The river was low.\n\n  \"Caf\xc3\xa9\" costs 13 \xe4\xbd\xa0\xe5\xa5\xbd"
        "<|im_end|>\n<think>value += 1;";
    int32_t *ids[2];
    size_t counts[2], n;
    char *back;
    assert_int_equal(
        ew_tokenize(a, text, sizeof text - 1, EW_TOKENIZE_SPECIAL, &ids[0], &counts[0]), EW_OK);
    assert_int_equal(
        ew_tokenize(b, text, sizeof text - 1, EW_TOKENIZE_SPECIAL, &ids[1], &counts[1]), EW_OK);
    assert_int_equal(counts[0], counts[1]);
    assert_memory_equal(ids[0], ids[1], counts[0] * sizeof **ids);
    assert_true(counts[0] < sizeof text - 10); // merges are at work
    assert_int_equal(ew_detokenize(a, ids[0], counts[0], true, &back, &n), EW_OK);
    assert_int_equal(n, sizeof text - 1);
    assert_memory_equal(back, text, n);
    ew_free(back);
    ew_free(ids[0]);
    ew_free(ids[1]);
}

static void folder_converts_with_its_tokenizer(void **state) {
    (void)state;
    static const char *const vocabs[] = {"--mtp --vision", "--mtp --vision --vocab 20000"};
    struct temp_folder temp, folder;
    for (size_t i = 0; i < 2; i++) {
        temp_folder_make(&temp);
        temp_folder_make(&folder);
        char options[64];
        snprintf(options, sizeof options, "--hf %s", vocabs[i]);
        make("tiny", folder.path, options);
        expect_no_problem(folder.path);
        assert_int_equal(ew_convert(folder.path, temp_path(&temp, "m.gguf"), NULL), EW_OK);
        assert_int_equal(temp_folder_count(&temp), 2); // with the mmproj file
        expect_no_problem(temp_path(&temp, "m.gguf"));
        ew_model *from_folder = load(folder.path), *from_file = load(temp_path(&temp, "m.gguf"));
        ew_model_info info = EW_INIT(ew_model_info);
        assert_int_equal(ew_model_get_info(from_file, &info), EW_OK);
        assert_true(info.has_mtp && info.has_tokenizer);
        assert_int_equal(info.n_vocab, i == 0 ? 608 : 20000);
        assert_int_equal(info.eos_token, ew_token_by_text(from_folder, "<|im_end|>"));
        assert_string_equal(ew_model_chat_template(from_file), ew_model_chat_template(from_folder));
        expect_same_tokens(from_folder, from_file);
        ew_model_free(from_folder);
        ew_model_free(from_file);
        temp_folder_remove(&temp);
        temp_folder_remove(&folder);
    }
}

/* ---- repeatability and usage ---- */

/* Bytes that differ; SIZE_MAX for files of different lengths. */
static size_t difference(const char *a, const char *b) {
    struct ew__buf x, y;
    assert_int_equal(ew__file_read(a, 1 << 24, &x), EW_OK);
    assert_int_equal(ew__file_read(b, 1 << 24, &y), EW_OK);
    size_t count = x.n == y.n ? 0 : SIZE_MAX;
    for (size_t i = 0; count != SIZE_MAX && i < x.n; i++)
        count += x.bytes[i] != y.bytes[i];
    ew__buf_release(&x);
    ew__buf_release(&y);
    return count;
}

static void the_seed_decides(void **state) {
    (void)state;
    struct temp_folder temp;
    temp_folder_make(&temp);
    make("tiny", temp_path(&temp, "a.gguf"), "--seed 5");
    make("tiny", temp_path(&temp, "b.gguf"), "--seed 5");
    make("tiny", temp_path(&temp, "c.gguf"), "--seed 6");
    assert_int_equal(difference(temp_path(&temp, "a.gguf"), temp_path(&temp, "b.gguf")), 0);
    assert_true(difference(temp_path(&temp, "a.gguf"), temp_path(&temp, "c.gguf")) > 100000);
    temp_folder_remove(&temp);
}

static void the_model_of_the_repository_can_be_made_again(void **state) {
    (void)state;
    struct temp_folder temp;
    temp_folder_make(&temp);
    make("tiny", temp_path(&temp, "tiny.gguf"), "--name edgewise-tiny-random");
    /* 24 decays and time steps go through exp and log, whose last bit is the C library's. */
    assert_in_range(difference("tests/data/models/random.gguf", temp_path(&temp, "tiny.gguf")), 0,
                    24);
    temp_folder_remove(&temp);
}

static void misuse_is_refused(void **state) {
    (void)state;
    assert_int_equal(run("huge /tmp/x.gguf"), 2);
    assert_int_equal(run("tiny"), 2);
    assert_int_equal(run("tiny /tmp/x.gguf --type q9"), 2);
    assert_int_equal(run("tiny /tmp/x.gguf colour=3"), 2);
    assert_int_equal(run("tiny /tmp/x.gguf hidden_size=many"), 2);
    assert_int_equal(run("tiny /tmp/x --hf --type q4_0"), 2);
    assert_int_equal(run("tiny /tmp/x.gguf --vision"), 2);
    assert_int_equal(run("tiny /tmp/x.gguf num_key_value_heads=3"), 1);
    assert_int_equal(run("tiny /nonexistent/x.gguf"), 1);
    assert_int_equal(run("--help"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_well_formed),
        cmocka_unit_test(q4_k_m_favours_the_layers_that_llama_cpp_does),
        cmocka_unit_test(folder_converts_with_its_tokenizer),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(the_model_of_the_repository_can_be_made_again),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, find_tool, NULL);
}
