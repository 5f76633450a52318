// SPDX-License-Identifier: Apache-2.0
/* ew_quantize: a GGUF file -> the same with other weight types. Tensors are written in the order of
 * the file, slice by slice; each row is encoded by itself, so the bytes do not depend on how the
 * rows were shared out. */
#include "edgewise/checkpoint.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/size.h"
#include "formats/gguf_read.h"
#include "formats/gguf_write.h"
#include "kernels/pool.h"
#include "quant/imatrix.h"
#include "quant/mix.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <string.h>

/* Bytes of the result that are made before they are written, and bytes between two reports. */
enum { SLICE_BYTES = 4 << 20, REPORT_BYTES = 4 << 20 };

struct quantisation {
    struct ew__gguf *source;
    struct ew__gguf_writer *writer;
    struct ew__pool *pool; /* scratch: a row of floats */
    const struct ew__mix *mix;
    struct ew__mix_model model;
    const char *imatrix_path;   /* NULL: none */
    struct ew__imatrix imatrix; /* empty without one */
    float *importance;          /* [widest], of the columns of a tensor */
    size_t n_even;              /* matrices without data in the importance matrix */
    uint8_t *slice;             /* encoded rows */
    uint8_t *bad;               /* one of the reasons below for each row of the slice */
    size_t slice_bytes;
    uint64_t done, total, next_report; /* bytes of the source */
    ew_progress_fn *report;
    void *context;
};

enum reason { FINE, NOT_FINITE, OUT_OF_REACH };

/* ---- what each tensor becomes ---- */

static ew__dtype result_type(const struct quantisation *q, const struct ew__tensor *tensor) {
    return ew__mix_covers(tensor->name, tensor->n_dims)
               ? ew__mix_type(q->mix, &q->model, tensor->name, tensor->dims[0])
               : (ew__dtype)tensor->type;
}

static ew_status read_model(struct quantisation *q) {
    struct ew__str architecture = ew__str("");
    uint32_t blocks = 0, heads = 0, key_heads = 0;
    EW__TRY(ew__gguf_str(q->source, "general.architecture", &architecture));
    if (!ew__str_is(architecture, "qwen35"))
        return ew__fail(EW_UNSUPPORTED, "models of architecture \"%s\" are not quantised",
                        ew__quote(architecture.bytes, architecture.n));
    EW__TRY(ew__gguf_u32(q->source, "qwen35.block_count", 1, 4096, &blocks));
    EW__TRY(ew__gguf_u32(q->source, "qwen35.attention.head_count", 1, 4096, &heads));
    const struct ew__gguf_kv *kv = ew__gguf_find(q->source, "qwen35.attention.head_count_kv");
    for (uint64_t i = 0; kv != NULL && i < kv->count; i++) { // an array: one for each layer
        int64_t v = 0;
        if (ew__gguf_element_i64(kv, i, &v) && v > (int64_t)key_heads && v <= 4096)
            key_heads = (uint32_t)v;
    }
    q->model = (struct ew__mix_model){
        .n_blocks = blocks,
        .heads_per_key = key_heads > 0 ? heads / key_heads : 1,
        .tied = ew__gguf_tensor(q->source, ew__str("output.weight")) == NULL};
    return EW_OK;
}

/* As llama.cpp notes it. */
static ew_status add_imatrix_keys(struct quantisation *q) {
    const struct ew__imatrix *imatrix = &q->imatrix;
    struct ew__str dataset = ew__str(imatrix->dataset != NULL ? imatrix->dataset : "");
    EW__TRY(ew__gguf_add_str(q->writer, "quantize.imatrix.file", ew__str(q->imatrix_path)));
    EW__TRY(ew__gguf_add_str(q->writer, "quantize.imatrix.dataset", dataset));
    EW__TRY(ew__gguf_add_u32(q->writer, "quantize.imatrix.entries_count",
                             (uint32_t)imatrix->n_entries));
    return ew__gguf_add_u32(q->writer, "quantize.imatrix.chunks_count", imatrix->n_chunks);
}

/* All pairs as they are, but for the file's own facts, which are written anew. */
static ew_status add_keys(struct quantisation *q) {
    EW__TRY(ew__gguf_writer_new(&q->writer));
    for (size_t i = 0; i < ew__gguf_kv_count(q->source); i++) {
        const struct ew__gguf_kv *kv = ew__gguf_kv_at(q->source, i);
        bool split = kv->key.n > 6 && memcmp(kv->key.bytes, "split.", 6) == 0;
        if (!split && !ew__str_is(kv->key, "general.file_type") &&
            !ew__str_is(kv->key, "general.quantization_version") &&
            !ew__str_is(kv->key, "general.alignment") &&
            !ew__str_starts(kv->key, "quantize.imatrix."))
            EW__TRY(ew__gguf_add_kv(q->writer, kv));
    }
    EW__TRY(ew__gguf_add_u32(q->writer, "general.file_type", q->mix->file_type));
    EW__TRY(ew__gguf_add_u32(q->writer, "general.quantization_version", 2));
    return q->imatrix_path != NULL ? add_imatrix_keys(q) : EW_OK;
}

static ew_status check_source(const struct ew__tensor *tensor, bool *twice) {
    const struct ew__dtype_info *info = ew__dtype_info(tensor->type);
    if (!ew__dtype_decodable((ew__dtype)tensor->type))
        return ew__fail(EW_UNSUPPORTED, "tensor \"%s\" has type %s, which is not decoded",
                        ew__quote(tensor->name.bytes, tensor->name.n),
                        ew__dtype_name(tensor->type));
    *twice = *twice || info->quantised;
    return EW_OK;
}

/* Declares the tensors, and finds the widest row and what has to be read. */
static ew_status add_tensors(struct quantisation *q, uint64_t *widest) {
    bool twice = false;
    for (size_t i = 0; i < ew__gguf_tensor_count(q->source); i++) {
        const struct ew__tensor *tensor = ew__gguf_tensor_at(q->source, i);
        ew__dtype type = result_type(q, tensor);
        if ((uint32_t)type != tensor->type)
            EW__TRY(check_source(tensor, &twice));
        EW__TRY(ew__gguf_add_tensor(q->writer, tensor->name, type, tensor->n_dims, tensor->dims));
        *widest = tensor->dims[0] > *widest ? tensor->dims[0] : *widest;
        q->total += tensor->bytes;
    }
    if (twice)
        ew__log(EW__LOG_WARNING, "some weights are quantised already: quantising them again adds "
                                 "to their errors; the float checkpoint gives a better file");
    return EW_OK;
}

/* ---- writing ---- */

static ew_status advance(struct quantisation *q, const uint8_t *from, uint64_t bytes) {
    ew__file_map_hint(from, (size_t)bytes, EW__PAGES_DONE); // of the map, so that it does not grow
    q->done += bytes;
    if (q->report == NULL || (q->done < q->next_report && q->done != q->total))
        return EW_OK;
    q->next_report = q->done + REPORT_BYTES;
    if (!q->report(q->context, q->done, q->total))
        return ew__fail(EW_CANCELLED, "the quantisation was stopped");
    return EW_OK;
}

static ew_status copy_tensor(struct quantisation *q, const struct ew__tensor *tensor) {
    for (uint64_t at = 0; at < tensor->bytes; at += SLICE_BYTES) {
        uint64_t n = tensor->bytes - at < SLICE_BYTES ? tensor->bytes - at : SLICE_BYTES;
        EW__TRY(ew__gguf_write(q->writer, tensor->data + at, (size_t)n));
        EW__TRY(advance(q, tensor->data + at, n));
    }
    return EW_OK;
}

/* Rows of one slice. */
struct rows {
    ew__dtype from, to;
    const uint8_t *source;
    const float *importance; /* [columns]; NULL: even */
    uint8_t *out, *bad;
    uint64_t columns, from_bytes, to_bytes; /* of a row */
};

static void encode_rows(void *context, size_t begin, size_t end, void *scratch) {
    const struct rows *rows = context;
    uint64_t n = rows->columns;
    float *values = scratch;
    for (size_t r = begin; r < end; r++) {
        uint8_t *out = rows->out + r * rows->to_bytes;
        (void)ew__dequantize_row(rows->from, rows->source + r * rows->from_bytes, values, n);
        bool finite = ew__first_non_finite(EW__F32, values, n) == UINT64_MAX;
        if (finite)
            (void)ew__encode_row(rows->to, EW__SEARCH, values, rows->importance, out, n);
        rows->bad[r] = !finite                                                ? NOT_FINITE
                       : ew__first_non_finite(rows->to, out, n) != UINT64_MAX ? OUT_OF_REACH
                                                                              : FINE;
    }
}

static ew_status refuse_row(const struct ew__tensor *tensor, ew__dtype to, uint64_t row,
                            uint8_t reason) {
    const char *name = ew__quote(tensor->name.bytes, tensor->name.n);
    if (reason == NOT_FINITE)
        return ew__fail(EW_FORMAT, "tensor \"%s\" holds a NaN or infinity in row %" PRIu64, name,
                        row);
    return ew__fail(EW_FORMAT, "tensor \"%s\" has values in row %" PRIu64 " that %s cannot hold",
                    name, row, ew__dtype_name((uint32_t)to));
}

static ew_status encode_slice(struct quantisation *q, const struct ew__tensor *tensor,
                              struct rows *rows, uint64_t first, uint64_t n) {
    rows->source = tensor->data + first * rows->from_bytes;
    ew__pool_run(q->pool, (size_t)n, 1, encode_rows, rows);
    for (uint64_t r = 0; r < n; r++) {
        if (rows->bad[r] != FINE)
            return refuse_row(tensor, rows->to, first + r, rows->bad[r]);
    }
    EW__TRY(ew__gguf_write(q->writer, rows->out, (size_t)(n * rows->to_bytes)));
    return advance(q, rows->source, n * rows->from_bytes);
}

/* Buffers for a slice of `n` rows of `row_bytes`. */
static ew_status fit_slice(struct quantisation *q, uint64_t n, uint64_t row_bytes) {
    size_t bytes = (size_t)(n * row_bytes);
    if (bytes <= q->slice_bytes)
        return EW_OK;
    ew__free(q->slice);
    q->slice_bytes = 0;
    q->slice = ew__alloc(bytes);
    if (q->slice == NULL)
        return EW_NO_MEMORY;
    q->slice_bytes = bytes;
    return EW_OK;
}

/* The importance of a tensor's columns; NULL where there is none. */
static ew_status find_importance(struct quantisation *q, const struct ew__tensor *tensor,
                                 const float **out) {
    char name[EW__TENSOR_NAME_BYTES_MAX + 1];
    *out = NULL;
    if (q->imatrix_path == NULL || tensor->name.n > EW__TENSOR_NAME_BYTES_MAX)
        return EW_OK;
    memcpy(name, tensor->name.bytes, tensor->name.n);
    name[tensor->name.n] = '\0';
    ew_status status = ew__imatrix_importance(&q->imatrix, name, tensor->dims[0], q->importance);
    if (status == EW_NOT_FOUND) {
        q->n_even++;
        return EW_OK;
    }
    *out = q->importance;
    return status;
}

static ew_status encode_tensor(struct quantisation *q, const struct ew__tensor *tensor,
                               ew__dtype type) {
    struct rows rows = {
        .from = (ew__dtype)tensor->type, .to = type, .columns = tensor->dims[0], .bad = q->bad};
    uint64_t n = rows.columns > 0 ? ew__tensor_elements(tensor) / rows.columns : 0;
    if (!ew__dtype_row_bytes(rows.from, rows.columns, &rows.from_bytes) ||
        !ew__dtype_row_bytes(rows.to, rows.columns, &rows.to_bytes))
        return ew__fail(EW_INTERNAL, "a row of a tensor has no whole blocks");
    uint64_t each = rows.to_bytes > 0 ? SLICE_BYTES / rows.to_bytes : 1;
    each = each < 1 ? 1 : each > SLICE_BYTES / 64 ? SLICE_BYTES / 64 : each;
    EW__TRY(fit_slice(q, each, rows.to_bytes));
    EW__TRY(find_importance(q, tensor, &rows.importance));
    rows.out = q->slice;
    for (uint64_t first = 0; first < n; first += each)
        EW__TRY(encode_slice(q, tensor, &rows, first, n - first < each ? n - first : each));
    return EW_OK;
}

static ew_status write_tensors(struct quantisation *q) {
    for (size_t i = 0; i < ew__gguf_tensor_count(q->source); i++) {
        const struct ew__tensor *tensor = ew__gguf_tensor_at(q->source, i);
        ew__dtype type = result_type(q, tensor);
        EW__TRY((uint32_t)type == tensor->type ? copy_tensor(q, tensor)
                                               : encode_tensor(q, tensor, type));
    }
    if (q->n_even > 0)
        ew__log(EW__LOG_WARNING,
                "%s has no data for %zu of the matrices, whose columns then count "
                "alike",
                q->imatrix_path, q->n_even);
    return EW_OK;
}

/* What the whole of the work needs, once the widest row is known. */
static ew_status take_memory(struct quantisation *q, uint32_t n_threads, uint64_t widest) {
    q->bad = ew__alloc(SLICE_BYTES / 64);
    q->importance = ew__calloc((size_t)widest, sizeof *q->importance);
    if (q->bad == NULL || q->importance == NULL)
        return EW_NO_MEMORY;
    return ew__pool_new(n_threads, (size_t)widest * sizeof(float), &q->pool);
}

static ew_status run(const char *in, const char *out, const ew_quantize_options *options,
                     struct quantisation *q) {
    uint64_t widest = 1;
    q->mix = options->type != NULL ? ew__mix_by_name(ew__str(options->type)) : NULL;
    if (q->mix == NULL)
        return ew__fail(EW_ARGUMENT, "\"%s\" is no type to quantise to; there are %s",
                        options->type != NULL ? ew__quote(options->type, strlen(options->type))
                                              : "",
                        ew__mix_names());
    if (strcmp(in, out) == 0)
        return ew__fail(EW_ARGUMENT, "%s: the result needs another name", out);
    if (ew__path_is_dir(in))
        return ew__fail(EW_ARGUMENT, "%s is a folder: convert it to a GGUF file first", in);
    q->imatrix_path = options->imatrix;
    if (q->imatrix_path != NULL)
        EW__TRY(ew__imatrix_read(q->imatrix_path, &q->imatrix));
    EW__TRY(ew__gguf_open(in, &q->source));
    ew_status status = read_model(q);
    status = status == EW_OK ? add_keys(q) : status;
    status = status == EW_OK ? add_tensors(q, &widest) : status;
    if (status != EW_OK)
        return ew__fail_in(status, "%s", in);
    EW__TRY(take_memory(q, options->n_threads, widest));
    EW__TRY(ew__gguf_begin(q->writer, out));
    status = write_tensors(q);
    if (status == EW_FORMAT)
        return ew__fail_in(status, "%s", in);
    return status == EW_OK ? ew__gguf_commit(q->writer) : status;
}

ew_status ew_quantize(const char *in, const char *out, const ew_quantize_options *options) {
    ew_quantize_options all = {.size = sizeof all};
    if (options != NULL)
        memcpy(&all, options, ew__min_size(options->size, sizeof all));
    if (in == NULL || out == NULL || out[0] == '\0')
        return ew__fail(EW_ARGUMENT, "quantising needs a file and the name of another");
    struct quantisation q = {.report = all.progress, .context = all.progress_context};
    ew_status status = run(in, out, &all, &q);
    ew__pool_free(q.pool);
    ew__gguf_writer_free(q.writer);
    ew__gguf_close(q.source);
    ew__free(q.slice);
    ew__free(q.bad);
    ew__free(q.importance);
    ew__imatrix_release(&q.imatrix);
    return status;
}
