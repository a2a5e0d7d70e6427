/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Packets to test with, byte by byte. */

#include <stdint.h>

#include "util/macro.h"
#include "wire/bytes.h"

/* 192.0.2.10:40000 > 192.0.2.20:443, SYN, seq 0x11223344; MSS 1460, SACK permitted, timestamps, window scale 7, Fast Open with a cookie. */
static const uint8_t syn_ipv4[] = {
        0x45, 0x00, 0x00, 0x48, 0x12, 0x34, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x0a, 0xc0, 0x00, 0x02, 0x14,
        0x9c, 0x40, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x44, 0x00, 0x00, 0x00, 0x00, 0xd0, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00,
        0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
        0x22, 0x0a, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0x01, 0x00,
};

/* 2001:db8::1:40000 > 2001:db8::2:443, ACK with "hello", no options. */
static const uint8_t ack_ipv6[] = {
        0x60, 0x0a, 0xbc, 0xde, 0x00, 0x19, 0x06, 0x40,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02,
        0x9c, 0x40, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x45, 0x55, 0x66, 0x77, 0x88, 0x50, 0x18, 0x01, 0xf6, 0x00, 0x00, 0x00, 0x00,
        'h', 'e', 'l', 'l', 'o',
};

/* A copy of its own size on the heap, so that sanitizers see the first byte read beyond it. */
static inline uint8_t *copy_of(const void *data, size_t n) {
        uint8_t *p = malloc(n > 0 ? n : 1);

        if (!p)
                abort();
        if (n > 0)
                memcpy(p, data, n);
        return p;
}

typedef struct Buffer {
        uint8_t data[66000];
        size_t len;
} Buffer;

static inline void put(Buffer *b, const void *data, size_t n) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
}

static inline const uint8_t *tcp_of(const uint8_t *packet) {
        return packet + (packet[0] >> 4 == 4 ? 20 : 40);
}

/* ack_ipv6 with these extension headers, of which the first has type first_type. */
static inline void build_ipv6(Buffer *b, uint8_t first_type, const uint8_t *extensions, size_t n) {
        b->len = 0;
        put(b, ack_ipv6, 40);
        put(b, extensions, n);
        put(b, tcp_of(ack_ipv6), sizeof(ack_ipv6) - 40);
        store_be16(b->data + 4, (uint16_t) (b->len - 40));
        b->data[6] = first_type;
}

/* syn_ipv4 with these IP options, a multiple of 4 bytes. */
static inline void build_ipv4(Buffer *b, const uint8_t *options, size_t n) {
        b->len = 0;
        put(b, syn_ipv4, 20);
        put(b, options, n);
        put(b, tcp_of(syn_ipv4), sizeof(syn_ipv4) - 20);
        b->data[0] = (uint8_t) (0x45 + n / 4);
        store_be16(b->data + 2, (uint16_t) b->len);
}
