// SPDX-License-Identifier: Apache-2.0
#include "kl_base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 24, VERSION = 1, VOCAB_MOST = 1 << 24, CTX_MOST = 1 << 20 };
static const char MAGIC[8] = {'E', 'W', 'K', 'L', 'B', 'A', 'S', 'E'};

size_t chunks_scored(const chunks *text) {
    return text->n_ctx - text->n_ctx / 2 - 1;
}

static void store_u32(unsigned char *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t load_u32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool kl_base_create(whole_file *out, const char *path, const chunks *text) {
    unsigned char head[HEAD_BYTES], word[4];
    memcpy(head, MAGIC, sizeof(MAGIC));
    store_u32(head + 8, VERSION);
    store_u32(head + 12, text->n_vocab);
    store_u32(head + 16, text->n_ctx);
    store_u32(head + 20, text->n_chunk);
    if (!whole_file_create(out, path) || fwrite(head, 1, HEAD_BYTES, out->file) != HEAD_BYTES)
        return false;
    for (size_t i = 0; i < (size_t)text->n_chunk * text->n_ctx; i++) {
        store_u32(word, (uint32_t)text->ids[i]);
        if (fwrite(word, 1, 4, out->file) != 4)
            return false;
    }
    return true;
}

static const char *read_head(FILE *in, chunks *text) {
    unsigned char head[HEAD_BYTES];
    if (fread(head, 1, HEAD_BYTES, in) != HEAD_BYTES || memcmp(head, MAGIC, sizeof(MAGIC)) != 0)
        return "it is no base file of 'edgewise perplexity --kl-save'";
    if (load_u32(head + 8) != VERSION)
        return "it was written by another version of edgewise; make it again with --kl-save";
    *text = (chunks){load_u32(head + 12), load_u32(head + 16), load_u32(head + 20), NULL};
    if (text->n_vocab == 0 || text->n_vocab > VOCAB_MOST || text->n_ctx < 4 ||
        text->n_ctx > CTX_MOST || text->n_chunk == 0 || text->n_chunk > INT32_MAX / text->n_ctx)
        return "it is damaged";
    return NULL;
}

/* Chunk by chunk, so that a head that promises more than the file has takes little memory. */
static const char *read_ids(FILE *in, chunks *text) {
    unsigned char word[4];
    for (size_t chunk = 0; chunk < text->n_chunk; chunk++) {
        size_t first = chunk * text->n_ctx, end = first + text->n_ctx;
        if ((chunk & (chunk - 1)) == 0) { // at 0, 1, 2, 4...: room for twice as many
            size_t room = (chunk == 0 ? 1 : 2 * chunk) * text->n_ctx;
            int32_t *ids = realloc(text->ids, room * sizeof(*ids));
            if (ids == NULL)
                return "out of memory";
            text->ids = ids;
        }
        for (size_t i = first; i < end; i++) {
            if (fread(word, 1, 4, in) != 4)
                return "it ends too early";
            if (load_u32(word) >= text->n_vocab)
                return "it is damaged";
            text->ids[i] = (int32_t)load_u32(word);
        }
    }
    return NULL;
}

const char *kl_base_read(FILE *in, chunks *text) {
    *text = (chunks){0, 0, 0, NULL};
    const char *wrong = read_head(in, text);
    if (wrong == NULL)
        wrong = read_ids(in, text);
    if (wrong != NULL) {
        free(text->ids);
        text->ids = NULL;
    }
    return wrong;
}

const char *kl_base_open(const char *path, FILE **in, chunks *text) {
    *in = fopen(path, "rb");
    if (*in == NULL)
        return strerror(errno);
    const char *wrong = kl_base_read(*in, text);
    if (wrong != NULL) {
        fclose(*in);
        *in = NULL;
    }
    return wrong;
}
