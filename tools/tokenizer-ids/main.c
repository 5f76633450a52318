// SPDX-License-Identifier: Apache-2.0
/* tokenizer-ids TOKENIZER TEXTS.json   ids of each text of [{"text": "..."}], one array per line,
 *                                      added tokens matched
 * tokenizer-ids TOKENIZER --time FILE  load and encoding time (of the processor) and memory
 *
 * TOKENIZER is a tokenizer.json or a .gguf file. */
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/os.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static ew_status load_json(const char *path, struct ew__tokenizer **tokenizer) {
    struct ew__buf text;
    EW__TRY(ew__file_read(path, EW__JSON_BYTES_MAX, &text));
    ew_status status = ew__tokenizer_from_json(ew__buf_str(&text).bytes, text.n, tokenizer);
    ew__buf_release(&text);
    return status;
}

static ew_status load_gguf(const char *path, struct ew__tokenizer **tokenizer) {
    struct ew__gguf *gguf;
    EW__TRY(ew__gguf_open(path, &gguf));
    ew_status status = ew__tokenizer_from_gguf(gguf, tokenizer);
    ew__gguf_close(gguf);
    return status;
}

static ew_status load(const char *path, struct ew__tokenizer **tokenizer) {
    return ew__str_ends(ew__str(path), ".gguf") ? load_gguf(path, tokenizer)
                                                : load_json(path, tokenizer);
}

static ew_status print_ids(const struct ew__tokenizer *tokenizer, const json_t *entry) {
    struct ew__str text = ew__str("");
    int32_t *ids = NULL;
    size_t count = 0, capacity = 0;
    EW__TRY(ew__json_str(entry, "text", &text));
    ew_status status =
        ew__tokenizer_encode(tokenizer, text, EW__ENCODE_SPECIAL, &ids, &count, &capacity);
    if (status == EW_OK) {
        putchar('[');
        for (size_t i = 0; i < count; i++)
            printf(i == 0 ? "%d" : ",%d", ids[i]);
        puts("]");
    }
    ew__free(ids);
    return status;
}

static ew_status print_all(const struct ew__tokenizer *tokenizer, const char *path) {
    json_t *texts;
    ew_status status = EW_OK;
    EW__TRY(ew__json_load(path, EW__JSON_BYTES_MAX, &texts));
    for (size_t i = 0; i < json_array_size(texts) && status == EW_OK; i++)
        status = print_ids(tokenizer, json_array_get(texts, i));
    json_decref(texts);
    return status;
}

/* Processor time, which a busy machine does not stretch as it does wall time. */
static double processor_ms(void) {
    return (double)clock() * 1e3 / CLOCKS_PER_SEC;
}

/* The best of five runs. */
static ew_status time_encoding(const struct ew__tokenizer *tokenizer, const char *path) {
    struct ew__buf text;
    double best = HUGE_VAL;
    size_t count = 0;
    EW__TRY(ew__file_read(path, EW__TEXT_BYTES_MAX, &text));
    ew_status status = EW_OK;
    for (int run = 0; run < 5 && status == EW_OK; run++) {
        int32_t *ids = NULL;
        size_t capacity = 0;
        count = 0;
        double start = processor_ms();
        status = ew__tokenizer_encode(tokenizer, ew__buf_str(&text), EW__ENCODE_SPECIAL, &ids,
                                      &count, &capacity);
        double taken = processor_ms() - start;
        best = taken < best ? taken : best;
        ew__free(ids);
    }
    printf("encoded %zu bytes to %zu ids in %.1f ms: %.1f MB/s; peak memory %zu MB\n", text.n,
           count, best, (double)text.n / best / 1e3, ew__peak_rss_bytes() >> 20);
    ew__buf_release(&text);
    return status;
}

static ew_status run(char **arguments, bool timing) {
    struct ew__tokenizer *tokenizer;
    double start = processor_ms();
    EW__TRY(load(arguments[1], &tokenizer));
    double taken = processor_ms() - start;
    if (timing)
        printf("loaded %u tokens in %.1f ms; resident memory %zu MB, peak %zu MB\n",
               ew__tokenizer_size(tokenizer), taken, ew__rss_bytes() >> 20,
               ew__peak_rss_bytes() >> 20);
    ew_status status =
        timing ? time_encoding(tokenizer, arguments[3]) : print_all(tokenizer, arguments[2]);
    ew__tokenizer_free(tokenizer);
    return status;
}

int main(int count, char **arguments) {
    bool timing = count == 4 && ew__str_is(ew__str(arguments[2]), "--time");
    if (count != 3 && !timing) {
        fprintf(stderr, "usage: tokenizer-ids TOKENIZER (TEXTS.json | --time FILE)\n");
        return 2;
    }
    if (run(arguments, timing) != EW_OK) {
        fprintf(stderr, "tokenizer-ids: %s\n", ew_last_error());
        return 1;
    }
    return 0;
}
