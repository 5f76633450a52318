// SPDX-License-Identifier: Apache-2.0
/* Writes the seeds of fuzz_gguf, fuzz_safetensors, fuzz_json_config, fuzz_pack_head,
 * fuzz_kl_base, fuzz_imatrix and fuzz_affine under a folder (normally tests/fuzz/corpus): a valid
 * file and every broken one of the tests' tables, the large ones left out. Usage: make_seeds CORPUS
 */
#include "support/bad_files.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { seed_bytes_max = 8192 };

static const char *corpus;

static void write_seed(const char *target, size_t number, const struct craft *file) {
    char path[4096];
    if (file->n > seed_bytes_max)
        return;
    snprintf(path, sizeof path, "%s/%s", corpus, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/seed-%02zu", corpus, target, number);
    FILE *out = fopen(path, "wb");
    if (out == NULL || (file->n != 0 && fwrite(file->bytes, 1, file->n, out) != file->n) ||
        fclose(out) != 0) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
}

/* Pairs of every type, and an alignment of 8. */
static void add_every_type(struct gguf_plan *plan) {
    static const struct {
        uint32_t type;
        unsigned bytes;
        const char *key;
    } types[] = {{1, 1, "i8"}, {3, 2, "i16"}, {6, 4, "f32"}, {10, 8, "u64"}, {12, 8, "f64"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        craft_fill(&gguf_plan_kv(plan, types[i].key, types[i].type)->value, 0x41, types[i].bytes);
    gguf_plan_u32(plan, "general.alignment", 8);
    plan->alignment = 8;
    plan->version = 2;
}

static void gguf_seeds(void) {
    for (size_t i = 0; i <= bad_gguf_count + 1; i++) {
        struct gguf_plan plan;
        struct craft file = {0};
        gguf_plan_init(&plan);
        if (i < bad_gguf_count)
            bad_ggufs[i].damage(&plan);
        else if (i == bad_gguf_count)
            add_every_type(&plan);
        gguf_plan_build(&plan, &file);
        write_seed("fuzz_gguf", i, &file);
        craft_free(&file);
        gguf_plan_free(&plan);
    }
}

static void safetensors_seeds(void) {
    static const char valid[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"w\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
        "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"q\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[16,18]}}";
    struct craft file = {0};
    for (size_t i = 0; i < bad_safetensors_count; i++) {
        build_safetensors(bad_safetensors[i].header, bad_safetensors[i].claimed,
                          bad_safetensors[i].data_bytes, &file);
        write_seed("fuzz_safetensors", i, &file);
        craft_free(&file);
    }
    build_safetensors(valid, 0, 18, &file);
    write_seed("fuzz_safetensors", bad_safetensors_count, &file);
    craft_free(&file);
}

static void json_seeds(void) {
    static const char *const texts[] = {
        "{\"hidden_size\":1024,\"rms_norm_eps\":1e-06,\"tie_word_embeddings\":true,\"x\":null}",
        "{\"layer_types\":[\"linear_attention\",\"full_attention\"],\"rope\":{\"theta\":1e7}}",
        "{\"big\":9223372036854775807,\"neg\":-1,\"whole\":3.0,\"part\":3.5,\"huge\":1e308}",
        "{\"text\":\"a\\u0000b\\ud83d\\ude00\\n\",\"\":\"\"}",
        "{\"a\":1,\"a\":2}",
        "[[[[[[{\"a\":[{}]}]]]]]]",
        "{\"bad\":\"\\ud800\"}",
        "[1e400,-0,0.0e-9999]",
        " \"text\" ",
        "{\"\x80\":1}",
    };
    struct craft file = {0};
    size_t n = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < n; i++) {
        craft_text(&file, texts[i]);
        write_seed("fuzz_json_config", i, &file);
        craft_free(&file);
    }
    craft_fill(&file, '[', 70);
    craft_fill(&file, ']', 70);
    write_seed("fuzz_json_config", n, &file);
    craft_free(&file);
}

/* Heads of packed weights with 0 to 2 matrices; their digests are made up by the target. */
static void pack_head_seeds(void) {
    enum { first = 4096, matrix_bytes = 100, place = 128 };
    for (uint32_t n = 0; n < 3; n++) {
        struct craft file = {0};
        craft_text(&file, "EWPACKED");
        craft_u32(&file, 1);
        craft_u32(&file, 1);
        craft_u64(&file, 11);
        craft_u64(&file, 22);
        craft_u64(&file, first + n * place);
        craft_u64(&file, first);
        craft_u32(&file, n);
        craft_u32(&file, 6);
        craft_u64(&file, 0);
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t row[] = {12, 16, 256, first + i * place, matrix_bytes, 0};
            for (size_t k = 0; k < sizeof row / sizeof row[0]; k++)
                craft_u64(&file, row[k]);
        }
        craft_text(&file, "m.gguf");
        craft_pad(&file, first);
        craft_fill(&file, 1, n * place);
        write_seed("fuzz_pack_head", n, &file);
        craft_free(&file);
    }
}

/* A chunk of 8 tokens out of 300, then `n` distributions of three tokens each. */
static void kl_base_seeds(void) {
    for (uint32_t n = 0; n < 4; n++) {
        struct craft file = {0};
        craft_text(&file, "EWKLBASE");
        craft_u32(&file, n == 3 ? 2 : 1); // the last one of another version
        craft_u32(&file, 300);
        craft_u32(&file, 8);
        craft_u32(&file, 1);
        for (uint32_t i = 0; i < 8; i++)
            craft_u32(&file, 37 * i);
        for (uint32_t i = 0; i < n; i++) {
            craft_u32(&file, 3);
            craft_u32(&file, 5);
            craft_u32(&file, 1u << 18);
            craft_u32(&file, 0xbf800000); // -1.0F
            craft_text(&file, "\x05\x10\x01\x80\x01\x20\x08\x02\x30\x09");
        }
        write_seed("fuzz_kl_base", n, &file);
        craft_free(&file);
    }
}

/* 0 to 2 tensors of two columns; the last with the tail that tells of chunks and text. */
static void imatrix_seeds(void) {
    for (uint32_t n = 0; n < 3; n++) {
        struct craft file = {0};
        craft_u32(&file, n);
        for (uint32_t i = 0; i < n; i++) {
            craft_u32(&file, 7);
            craft_text(&file, i == 0 ? "blk.0.a" : "blk.1.b");
            craft_u32(&file, 4);
            craft_u32(&file, 2);
            craft_u32(&file, 0x41000000);
            craft_u32(&file, 0x40000000);
        }
        if (n == 2) {
            craft_u32(&file, 10);
            craft_u32(&file, 4);
            craft_text(&file, "text");
        }
        write_seed("fuzz_imatrix", n, &file);
        craft_free(&file);
    }
}

/* One module of 2 rows of 64 columns in each width; then with an override, other formats, and a
 * module without biases. */
static void affine_seed(size_t number, const char *config, unsigned bits, bool biases) {
    struct craft file = {0};
    char header[512];
    size_t words = bits * 4 * 4, scales = 2 * 2 * 2; // bytes of both rows; two groups each
    int n = snprintf(header, sizeof header,
                     "{\"a.weight\":{\"dtype\":\"U32\",\"shape\":[2,%u],\"data_offsets\":[0,%zu]},"
                     "\"a.scales\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[%zu,%zu]}",
                     bits * 2, words, words, words + scales);
    if (biases)
        n += snprintf(
            header + n, sizeof header - (size_t)n,
            ",\"a.biases\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[%zu,%zu]}",
            words + scales, words + 2 * scales);
    snprintf(header + n, sizeof header - (size_t)n, "}");
    craft_u16(&file, (unsigned)strlen(config));
    craft_text(&file, config);
    craft_string(&file, header);
    for (size_t i = 0; i < words; i++)
        craft_u8(&file, (unsigned)(i * 37 + 11) & 255u);
    for (size_t i = 0; i < (biases ? 8 : 4); i++)
        craft_u16(&file, 0x3c00u + (unsigned)i);
    write_seed("fuzz_affine", number, &file);
    craft_free(&file);
}

static void affine_seeds(void) {
    static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
    char config[128];
    for (size_t i = 0; i < 6; i++) {
        snprintf(config, sizeof config, "{\"quantization\":{\"group_size\":32,\"bits\":%u}}",
                 widths[i]);
        affine_seed(i, config, widths[i], true);
    }
    affine_seed(6, "{\"quantization\":{\"group_size\":64,\"bits\":4,\"a\":{\"group_size\":32}}}", 4,
                true);
    affine_seed(7, "{\"quantization\":{\"group_size\":32,\"bits\":4,\"a\":false}}", 4, true);
    affine_seed(8, "{\"quantization_config\":{\"quant_method\":\"gptq\"}}", 4, true);
    affine_seed(9, "{\"quantization\":{\"mode\":\"nvfp4\"}}", 4, true);
    affine_seed(10, "{\"quantization\":{\"group_size\":32,\"bits\":4}}", 4, false);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds CORPUS\n");
        return 2;
    }
    corpus = argv[1];
    gguf_seeds();
    safetensors_seeds();
    json_seeds();
    pack_head_seeds();
    kl_base_seeds();
    imatrix_seeds();
    affine_seeds();
    return 0;
}
