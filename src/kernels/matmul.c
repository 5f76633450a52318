// SPDX-License-Identifier: Apache-2.0
/* A work item is a block of 16 weight rows (a panel of a packed matrix), taken through all tokens
 * by one thread. Packed matrices have kernels of their own; of others, quantised rows are unpacked
 * (or decoded) into the thread's scratch once, and tokens go in tiles, so that a tile's activations
 * stay in the second-level cache while the block's rows pass over them. The kernels make each
 * output element by itself, so none of these cuts shows in the results. */
#include "kernels/matmul.h"

#include "base/size.h"

#include <math.h>

#define ROW_BLOCK EW__PANEL_ROWS /* rows per work item */
/* Quantised rows unpacked at once while there are fewer tokens than that: their bytes stay in the
 * first-level cache on the way to the product. */
#define ROW_FEW     4u
#define REST_TOKENS 32u
#define TILE_BYTES  (256u * 1024u) /* activations of a token tile */

#define PIECE_BYTES     (128u * 1024u) /* of weights times tokens: some 10 us */
#define PANELS_TOGETHER 4u             /* of the kernels for few tokens, and for float weights */
#define TILE_PANELS     2u             /* of the kernels for many */
#define FEW_TOKENS      4u

struct job {
    const struct ew__kernels *kernels;
    const struct ew__matrix *w;
    const struct ew__acts *x;
    const struct ew__qact *q; /* of x, with second terms only where the product takes them */
    float *y;
    size_t ldy;
};

static size_t padded(size_t n) {
    return ew__round_up(n, 64);
}

size_t ew__matmul_scratch_bytes(size_t n) {
    size_t bytes = padded(n) + 2 * padded(n) / 16 * sizeof(float);
    bytes = ROW_BLOCK * ew__max_size(ew__round_up(bytes, 64), n * sizeof(float));
    return ew__max_size(bytes, EW__PACKED_SCRATCH_BYTES);
}

bool ew__matmul_wants_q8(const struct ew__kernels *kernels, const struct ew__matrix *w) {
    return (size_t)w->type < EW__DTYPE_COUNT && kernels->unpack[w->type] != NULL && w->n % 32 == 0;
}

bool ew__matmul_can_pack(const struct ew__kernels *kernels, const struct ew__matrix *w) {
    size_t columns = ew__packed_format(w->type)->columns;
    return columns > 0 && w->n % columns == 0 &&
           (kernels->mul_packed[w->type] != NULL || kernels->mul_packed_float[w->type] != NULL);
}

/* Types whose byte form exceeds 127 (docs/kernels.md). */
static bool is_narrow(ew__dtype type) {
    return type != EW__Q8_0 && type != EW__IQ4_NL && type != EW__IQ4_XS;
}

static size_t tile_tokens(size_t bytes_per_token) {
    return ew__max_size(4, TILE_BYTES / ew__max_size(bytes_per_token, 1) / 4 * 4);
}

static const void *row_at(const struct ew__matrix *w, size_t row) {
    return (const char *)w->data + row * w->row_bytes;
}

/* Calls the kernel of a float type over token tiles. */
static void mul_floats(const struct job *job, ew__dtype type, const void *w, size_t ldw, size_t row,
                       size_t r) {
    const struct ew__kernels *kernels = job->kernels;
    const struct ew__acts *x = job->x;
    size_t n = job->w->n, tile = tile_tokens(n * sizeof(float));
    for (size_t j = 0; j < x->t; j += tile) {
        size_t t = ew__min_size(tile, x->t - j);
        const float *xs = x->x + j * x->ldx;
        float *y = job->y + j * job->ldy + row;
        if (type == EW__F32)
            kernels->mul_f32(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
        else if (type == EW__F16)
            kernels->mul_f16(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
        else
            kernels->mul_bf16(w, ldw, r, xs, x->ldx, t, y, job->ldy, n);
    }
}

static void float_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    const struct ew__matrix *w = job->w;
    size_t element = w->type == EW__F32 ? 4 : 2;
    (void)scratch;
    for (size_t row = begin; row < end; row += ROW_BLOCK)
        mul_floats(job, w->type, row_at(w, row), w->row_bytes / element, row,
                   ew__min_size(ROW_BLOCK, end - row));
}

static void decode_row(const struct ew__matrix *w, size_t row, float *out) {
    if (w->decode != NULL && w->decode(w->type, row_at(w, row), out, w->n))
        return;
    for (size_t k = 0; k < w->n; k++)
        out[k] = NAN;
}

static void decoded_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    const struct ew__matrix *w = job->w;
    float *rows = scratch;
    for (size_t row = begin; row < end; row += ROW_BLOCK) {
        size_t r = ew__min_size(ROW_BLOCK, end - row);
        for (size_t i = 0; i < r; i++)
            decode_row(w, row + i, rows + i * w->n);
        mul_floats(job, EW__F32, rows, w->n, row, r);
    }
}

static struct ew__urows urows_in(void *scratch, const struct ew__matrix *w) {
    size_t n_pad = padded(w->n), groups = n_pad / 16;
    float *scales = (float *)(void *)((uint8_t *)scratch + ROW_BLOCK * n_pad);
    return (struct ew__urows){scratch, scales, scales + ROW_BLOCK * groups, n_pad,
                              is_narrow(w->type)};
}

/* Adds the product with the second term of the activations, a few tokens at a time. */
static void add_rest(const struct job *job, const struct ew__urows *rows, size_t row, size_t r,
                     size_t first, size_t t) {
    float part[REST_TOKENS * ROW_BLOCK];
    for (size_t j = 0; j < t; j += REST_TOKENS) {
        size_t few = ew__min_size(REST_TOKENS, t - j);
        job->kernels->mul_u8(rows, r, job->q, job->q->rest + first + j, few, part, ROW_BLOCK);
        for (size_t k = 0; k < few; k++)
            job->kernels->add(job->y + (first + j + k) * job->ldy + row, part + k * ROW_BLOCK, r);
    }
}

static void byte_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    const struct ew__matrix *w = job->w;
    struct ew__urows rows = urows_in(scratch, w);
    size_t groups = rows.n_pad / 16, tile = tile_tokens(rows.n_pad);
    size_t block = job->x->t < ROW_FEW ? ROW_FEW : ROW_BLOCK;
    for (size_t row = begin; row < end; row += block) {
        size_t r = ew__min_size(block, end - row);
        for (size_t i = 0; i < r; i++)
            job->kernels->unpack[w->type](row_at(w, row + i), w->n, rows.n_pad,
                                          rows.u + i * rows.n_pad, rows.s + i * groups,
                                          rows.m + i * groups);
        for (size_t j = 0; j < job->x->t; j += tile) {
            size_t t = ew__min_size(tile, job->x->t - j);
            job->kernels->mul_u8(&rows, r, job->q, j, t, job->y + j * job->ldy + row, job->ldy);
            if (job->q->rest > 0)
                add_rest(job, &rows, row, r, j, t);
        }
    }
}

static struct ew__packed packed_of(const struct ew__matrix *w) {
    size_t panel_bytes = ew__packed_panel_bytes(w->type, w->n);
    return (struct ew__packed){w->packed, panel_bytes, w->type, w->rows, w->n};
}

static void packed_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    struct ew__packed w = packed_of(job->w);
    size_t first = begin / EW__PANEL_ROWS, panels = ew__packed_panels(end) - first;
    job->kernels->mul_packed[w.type](&w, first, panels, job->q, 0, job->x->t, job->y, job->ldy,
                                     scratch);
}

static void split_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    const struct ew__matrix *w = job->w;
    struct ew__split split = ew__split_at(w->packed, w->type, w->rows, w->n);
    size_t first = begin / EW__PANEL_ROWS, panels = ew__packed_panels(end) - first;
    job->kernels->mul_split[w->type](&split, first, panels, job->q, 0, job->x->t, job->y, job->ldy,
                                     scratch);
}

static void packed_float_rows(const struct job *job, size_t begin, size_t end, void *scratch) {
    struct ew__packed w = packed_of(job->w);
    size_t first = begin / EW__PANEL_ROWS, panels = ew__packed_panels(end) - first;
    (void)scratch;
    job->kernels->mul_packed_float[w.type](&w, first, panels, job->x->x, job->x->ldx, job->x->t,
                                           job->y, job->ldy);
}

/* Products over one input, their row blocks one behind the other. */
struct list {
    const struct ew__kernels *kernels;
    const struct ew__product *products;
    size_t n;
    const struct ew__acts *x;
    struct ew__qact coarse; /* x's first terms alone */
};

static size_t row_blocks(const struct ew__product *product) {
    return (product->w->rows + ROW_BLOCK - 1) / ROW_BLOCK;
}

typedef void rows_fn(const struct job *job, size_t begin, size_t end, void *scratch);

static bool is_float(ew__dtype type) {
    return type == EW__F32 || type == EW__F16 || type == EW__BF16;
}

static rows_fn *path_of(const struct list *list, const struct ew__product *product) {
    const struct ew__matrix *w = product->w;
    bool exact = product->precision == EW__EXACT, packed = w->packed != NULL;
    if (is_float(w->type))
        return packed && !exact ? packed_float_rows : float_rows;
    if (exact || !list->x->quantised)
        return decoded_rows;
    if (packed)
        return w->split ? split_rows : packed_rows;
    return ew__matmul_wants_q8(list->kernels, w) ? byte_rows : decoded_rows;
}

/* Row blocks begin .. end - 1 of one product. */
static void run_product(const struct list *list, const struct ew__product *product, size_t begin,
                        size_t end, void *scratch) {
    const struct ew__qact *q = product->precision == EW__FINE ? &list->x->q : &list->coarse;
    struct job job = {list->kernels, product->w, list->x, q, product->y, product->ldy};
    path_of(list, product)(&job, begin * ROW_BLOCK, ew__min_size(end * ROW_BLOCK, product->w->rows),
                           scratch);
}

static void run_blocks(void *context, size_t begin, size_t end, void *scratch) {
    const struct list *list = context;
    size_t before = 0; /* row blocks of the products passed */
    for (size_t i = 0; i < list->n && before < end; i++) {
        size_t blocks = row_blocks(&list->products[i]);
        size_t from = begin > before ? begin - before : 0, to = ew__min_size(end - before, blocks);
        if (from < to)
            run_product(list, &list->products[i], from, to, scratch);
        before += blocks;
    }
}

/* Row blocks that are taken at once: little work, so that the threads end together, but enough that
 * taking it costs nothing, and whole groups of the panels that a kernel takes side by side. */
static size_t blocks_per_piece(const struct ew__matrix *w, const struct ew__acts *x) {
    size_t work = ROW_BLOCK * ew__max_size(w->row_bytes, 1) * ew__max_size(x->t, 1);
    size_t together = x->quantised && x->t > FEW_TOKENS ? TILE_PANELS : PANELS_TOGETHER;
    return ew__round_up(ew__max_size(PIECE_BYTES / work, 1), together);
}

void ew__matmul_list(const struct ew__kernels *kernels, struct ew__pool *pool,
                     const struct ew__product *products, size_t n, const struct ew__acts *x) {
    struct list list = {kernels, products, n, x, x->q};
    size_t blocks = 0;
    list.coarse.rest = 0;
    for (size_t i = 0; i < n; i++)
        blocks += row_blocks(&products[i]);
    ew__pool_run(pool, blocks, blocks_per_piece(products[n - 1].w, x), run_blocks, &list);
}

void ew__matmul(const struct ew__kernels *kernels, struct ew__pool *pool,
                const struct ew__matrix *w, const struct ew__acts *x, bool exact, float *y,
                size_t ldy) {
    struct ew__product product = {w, y, ldy, exact ? EW__EXACT : EW__FINE};
    ew__matmul_list(kernels, pool, &product, 1, x);
}
