/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <endian.h>
#include <string.h>

#include "util/siphash.h"

typedef struct State {
        uint64_t v0, v1, v2, v3;
} State;

static uint64_t rotate(uint64_t x, unsigned n) {
        return x << n | x >> (64 - n);
}

static uint64_t load_le64(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

static void sip_rounds(State *s, unsigned n) {
        while (n-- > 0) {
                s->v0 += s->v1;
                s->v2 += s->v3;
                s->v1 = rotate(s->v1, 13) ^ s->v0;
                s->v3 = rotate(s->v3, 16) ^ s->v2;
                s->v0 = rotate(s->v0, 32);
                s->v2 += s->v1;
                s->v0 += s->v3;
                s->v1 = rotate(s->v1, 17) ^ s->v2;
                s->v3 = rotate(s->v3, 21) ^ s->v0;
                s->v2 = rotate(s->v2, 32);
        }
}

static void sip_word(State *s, uint64_t word) {
        s->v3 ^= word;
        sip_rounds(s, 2);
        s->v0 ^= word;
}

uint64_t siphash24(const void *data, size_t n, const uint8_t key[static SIPHASH_KEY_SIZE]) {
        const uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
        const uint8_t *p = data;
        uint8_t last[8] = { [7] = (uint8_t) n };
        State s = {
                .v0 = k0 ^ 0x736f6d6570736575,
                .v1 = k1 ^ 0x646f72616e646f6d,
                .v2 = k0 ^ 0x6c7967656e657261,
                .v3 = k1 ^ 0x7465646279746573,
        };

        for (; n >= 8; n -= 8, p += 8)
                sip_word(&s, load_le64(p));
        if (n > 0)
                memcpy(last, p, n);
        sip_word(&s, load_le64(last));
        s.v2 ^= 0xff;
        sip_rounds(&s, 4);
        return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
