// SPDX-License-Identifier: Apache-2.0
/* Reads the input as an importance matrix of the older form. */
#include "fuzz/fuzz.h"

#include "quant/imatrix.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    struct ew__imatrix imatrix;
    if (ew__imatrix_read_dat(bytes, size, &imatrix) != EW_OK)
        FUZZ_CHECK(ew_last_error()[0] != '\0');
    for (size_t i = 0; i < imatrix.n_entries; i++) {
        const struct ew__imatrix_entry *entry = &imatrix.entries[i];
        FUZZ_CHECK(ew__imatrix_find(&imatrix, entry->name) == entry);
        for (uint64_t k = 0; k < entry->n; k++)
            FUZZ_CHECK(isfinite(entry->sum2[k]) && entry->sum2[k] >= 0);
    }
    ew__imatrix_release(&imatrix);
    free(bytes);
    return 0;
}
