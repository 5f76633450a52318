// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/alphabet.h"

static bool stands_for_itself(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

void ew__alphabet_init(struct ew__alphabet *alphabet) {
    for (unsigned code = 0; code < EW__ALPHABET_END; code++)
        alphabet->byte_of[code] = -1;
    unsigned next = 0x100; // the other 68 bytes in increasing order
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned code = stands_for_itself(byte) ? byte : next++;
        alphabet->code_of[byte] = (uint16_t)code;
        alphabet->byte_of[code] = (int16_t)byte;
    }
}

bool ew__alphabet_decode(const struct ew__alphabet *alphabet, struct ew__str text, char *out,
                         size_t *n) {
    const uint8_t *p = (const uint8_t *)text.bytes;
    *n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned code = p[i];
        if (code >= 0x80) { // the alphabet ends below U+0800: two bytes at most
            if ((code & 0xE0) != 0xC0 || i + 1 == text.n || (p[i + 1] & 0xC0) != 0x80)
                return false;
            code = (code & 0x1Fu) << 6 | (p[++i] & 0x3Fu);
        }
        if (code >= EW__ALPHABET_END || alphabet->byte_of[code] < 0)
            return false;
        out[(*n)++] = (char)alphabet->byte_of[code];
    }
    return true;
}

size_t ew__alphabet_encode(const struct ew__alphabet *alphabet, struct ew__str bytes, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned code = alphabet->code_of[(uint8_t)bytes.bytes[i]];
        if (code >= 0x80) {
            out[n++] = (char)(0xC0 | code >> 6);
            code = 0x80 | (code & 0x3F);
        }
        out[n++] = (char)code;
    }
    return n;
}
