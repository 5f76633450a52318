// SPDX-License-Identifier: Apache-2.0
/* Builds files byte by byte, valid ones and broken ones. Aborts without memory: tests only. */
#ifndef EW_TESTS_CRAFT_H
#define EW_TESTS_CRAFT_H

#include <stddef.h>
#include <stdint.h>

struct craft {
    unsigned char *bytes;
    size_t n, capacity;
};

void craft_free(struct craft *craft); /* leaves it empty */
void craft_bytes(struct craft *craft, const void *bytes, size_t n);
void craft_text(struct craft *craft, const char *text); /* without its terminator */
void craft_fill(struct craft *craft, unsigned char byte, size_t n);
void craft_u8(struct craft *craft, unsigned value);
void craft_u16(struct craft *craft, unsigned value);
void craft_u32(struct craft *craft, uint32_t value);
void craft_u64(struct craft *craft, uint64_t value);
void craft_string(struct craft *craft, const char *text); /* u64 length, then the text */
void craft_pad(struct craft *craft, size_t unit);         /* zeros to a multiple of unit */

#endif
