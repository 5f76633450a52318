// SPDX-License-Identifier: Apache-2.0
/* A 128-bit digest that is the same on every machine and in every version, for names and checks of
 * cache files. Fast (about memory speed) and good against accidents: a flipped bit goes unnoticed
 * once in 2^128. It is no defence against somebody who looks for a collision. */
#ifndef EW_BASE_DIGEST_H
#define EW_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct ew__digest {
    uint64_t lanes[4];
    uint64_t pieces; /* added so far */
};

void ew__digest_init(struct ew__digest *digest);
/* Adds a piece. Pieces are told apart: "ab" and "c" give another digest than "a" and "bc". */
void ew__digest_add(struct ew__digest *digest, const void *bytes, size_t n);
void ew__digest_u64(struct ew__digest *digest, uint64_t value);
void ew__digest_end(const struct ew__digest *digest, uint64_t out[2]);
/* All of it for one piece, the first half. */
uint64_t ew__digest_of(const void *bytes, size_t n);

/* Both halves of the 128-bit product of a and b, folded: every bit of the result depends on all
 * bits of both. */
static inline uint64_t ew__fold_u64(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
#else
    uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), cross = a0 * b1 + (middle & UINT32_MAX);
    return (a1 * b1 + (middle >> 32) + (cross >> 32)) ^ (cross << 32 | (low & UINT32_MAX));
#endif
}

#endif
