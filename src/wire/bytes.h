/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Big-endian integers at any alignment, and the one bounds-checked way through foreign bytes of varying length. */

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const uint8_t *p) {
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return be16toh(v);
}

static inline uint32_t load_be32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return be32toh(v);
}

static inline uint64_t load_be64(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return be64toh(v);
}

static inline void store_be16(uint8_t *p, uint16_t v) {
        v = htobe16(v);
        memcpy(p, &v, sizeof(v));
}

static inline void store_be32(uint8_t *p, uint32_t v) {
        v = htobe32(v);
        memcpy(p, &v, sizeof(v));
}

static inline void store_be64(uint8_t *p, uint64_t v) {
        v = htobe64(v);
        memcpy(p, &v, sizeof(v));
}

typedef struct Reader {
        const uint8_t *at; /* borrowed */
        size_t left;
} Reader;

/* The next n bytes, or NULL and nothing consumed when fewer are left. */
static inline const uint8_t *reader_take(Reader *r, size_t n) {
        const uint8_t *p = r->at;

        if (n > r->left)
                return NULL;
        r->at += n;
        r->left -= n;
        return p;
}
