// SPDX-License-Identifier: Apache-2.0
/* Opens the input as a safetensors file and reads everything that it lists. */
#include "fuzz/fuzz.h"

#include "formats/safetensors.h"

static unsigned sink; // keeps the reads from being optimised away

/* Adds what it reads to *total. */
static void read_tensor(const struct ew__safetensors *set, size_t index, uint64_t *total) {
    struct ew__str word;
    const struct ew__tensor *tensor = ew__safetensors_tensor_at(set, index, &word);
    FUZZ_CHECK(ew__safetensors_tensor(set, tensor->name) == tensor);
    FUZZ_CHECK(tensor->n_dims <= EW__TENSOR_DIMS_MAX);
    if (tensor->type != UINT32_MAX)
        FUZZ_CHECK(tensor->bytes ==
                   ew__tensor_elements(tensor) * ew__dtype_info(tensor->type)->block_bytes);
    for (size_t i = 0; i < word.n; i++)
        sink += (unsigned char)word.bytes[i];
    for (uint64_t i = 0; i < tensor->bytes; i++)
        sink += tensor->data[i];
    *total += tensor->bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    struct ew__safetensors *set;
    ew_status status = ew__safetensors_open_bytes(bytes, size, &set);
    FUZZ_CHECK((status == EW_OK) == (set != NULL));
    if (status == EW_OK) {
        uint64_t total = 0, header = 0;
        memcpy(&header, bytes, sizeof header);
        for (size_t i = 0; i < ew__safetensors_tensor_count(set); i++)
            read_tensor(set, i, &total);
        FUZZ_CHECK(total == size - 8 - header); // the tensors tile the data
        sink += (unsigned)ew__safetensors_metadata(set, "format").n;
    } else {
        FUZZ_CHECK(ew_last_error()[0] != '\0');
    }
    ew__safetensors_close(set);
    free(bytes);
    return 0;
}
