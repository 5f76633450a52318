// SPDX-License-Identifier: Apache-2.0
/* Reads the input as a base file of `edgewise perplexity`, head, tokens and distributions. */
#include "fuzz/fuzz.h"

#include "apps/edgewise/kl_base.h"

#include <math.h>

enum { vocab_most = 4096 }; /* larger ones only cost time */

static void read_distributions(FILE *in, const chunks *text) {
    distribution d;
    static float logits[vocab_most];
    FUZZ_CHECK(distribution_new(&d, text->n_vocab));
    while (distribution_read(&d, in)) {
        FUZZ_CHECK(d.n > 0 && d.n <= text->n_vocab && (uint32_t)d.best < text->n_vocab);
        for (uint32_t i = 0; i < d.n; i++) {
            FUZZ_CHECK((uint32_t)d.ids[i] < text->n_vocab);
            FUZZ_CHECK(i == 0 || d.ids[i] > d.ids[i - 1]);
        }
        FUZZ_CHECK(isfinite(distribution_divergence(&d, logits, log((double)text->n_vocab))));
    }
    distribution_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t *bytes = fuzz_copy(data, size);
    FILE *in = fmemopen(bytes, size, "rb");
    chunks text;
    if (in == NULL)
        abort();
    const char *wrong = kl_base_read(in, &text);
    FUZZ_CHECK((wrong == NULL) == (text.ids != NULL));
    if (wrong == NULL && text.n_vocab <= vocab_most)
        read_distributions(in, &text);
    free(text.ids);
    fclose(in);
    free(bytes);
    return 0;
}
