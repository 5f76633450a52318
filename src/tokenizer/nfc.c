// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/nfc.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <utf8proc.h>

/* The text is walked once. What the quick check passes is copied as it is; around a character that
 * it does not pass, the stretch between two boundary characters is normalised by itself, since
 * nothing composes or reorders across a boundary (UAX #15, section 9). */
struct walk {
    const struct ew__unicode *unicode;
    struct ew__nfc *work;
    struct ew__str text;
    size_t at;       /* next byte to look at */
    size_t copied;   /* bytes already in the output */
    size_t boundary; /* where a stretch around `at` may begin */
    uint8_t combining;
    bool changed;
};

static ew_status copy_until(struct walk *walk, size_t end) {
    if (!walk->changed) {
        ew__buf_release(&walk->work->text);
        ew__buf_init(&walk->work->text, SIZE_MAX / 2);
        EW__TRY(ew__buf_reserve(&walk->work->text, walk->text.n + 16));
        walk->changed = true;
    }
    ew_status status =
        ew__buf_add(&walk->work->text, walk->text.bytes + walk->copied, end - walk->copied);
    walk->copied = end;
    return status;
}

static ew_status reserve_codes(struct ew__nfc *work, size_t n) {
    if (n <= work->capacity)
        return EW_OK;
    size_t capacity = n + n / 2 + 64;
    ew__free(work->codes);
    ew__free(work->sorted);
    work->codes = ew__calloc(capacity, sizeof *work->codes);
    work->sorted = ew__calloc(capacity, sizeof *work->sorted);
    work->capacity = work->codes != NULL && work->sorted != NULL ? capacity : 0;
    return work->capacity != 0 ? EW_OK : EW_NO_MEMORY;
}

static uint8_t combining_of(const struct ew__unicode *unicode, int32_t code) {
    return ew__entry_combining(ew__unicode_entry(unicode, (uint32_t)code));
}

/* Stable counting sort by combining class, for runs of any length. */
static void sort_long_run(const struct ew__unicode *unicode, int32_t *codes, int32_t *sorted,
                          size_t n) {
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++)
        start[combining_of(unicode, codes[i]) + 1]++;
    for (size_t i = 1; i < 257; i++)
        start[i] += start[i - 1];
    for (size_t i = 0; i < n; i++)
        sorted[start[combining_of(unicode, codes[i])]++] = codes[i];
    memcpy(codes, sorted, n * sizeof *codes);
}

static void sort_run(const struct ew__unicode *unicode, int32_t *codes, int32_t *sorted, size_t n) {
    if (n > 24) {
        sort_long_run(unicode, codes, sorted, n);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        int32_t code = codes[i];
        uint8_t combining = combining_of(unicode, code);
        size_t j = i;
        for (; j > 0 && combining_of(unicode, codes[j - 1]) > combining; j--)
            codes[j] = codes[j - 1];
        codes[j] = code;
    }
}

/* The canonical ordering algorithm (Unicode 3.11): each run of non-starters by itself. utf8proc's
 * own exchanges neighbours, which is quadratic in the length of a run. */
static void order(const struct ew__unicode *unicode, struct ew__nfc *work, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && combining_of(unicode, work->codes[run]) != 0)
            run++;
        if (run > i + 1)
            sort_run(unicode, work->codes + i, work->sorted, run - i);
        i = run > i ? run : i + 1;
    }
}

/* The full canonical decomposition of well-formed UTF-8. The worst characters yield 3 code points
 * from 2 bytes (U+01D5) and 4 from 3 (U+1F82), which 2 per byte covers. */
static ew_status decompose(struct ew__nfc *work, const char *bytes, size_t n, size_t *count) {
    *count = 0;
    EW__TRY(reserve_codes(work, 2 * n + 8));
    for (size_t at = 0; at < n;) {
        uint32_t code;
        bool valid;
        at += ew__utf8_decode(bytes + at, n - at, &code, &valid);
        utf8proc_ssize_t parts = utf8proc_decompose_char(
            (utf8proc_int32_t)code, work->codes + *count,
            (utf8proc_ssize_t)(work->capacity - *count), UTF8PROC_DECOMPOSE, NULL);
        if (parts < 1 || (size_t)parts > work->capacity - *count)
            return ew__fail(EW_INTERNAL, "U+%04X cannot be decomposed", code);
        *count += (size_t)parts;
    }
    return EW_OK;
}

static ew_status normalise_stretch(struct walk *walk, size_t start, size_t end) {
    struct ew__nfc *work = walk->work;
    size_t n;
    EW__TRY(copy_until(walk, start));
    EW__TRY(decompose(work, walk->text.bytes + start, end - start, &n));
    order(walk->unicode, work, n);
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(work->codes, (utf8proc_ssize_t)n,
                                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (composed < 0)
        return ew__fail(EW_INTERNAL, "text cannot be composed");
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        char bytes[4];
        size_t length = ew__utf8_encode((uint32_t)work->codes[i], bytes);
        EW__TRY(ew__buf_add(&work->text, bytes, length));
    }
    walk->copied = walk->at = walk->boundary = end;
    walk->combining = 0;
    return EW_OK;
}

/* The next boundary character (or ill-formed byte, or the end) at or after `at`. */
static size_t find_boundary(const struct walk *walk, size_t at) {
    while (at < walk->text.n) {
        uint32_t code;
        bool valid;
        size_t length = ew__utf8_decode(walk->text.bytes + at, walk->text.n - at, &code, &valid);
        if (!valid || ew__entry_is_boundary(ew__unicode_entry(walk->unicode, code)))
            break;
        at += length;
    }
    return at;
}

static ew_status replace(struct walk *walk, size_t length) {
    EW__TRY(copy_until(walk, walk->at));
    walk->copied = walk->at = walk->boundary = walk->at + length;
    walk->combining = 0;
    return ew__buf_add(&walk->work->text, "\xEF\xBF\xBD", 3);
}

static void skip_ascii(struct walk *walk) {
    const char *bytes = walk->text.bytes;
    size_t at = walk->at;
    while (at + 8 <= walk->text.n && (ew__load_u64(bytes + at) & 0x8080808080808080u) == 0)
        at += 8;
    while (at < walk->text.n && (uint8_t)bytes[at] < 0x80)
        at++;
    if (at > walk->at) {
        walk->at = at;
        walk->boundary = at - 1;
        walk->combining = 0;
    }
}

static ew_status step(struct walk *walk, bool compose) {
    uint32_t code;
    bool valid;
    size_t length =
        ew__utf8_decode(walk->text.bytes + walk->at, walk->text.n - walk->at, &code, &valid);
    if (!valid)
        return replace(walk, length);
    if (compose && code >= 0x300) {
        uint16_t entry = ew__unicode_entry(walk->unicode, code);
        uint8_t combining = ew__entry_combining(entry);
        bool unsettled = (entry & EW__CHAR_UNSETTLED) != 0;
        if (unsettled || (combining != 0 && combining < walk->combining))
            return normalise_stretch(walk, walk->boundary, find_boundary(walk, walk->at + length));
        walk->combining = combining;
        if (combining == 0)
            walk->boundary = walk->at;
    } else {
        walk->boundary = walk->at;
        walk->combining = 0;
    }
    walk->at += length;
    return EW_OK;
}

ew_status ew__nfc(const struct ew__unicode *unicode, bool compose, struct ew__str text,
                  struct ew__nfc *work, struct ew__str *out) {
    struct walk walk = {.unicode = unicode, .work = work, .text = text};
    *out = text;
    for (;;) {
        skip_ascii(&walk);
        if (walk.at >= text.n)
            break;
        EW__TRY(step(&walk, compose));
    }
    if (walk.changed) {
        EW__TRY(copy_until(&walk, text.n));
        *out = ew__buf_str(&work->text);
    }
    return EW_OK;
}

void ew__nfc_release(struct ew__nfc *work) {
    ew__buf_release(&work->text);
    ew__free(work->codes);
    ew__free(work->sorted);
    *work = (struct ew__nfc){0};
}
