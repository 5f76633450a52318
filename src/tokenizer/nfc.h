// SPDX-License-Identifier: Apache-2.0
/* Text in: any bytes. Text out: well-formed UTF-8 in Normalization Form C (UAX #15), without a copy
 * where the text is that already. Ill-formed parts become U+FFFD first (base/utf8.h). */
#ifndef EW_TOKENIZER_NFC_H
#define EW_TOKENIZER_NFC_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "tokenizer/unicode.h"

/* Working memory; zero-initialise, use for any number of texts, release. */
struct ew__nfc {
    struct ew__buf text;
    int32_t *codes, *sorted; /* `capacity` code points each */
    size_t capacity;
};

/* *out is `text` itself or a view of work->text, valid until the next call. compose = false only
 * repairs UTF-8. Time is linear, also for a text that is one run of combining marks. */
ew_status ew__nfc(const struct ew__unicode *unicode, bool compose, struct ew__str text,
                  struct ew__nfc *work, struct ew__str *out);
void ew__nfc_release(struct ew__nfc *work);

#endif
