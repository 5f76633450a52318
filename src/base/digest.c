// SPDX-License-Identifier: Apache-2.0
/* Four lanes of 16 bytes take turns; a lane folds its state and half of its bytes with the other
 * half. The constants are the fractions of square roots of primes, as odd numbers. */
#include "base/digest.h"
#include "base/cursor.h"

#include <string.h>

static const uint64_t keys[8] = {
    0x6a09e667f3bcc909u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

void ew__digest_init(struct ew__digest *digest) {
    memcpy(digest->lanes, keys, sizeof digest->lanes);
    digest->pieces = 0;
}

/* A lane's next 16 bytes. The state is rotated in again, so that a factor of zero, which forgets
 * the other, does not forget what came before. */
static uint64_t step(uint64_t lane, const uint8_t *p, uint64_t key) {
    uint64_t folded = ew__fold_u64(ew__load_u64(p) ^ lane, ew__load_u64(p + 8) ^ key);
    return folded + (lane << 29 | lane >> 35);
}

static void block(uint64_t lanes[4], const uint8_t *p) {
    for (unsigned i = 0; i < 4; i++)
        lanes[i] = step(lanes[i], p + 16 * i, keys[4 + i]);
}

void ew__digest_add(struct ew__digest *digest, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    uint8_t last[64] = {0}, length[64] = {0};
    uint64_t lanes[4], count = n;
    memcpy(lanes, digest->lanes, sizeof lanes);
    for (; n >= 64; p += 64, n -= 64)
        block(lanes, p);
    if (n != 0) {
        memcpy(last, p, n);
        block(lanes, last);
    }
    digest->pieces++;
    for (unsigned i = 0; i < 8; i++) {
        length[i] = (uint8_t)(count >> (8 * i));
        length[16 + i] = (uint8_t)(digest->pieces >> (8 * i));
    }
    block(lanes, length);
    memcpy(digest->lanes, lanes, sizeof lanes);
}

void ew__digest_u64(struct ew__digest *digest, uint64_t value) {
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    ew__digest_add(digest, bytes, sizeof bytes);
}

void ew__digest_end(const struct ew__digest *digest, uint64_t out[2]) {
    const uint64_t *l = digest->lanes;
    uint64_t a = ew__fold_u64(l[0] ^ keys[4], l[1] ^ keys[5]) + (l[2] << 17 | l[2] >> 47);
    uint64_t b = ew__fold_u64(l[2] ^ keys[6], l[3] ^ keys[7]) + (l[0] << 17 | l[0] >> 47);
    out[0] = ew__fold_u64(a ^ keys[0], b ^ keys[1]) ^ l[1];
    out[1] = ew__fold_u64(a ^ keys[2], b ^ keys[3]) ^ l[3];
}

uint64_t ew__digest_of(const void *bytes, size_t n) {
    struct ew__digest digest;
    uint64_t out[2];
    ew__digest_init(&digest);
    ew__digest_add(&digest, bytes, n);
    ew__digest_end(&digest, out);
    return out[0];
}
