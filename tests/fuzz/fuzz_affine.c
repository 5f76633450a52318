// SPDX-License-Identifier: Apache-2.0
/* Reads the input as a quantised folder: u16 length of config.json, that document, a safetensors
 * file. Makes the first and the last row of each matrix. */
#include "fuzz/fuzz.h"

#include "quant/affine.h"
#include "quant/quant.h"

static void make_row(const struct ew__affine *a, uint64_t row) {
    size_t n = (size_t)a->tensor.dims[0];
    uint8_t *blocks = malloc(n * sizeof(float) + 1); // no block takes more
    float *floats = malloc(n * sizeof *floats + 1);
    uint8_t *scratch = malloc(ew__affine_scratch_bytes(a) + 1);
    if (blocks == NULL || floats == NULL || scratch == NULL)
        abort();
    ew__affine_floats(a, row, floats, scratch);
    ew__dtype type = (ew__dtype)a->tensor.type;
    ew_status status = ew__affine_row(a, type, row, blocks, scratch);
    FUZZ_CHECK((status == EW_OK) == (ew__first_non_finite(type, blocks, n) == UINT64_MAX));
    FUZZ_CHECK(status == EW_OK || ew_last_error()[0] != '\0');
    free(blocks);
    free(floats);
    free(scratch);
}

static void check_matrix(const struct ew__affine_set *set, const struct ew__affine *a) {
    enum ew__affine_part part;
    uint64_t columns = a->tensor.dims[0], rows = a->tensor.dims[1];
    FUZZ_CHECK(ew__affine_find(set, a->weight->name, &part) == a && part == EW__AFFINE_WEIGHT);
    FUZZ_CHECK(ew__affine_find(set, a->scales->name, &part) == a && part == EW__AFFINE_SCALES);
    FUZZ_CHECK(ew__affine_find(set, a->biases->name, &part) == a && part == EW__AFFINE_BIASES);
    FUZZ_CHECK(columns * a->bits == a->weight->dims[0] * 32);
    FUZZ_CHECK(columns == a->scales->dims[0] * a->group);
    if (rows == 0)
        return;
    make_row(a, 0);
    make_row(a, rows - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *config;
    struct ew__safetensors *tensors = NULL;
    size_t n = size < 2 ? size : (size_t)(data[0] | data[1] << 8);
    if (size < 2 || n > size - 2 ||
        ew__json_parse((const char *)data + 2, n, "config.json", &config) != EW_OK)
        return 0;
    uint8_t *bytes = fuzz_copy(data + 2 + n, size - 2 - n);
    if (ew__safetensors_open_bytes(bytes, size - 2 - n, &tensors) == EW_OK) {
        struct ew__affine_set set;
        if (ew__affine_set_read(config, tensors, &set) == EW_OK) {
            for (size_t i = 0; i < set.count; i++)
                check_matrix(&set, &set.matrices[i]);
        } else {
            FUZZ_CHECK(ew_last_error()[0] != '\0');
        }
        ew__affine_set_release(&set);
    }
    ew__safetensors_close(tensors);
    json_decref(config);
    free(bytes);
    return 0;
}
