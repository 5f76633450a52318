// SPDX-License-Identifier: Apache-2.0
#include "support/craft.h"

#include <stdlib.h>
#include <string.h>

void craft_free(struct craft *craft) {
    free(craft->bytes);
    *craft = (struct craft){0};
}

static unsigned char *room(struct craft *craft, size_t n) {
    if (craft->capacity - craft->n < n) {
        craft->capacity = (craft->n + n) * 2 + 64;
        craft->bytes = realloc(craft->bytes, craft->capacity);
        if (craft->bytes == NULL)
            abort();
    }
    craft->n += n;
    return craft->bytes + craft->n - n;
}

void craft_bytes(struct craft *craft, const void *bytes, size_t n) {
    if (n != 0)
        memcpy(room(craft, n), bytes, n);
}

void craft_text(struct craft *craft, const char *text) {
    craft_bytes(craft, text, strlen(text));
}

void craft_fill(struct craft *craft, unsigned char byte, size_t n) {
    if (n != 0)
        memset(room(craft, n), byte, n);
}

static void little_endian(struct craft *craft, uint64_t value, size_t n) {
    unsigned char *bytes = room(craft, n);
    for (size_t i = 0; i < n; i++, value >>= 8)
        bytes[i] = (unsigned char)(value & 0xff);
}

void craft_u8(struct craft *craft, unsigned value) {
    little_endian(craft, value, 1);
}

void craft_u16(struct craft *craft, unsigned value) {
    little_endian(craft, value, 2);
}

void craft_u32(struct craft *craft, uint32_t value) {
    little_endian(craft, value, 4);
}

void craft_u64(struct craft *craft, uint64_t value) {
    little_endian(craft, value, 8);
}

void craft_string(struct craft *craft, const char *text) {
    craft_u64(craft, strlen(text));
    craft_text(craft, text);
}

void craft_pad(struct craft *craft, size_t unit) {
    craft_fill(craft, 0, (unit - craft->n % unit) % unit);
}
