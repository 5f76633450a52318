// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

/* Length of the sequence that `lead` starts (0: none), and the range of its second byte. */
static size_t sequence(uint8_t lead, uint8_t *low, uint8_t *high) {
    *low = 0x80, *high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead == 0xE0)
        *low = 0xA0;
    if (lead == 0xED)
        *high = 0x9F;
    if (lead == 0xF0)
        *low = 0x90;
    if (lead == 0xF4)
        *high = 0x8F;
    return lead < 0xF0 ? 3 : 4;
}

/* Bytes from the start that fit a well-formed sequence, and the whole sequence's length. */
static size_t fitting(const char *bytes, size_t n, size_t *length) {
    uint8_t low, high;
    *length = sequence((uint8_t)bytes[0], &low, &high);
    if (*length == 0)
        return 0;
    size_t at = 1;
    for (; at < *length && at < n; at++, low = 0x80, high = 0xBF)
        if ((uint8_t)bytes[at] < low || (uint8_t)bytes[at] > high)
            break;
    return at;
}

size_t ew__utf8_decode(const char *bytes, size_t n, uint32_t *code, bool *valid) {
    static const uint8_t lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length, at = fitting(bytes, n, &length);
    *valid = length != 0 && at == length;
    if (!*valid) {
        *code = EW__REPLACEMENT;
        return at == 0 ? 1 : at;
    }
    uint32_t value = (uint8_t)bytes[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | ((uint8_t)bytes[i] & 0x3Fu);
    *code = value;
    return length;
}

size_t ew__utf8_encode(uint32_t code, char out[4]) {
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        code = EW__REPLACEMENT;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((n == 2 ? 0xC0u : n == 3 ? 0xE0u : 0xF0u) | code);
    return n;
}

bool ew__utf8_valid(struct ew__str text) {
    for (size_t at = 0; at < text.n;) {
        uint32_t code;
        bool valid;
        at += ew__utf8_decode(text.bytes + at, text.n - at, &code, &valid);
        if (!valid)
            return false;
    }
    return true;
}

size_t ew__utf8_open_tail(struct ew__str text) {
    for (size_t back = 1; back <= 3 && back <= text.n; back++) {
        const char *start = text.bytes + text.n - back;
        if (((uint8_t)*start & 0xC0) == 0x80)
            continue;
        size_t length, at = fitting(start, back, &length);
        return at == back && length > back ? back : 0;
    }
    return 0;
}
