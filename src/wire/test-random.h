/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reproducible noise for property tests (xorshift64*). */

#include <stddef.h>
#include <stdint.h>

typedef struct Random {
        uint64_t state; /* not 0 */
} Random;

static inline uint64_t random_next(Random *r) {
        r->state ^= r->state >> 12;
        r->state ^= r->state << 25;
        r->state ^= r->state >> 27;
        return r->state * 0x2545f4914f6cdd1dULL;
}

/* 0 to n - 1 */
static inline size_t random_below(Random *r, size_t n) {
        return (size_t) (random_next(r) >> 16) % n;
}

static inline void random_fill(Random *r, void *p, size_t n) {
        for (uint8_t *byte = p; n > 0; n--)
                *byte++ = (uint8_t) (random_next(r) >> 32);
}
