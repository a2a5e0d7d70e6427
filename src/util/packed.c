/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/packed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RUN_MAX UINT16_MAX
#define ZEROS_MIN 8u /* fewer cost less as they are than another head */

typedef struct Head { /* so many zeros, then so many bytes, which follow */
        uint16_t n_zeros, n_bytes;
} Head;

struct Packed {
        size_t n;         /* of runs, in bytes */
        uint8_t runs[];   /* Heads, each with its bytes; unaligned */
};

static size_t count_zeros(const uint8_t *b, size_t n) {
        size_t i = 0;

        while (i < n && b[i] == 0)
                i++;
        return i;
}

/* Up to the next zeros that are worth it. */
static size_t count_bytes(const uint8_t *b, size_t n) {
        size_t i = 0;

        while (i < n) {
                size_t zeros = count_zeros(b + i, MIN(n - i, ZEROS_MIN));

                if (zeros == ZEROS_MIN || i + zeros == n)
                        break;
                i += zeros + 1;
        }
        return MIN(i, n);
}

/* With ret NULL only the size. */
static size_t write_runs(const uint8_t *b, size_t size, uint8_t *ret) {
        size_t at = 0, n = 0;

        while (at < size) {
                Head h = { .n_zeros = (uint16_t) MIN(count_zeros(b + at, size - at), (size_t) RUN_MAX) };

                at += h.n_zeros;
                h.n_bytes = (uint16_t) MIN(count_bytes(b + at, size - at), (size_t) RUN_MAX);
                if (ret) {
                        memcpy(ret + n, &h, sizeof(h));
                        memcpy(ret + n + sizeof(h), b + at, h.n_bytes);
                }
                at += h.n_bytes;
                n += sizeof(h) + h.n_bytes;
        }
        return n;
}

int packed_new(const void *bytes, size_t size, Packed **ret) {
        size_t n = write_runs(bytes, size, NULL);
        Packed *p = malloc(sizeof(*p) + n);

        if (!p)
                return -ENOMEM;
        p->n = write_runs(bytes, size, p->runs);
        *ret = p;
        return 0;
}

void packed_read(const Packed *p, void *ret, size_t size) {
        uint8_t *to = ret;

        memset(ret, 0, size);
        for (size_t i = 0; p && i < p->n;) {
                Head h;

                memcpy(&h, p->runs + i, sizeof(h));
                to += h.n_zeros;
                memcpy(to, p->runs + i + sizeof(h), h.n_bytes);
                to += h.n_bytes;
                i += sizeof(h) + h.n_bytes;
        }
}
