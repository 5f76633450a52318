// SPDX-License-Identifier: Apache-2.0
/* ew_importance: what the inputs of the weight matrices look like over a text. */
#include "edgewise/checkpoint.h"
#include "runtime/engine.h"

#include "base/mem.h"
#include "model/matrix_name.h"
#include "quant/imatrix.h"

#include <string.h>

struct ew_importance {
    struct ew__imatrix sums;
};

ew_status ew_importance_new(ew_importance **out) {
    if (out == NULL)
        return ew__fail(EW_ARGUMENT, "no place for the importance matrix");
    *out = ew__calloc(1, sizeof **out);
    return *out != NULL ? EW_OK : EW_NO_MEMORY;
}

void ew_importance_free(ew_importance *importance) {
    if (importance == NULL)
        return;
    ew__imatrix_release(&importance->sums);
    ew__free(importance);
}

ew_status ew_importance_load(const char *path, ew_importance **out) {
    if (path == NULL)
        return ew__fail(EW_ARGUMENT, "no file to load");
    EW__TRY(ew_importance_new(out));
    ew_status status = ew__imatrix_read(path, &(*out)->sums);
    if (status != EW_OK) {
        ew_importance_free(*out);
        *out = NULL;
    }
    return status;
}

ew_status ew_importance_save(const ew_importance *importance, const char *path) {
    if (importance == NULL || path == NULL || path[0] == '\0')
        return ew__fail(EW_ARGUMENT, "saving needs an importance matrix and the name of a file");
    return ew__imatrix_write(&importance->sums, path);
}

ew_status ew_importance_merge(ew_importance *into, const ew_importance *from) {
    if (into == NULL || from == NULL || into == from)
        return ew__fail(EW_ARGUMENT, "merging needs two importance matrices");
    return ew__imatrix_merge(&into->sums, &from->sums);
}

ew_status ew_importance_get_info(const ew_importance *importance, ew_importance_info *out) {
    if (importance == NULL || out == NULL || out->size < sizeof out->size)
        return ew__fail(EW_ARGUMENT, "no importance matrix, or a struct without its size");
    const struct ew__imatrix *sums = &importance->sums;
    ew_importance_info info = {.size = out->size,
                               .dataset = sums->dataset != NULL ? sums->dataset : "",
                               .n_chunks = sums->n_chunks,
                               .chunk_size = sums->chunk_size,
                               .n_matrices = sums->n_entries};
    memcpy(out, &info, out->size < sizeof info ? out->size : sizeof info);
    return EW_OK;
}

/* ---- collecting ---- */

struct collecting {
    const struct ew__model *model;
    struct ew__imatrix sums; /* of one chunk: added to the whole when it is complete */
    ew_status status;
};

static void collect_input(void *context, const struct ew__matrix *w, const struct ew__acts *x) {
    struct collecting *c = context;
    struct ew__imatrix_entry *entry;
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    if (c->status != EW_OK || !ew__matrix_name(c->model, w, name))
        return;
    entry = ew__imatrix_find(&c->sums, name);
    if (entry != NULL)
        ew__imatrix_add(entry, x->x, x->ldx, x->t);
}

/* Entries for all matrices of the text model, since a pass may not allocate. */
static ew_status make_entries(struct collecting *c) {
    const struct ew__config *config = c->model->config;
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    struct ew__imatrix_entry *entry;
    (void)ew__matrix_name(c->model, &c->model->head, name);
    EW__TRY(ew__imatrix_entry(&c->sums, name, config->n_embd, &entry));
    for (uint32_t layer = 0; layer < config->n_layer; layer++)
        for (ew__role role = 0; role < EW__ROLE_COUNT; role++) {
            uint64_t columns, rows;
            if (ew__roles[role].rank != 2 || !ew__role_in_layer(config, role, layer))
                continue;
            ew__role_shape(config, role, &columns, &rows);
            ew__gguf_tensor_name(role, layer, name);
            EW__TRY(ew__imatrix_entry(&c->sums, name, columns, &entry));
        }
    return EW_OK;
}

static void watch(ew_model *model, struct collecting *c) {
    pthread_mutex_lock(&model->compute);
    model->ws.watch = c != NULL ? collect_input : NULL;
    model->ws.watch_context = c;
    pthread_mutex_unlock(&model->compute);
}

static ew_status add_chunk(ew_importance *into, struct collecting *c, const char *dataset,
                           size_t n) {
    c->sums.n_chunks = 1;
    c->sums.chunk_size = (uint32_t)n;
    bool is_named = into->sums.dataset != NULL && strcmp(into->sums.dataset, dataset) == 0;
    if (!is_named && dataset[0] != '\0') {
        c->sums.dataset = ew__strndup(dataset, strlen(dataset));
        if (c->sums.dataset == NULL)
            return EW_NO_MEMORY;
    }
    return ew__imatrix_merge(&into->sums, &c->sums);
}

ew_status ew_importance_collect(ew_importance *into, ew_session *session, const char *dataset,
                                const int32_t *tokens, size_t n) {
    if (into == NULL || session == NULL || tokens == NULL || n == 0)
        return ew__fail(EW_ARGUMENT, "collecting needs an importance matrix, a session and tokens");
    struct collecting c = {.model = &session->model->model};
    ew_status status = make_entries(&c);
    if (status == EW_OK) {
        ew_session_clear(session);
        watch(session->model, &c);
        status = ew_session_eval(session, tokens, n);
        watch(session->model, NULL);
    }
    if (status == EW_OK)
        status = add_chunk(into, &c, dataset != NULL ? dataset : "", n);
    ew__imatrix_release(&c.sums);
    return status;
}
