/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/bytes.h"
#include "wire/packet.h"
#include "wire/test-random.h"

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
static uint8_t *copy_of(const void *data, size_t n) {
        uint8_t *p = malloc(n > 0 ? n : 1);

        assert_non_null(p);
        memcpy(p, data, n);
        return p;
}

/* The checksum as RFC 1071 section 1 puts it, byte by byte; 0xffff over data that includes a right checksum. */
static uint32_t plain_sum(uint32_t sum, const uint8_t *p, size_t n) {
        for (size_t i = 0; i < n; i++) {
                sum += i % 2 == 0 ? (uint32_t) p[i] << 8 : p[i];
                sum = (sum & 0xffff) + (sum >> 16);
        }
        return sum;
}

static void assert_checksums(const uint8_t *data, size_t len) {
        size_t addresses = data[0] >> 4 == 4 ? 12 : 8, n_addresses = data[0] >> 4 == 4 ? 8 : 32;
        uint32_t sum;
        Packet p;

        assert_int_equal(packet_parse(data, len, &p), 0);
        if (p.family == AF_INET)
                assert_int_equal(plain_sum(0, data, p.l4_offset), 0xffff);
        sum = IPPROTO_TCP + (uint32_t) (len - p.l4_offset);
        assert_int_equal(plain_sum(plain_sum(sum, data + addresses, n_addresses), data + p.l4_offset, len - p.l4_offset), 0xffff);
}

static void assert_address(const struct in6_addr *a, const char *expected) {
        char text[INET6_ADDRSTRLEN];

        inet_ntop(AF_INET6, a, text, sizeof(text));
        assert_string_equal(text, expected);
}

static void an_ipv4_syn_is_read_field_by_field(void **state) {
        Packet p;

        assert_int_equal(packet_parse(syn_ipv4, sizeof(syn_ipv4), &p), 0);
        assert_ptr_equal(p.data, syn_ipv4);
        assert_int_equal(p.len, 72);
        assert_int_equal(p.family, AF_INET);
        assert_int_equal(p.protocol, IPPROTO_TCP);
        assert_address(&p.saddr, "::ffff:192.0.2.10");
        assert_address(&p.daddr, "::ffff:192.0.2.20");
        assert_int_equal(p.sport, 40000);
        assert_int_equal(p.dport, 443);
        assert_int_equal(p.seq, 0x11223344);
        assert_int_equal(p.ack, 0);
        assert_int_equal(p.flags, TCP_FLAG_SYN);
        assert_true(p.fast_open);
        assert_int_equal(p.l4_offset, 20);
        assert_int_equal(p.payload_offset, 72);
        assert_int_equal(p.payload_len, 0);
}

static void an_ipv6_segment_is_read_field_by_field(void **state) {
        Packet p;

        assert_int_equal(packet_parse(ack_ipv6, sizeof(ack_ipv6), &p), 0);
        assert_int_equal(p.len, 65);
        assert_int_equal(p.family, AF_INET6);
        assert_address(&p.saddr, "2001:db8::1");
        assert_address(&p.daddr, "2001:db8::2");
        assert_int_equal(p.seq, 0x11223345);
        assert_int_equal(p.ack, 0x55667788);
        assert_int_equal(p.flags, TCP_FLAG_ACK | TCP_FLAG_PSH);
        assert_false(p.fast_open);
        assert_int_equal(p.l4_offset, 40);
        assert_int_equal(p.payload_offset, 60);
        assert_int_equal(p.payload_len, 5);
}

static void bytes_behind_the_packet_are_ignored(void **state) {
        uint8_t padded[sizeof(ack_ipv6) + 7] = {};
        Packet p;

        memcpy(padded, ack_ipv6, sizeof(ack_ipv6));
        assert_int_equal(packet_parse(padded, sizeof(padded), &p), 0);
        assert_int_equal(p.len, sizeof(ack_ipv6));
        assert_int_equal(p.payload_len, 5);
}

/* ---- one packet, one thing wrong with it ---- */

typedef struct Mutation {
        const char *what;
        bool ipv6;
        int len;                   /* 0: as it is; else cut to this */
        int offset;                /* of the bytes to overwrite */
        int n;
        uint8_t bytes[4];
        int expected;
} Mutation;

static const Mutation mutations[] = {
        { "unchanged IPv4",                      false, 0,  0,  0, {},                       0 },
        { "unchanged IPv6",                      true,  0,  0,  0, {},                       0 },
        { "IP version 5",                        false, 0,  0,  1, { 0x55 },                 -EBADMSG },
        { "IP version 0",                        false, 0,  0,  1, { 0x05 },                 -EBADMSG },
        { "one byte",                            false, 1,  0,  0, {},                       -EBADMSG },
        { "IPv4 header cut",                     false, 19, 0,  0, {},                       -EBADMSG },
        { "IPv4 header length below 20",         false, 0,  0,  1, { 0x44 },                 -EBADMSG },
        { "IPv4 header longer than the packet",  false, 24, 0,  4, { 0x4f, 0, 0, 24 },       -EBADMSG },
        { "IPv4 total below header length",      false, 0,  2,  2, { 0, 19 },                -EBADMSG },
        { "IPv4 total of zero",                  false, 0,  2,  2, { 0, 0 },                 -EBADMSG },
        { "IPv4 total beyond the buffer",        false, 0,  2,  2, { 0, 73 },                -EBADMSG },
        { "IPv4 packet cut",                     false, 71, 0,  0, {},                       -EBADMSG },
        { "IPv4 first fragment",                 false, 0,  6,  2, { 0x20, 0x00 },           -EPROTONOSUPPORT },
        { "IPv4 later fragment",                 false, 0,  6,  2, { 0x00, 0x10 },           -EPROTONOSUPPORT },
        { "IPv4 don't fragment",                 false, 0,  6,  2, { 0x40, 0x00 },           0 },
        { "IPv4 protocol other than TCP",        false, 0,  9,  1, { 47 },                   0 },
        { "TCP header cut",                      false, 0,  2,  2, { 0, 39 },                -EBADMSG },
        { "TCP data offset below 5",             false, 0,  32, 1, { 0x40 },                 -EBADMSG },
        { "TCP data offset of 0",                false, 0,  32, 1, { 0x00 },                 -EBADMSG },
        { "TCP data offset beyond the packet",   false, 0,  32, 1, { 0xe0 },                 -EBADMSG },
        { "TCP option of length 0",              false, 0,  41, 1, { 0 },                    -EBADMSG },
        { "TCP option of length 1",              false, 0,  41, 1, { 1 },                    -EBADMSG },
        { "TCP option longer than the header",   false, 0,  41, 1, { 33 },                   -EBADMSG },
        { "TCP option without its length",       false, 0,  70, 2, { 0x01, 0x05 },           -EBADMSG },
        { "rubbish behind the end of options",   false, 0,  40, 4, { 0x00, 0xff, 0xff, 0 },  0 },
        { "IPv6 header cut",                     true,  39, 0,  0, {},                       -EBADMSG },
        { "IPv6 payload beyond the buffer",      true,  0,  4,  2, { 0x00, 0x1a },           -EBADMSG },
        { "IPv6 payload length 65535",           true,  0,  4,  2, { 0xff, 0xff },           -EBADMSG },
        { "IPv6 without payload",                true,  0,  4,  2, { 0, 0 },                 -EBADMSG },
        { "IPv6 TCP header cut",                 true,  0,  4,  2, { 0, 19 },                -EBADMSG },
        { "IPv6 no next header",                 true,  0,  6,  1, { 59 },                   0 },
        { "IPv6 ESP",                            true,  0,  6,  1, { 50 },                   -EPROTONOSUPPORT },
        { "IPv6 mobility header",                true,  0,  6,  1, { 135 },                  -EPROTONOSUPPORT },
        { "IPv6 HIP",                            true,  0,  6,  1, { 139 },                  -EPROTONOSUPPORT },
        { "IPv6 Shim6",                          true,  0,  6,  1, { 140 },                  -EPROTONOSUPPORT },
        /* The TCP header taken for an extension header: its second byte, 0x40, is a length of 65 * 8. */
        { "IPv6 hop-by-hop beyond the packet",   true,  0,  6,  1, { 0 },                    -EBADMSG },
        { "IPv6 destination options beyond",     true,  0,  6,  1, { 60 },                   -EBADMSG },
        { "IPv6 authentication beyond",          true,  0,  6,  1, { 51 },                   -EBADMSG },
        { "IPv6 fragment that has others",       true,  0,  6,  1, { 44 },                   -EPROTONOSUPPORT },
        { "IPv6 extension header cut",           true,  0,  4,  3, { 0, 7, 0 },              -EBADMSG },
};

static void a_malformed_packet_is_refused_with_its_error(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(mutations); i++) {
                const Mutation *m = &mutations[i];
                size_t whole = m->ipv6 ? sizeof(ack_ipv6) : sizeof(syn_ipv4), len = m->len > 0 ? (size_t) m->len : whole;
                uint8_t changed[sizeof(syn_ipv4)];
                _cleanup_free_ uint8_t *data = NULL;
                Packet p, before;
                int r;

                memcpy(changed, m->ipv6 ? ack_ipv6 : syn_ipv4, whole);
                memcpy(changed + m->offset, m->bytes, (size_t) m->n);
                data = copy_of(changed, len);
                memset(&p, 0x5a, sizeof(p));
                before = p;
                r = packet_parse(data, len, &p);
                if (r != m->expected)
                        fail_msg("%s: %d instead of %d", m->what, r, m->expected);
                if (r < 0)
                        assert_memory_equal(&p, &before, sizeof(p));
        }
        assert_int_equal(packet_parse(NULL, 0, &(Packet) {}), -EBADMSG);
}

/* ---- what stands between IP and TCP ---- */

typedef struct Buffer {
        uint8_t data[66000];
        size_t len;
} Buffer;

static void put(Buffer *b, const void *data, size_t n) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
}

static const uint8_t *tcp_of(const uint8_t *packet) {
        return packet + (packet[0] >> 4 == 4 ? 20 : 40);
}

/* ack_ipv6 with these extension headers, of which the first has type first_type. */
static void build_ipv6(Buffer *b, uint8_t first_type, const uint8_t *extensions, size_t n) {
        b->len = 0;
        put(b, ack_ipv6, 40);
        put(b, extensions, n);
        put(b, tcp_of(ack_ipv6), sizeof(ack_ipv6) - 40);
        store_be16(b->data + 4, (uint16_t) (b->len - 40));
        b->data[6] = first_type;
}

/* syn_ipv4 with these IP options, a multiple of 4 bytes. */
static void build_ipv4(Buffer *b, const uint8_t *options, size_t n) {
        b->len = 0;
        put(b, syn_ipv4, 20);
        put(b, options, n);
        put(b, tcp_of(syn_ipv4), sizeof(syn_ipv4) - 20);
        b->data[0] = (uint8_t) (0x45 + n / 4);
        store_be16(b->data + 2, (uint16_t) b->len);
}

static void extension_headers_are_followed_to_tcp(void **state) {
        static const struct {
                const char *what;
                uint8_t first_type;
                uint8_t bytes[48];
                size_t n;
                int expected;
        } cases[] = {
                { "hop-by-hop",                       0,  { 6, 0, 1, 4 }, 8, 0 },
                { "destination options of 16 bytes",  60, { 6, 1, 1, 12 }, 16, 0 },
                { "routing at its end",               43, { 6, 2, 4, 0 }, 24, 0 },
                { "routing with a segment left",      43, { 6, 2, 4, 1 }, 24, -EPROTONOSUPPORT },
                { "authentication",                   51, { 6, 4 }, 24, 0 },
                { "the only fragment",                44, { 6, 0, 0, 0, 1, 2, 3, 4 }, 8, 0 },
                { "reserved bits of a fragment",      44, { 6, 0xff, 0, 6 }, 8, 0 },
                { "first fragment",                   44, { 6, 0, 0, 1 }, 8, -EPROTONOSUPPORT },
                { "later fragment",                   44, { 6, 0, 0, 8 }, 8, -EPROTONOSUPPORT },
                { "hop-by-hop, routing, destination", 0,  { 43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 4 }, 24, 0 },
                { "ESP behind hop-by-hop",            0,  { 50, 0, 1, 4 }, 8, -EPROTONOSUPPORT },
        };
        Buffer b;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Packet p;
                int r;

                build_ipv6(&b, cases[i].first_type, cases[i].bytes, cases[i].n);
                r = packet_parse(b.data, b.len, &p);
                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
                if (r < 0)
                        continue;
                assert_int_equal(p.protocol, IPPROTO_TCP);
                assert_int_equal(p.l4_offset, 40 + cases[i].n);
                assert_int_equal(p.dport, 443);
                assert_int_equal(p.payload_len, 5);
        }
}

static void a_packet_may_end_with_its_headers(void **state) {
        static const uint8_t options[8] = { 59, 0, 1, 4 };
        Buffer b;
        Packet p;

        build_ipv6(&b, 60, options, sizeof(options));
        store_be16(b.data + 4, sizeof(options));
        assert_int_equal(packet_parse(b.data, 48, &p), 0);
        assert_int_equal(p.protocol, IPPROTO_NONE);
        assert_int_equal(p.payload_offset, 48);
        b.data[6] = IPPROTO_NONE;
        store_be16(b.data + 4, 0);
        assert_int_equal(packet_parse(b.data, 40, &p), 0);
        assert_int_equal(p.payload_offset, 40);
}

static void ipv4_options_are_stepped_over(void **state) {
        static const struct {
                const char *what;
                uint8_t bytes[12];
                size_t n;
                int expected;
        } cases[] = {
                { "router alert",                  { 0x94, 4, 0, 0 }, 4, 0 },
                { "no-operation, end, rubbish",    { 1, 0, 0xff, 0xff }, 4, 0 },
                { "loose route at its end",        { 131, 7, 8, 192, 0, 2, 1, 0 }, 8, 0 },
                { "loose route with a hop left",   { 131, 7, 4, 192, 0, 2, 1, 0 }, 8, -EPROTONOSUPPORT },
                { "loose route at its last hop",   { 131, 7, 7, 192, 0, 2, 1, 0 }, 8, -EPROTONOSUPPORT },
                { "loose route of no hops",        { 131, 3, 4, 0 }, 4, 0 },
                { "strict route with a hop left",  { 1, 137, 7, 4, 192, 0, 2, 1 }, 8, -EPROTONOSUPPORT },
                { "route without pointer",         { 131, 2, 0, 0 }, 4, -EPROTONOSUPPORT },
                { "option of length 1",            { 0x94, 1, 0, 0 }, 4, -EBADMSG },
                { "option beyond the header",      { 0x94, 5, 0, 0 }, 4, -EBADMSG },
        };
        Buffer b;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Packet p;
                int r;

                build_ipv4(&b, cases[i].bytes, cases[i].n);
                r = packet_parse(b.data, b.len, &p);
                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
                if (r < 0)
                        continue;
                assert_int_equal(p.l4_offset, 20 + cases[i].n);
                assert_int_equal(p.sport, 40000);
        }
}

static void udp_and_icmp_give_ports_or_type_and_code(void **state) {
        static const struct {
                const char *what;
                bool ipv6;
                uint8_t protocol;
                uint8_t bytes[8];
                size_t n;
                int expected;
                uint16_t sport, dport;
                size_t payload_at;
        } cases[] = {
                { "UDP",                  false, IPPROTO_UDP,    { 0, 53, 0x9c, 0x40, 0, 8 }, 8, 0,         53,  40000, 8 },
                { "UDP over IPv6",        true,  IPPROTO_UDP,    { 0, 53, 0x9c, 0x40, 0, 8 }, 8, 0,         53,  40000, 8 },
                { "UDP cut",              false, IPPROTO_UDP,    { 0, 53, 0x9c, 0x40, 0, 8 }, 7, -EBADMSG,  0,   0,     0 },
                { "ping",                 false, IPPROTO_ICMP,   { 8, 0 },                    8, 0,         8,   0,     8 },
                { "ICMP cut",             false, IPPROTO_ICMP,   { 8, 0 },                    7, -EBADMSG,  0,   0,     0 },
                { "ICMPv6 unreachable",   true,  IPPROTO_ICMPV6, { 1, 4 },                    8, 0,         1,   4,     8 },
                { "ICMPv6 cut",           true,  IPPROTO_ICMPV6, { 1, 4 },                    0, -EBADMSG,  0,   0,     0 },
                { "ICMP over IPv6",       true,  IPPROTO_ICMP,   { 8, 1 },                    8, 0,         0,   0,     0 },
                { "GRE",                  false, IPPROTO_GRE,    { 1, 2 },                    3, 0,         0,   0,     0 },
                { "nothing at all",       false, IPPROTO_GRE,    {},                          0, 0,         0,   0,     0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t header_len = cases[i].ipv6 ? 40 : 20;
                uint8_t bytes[48];
                _cleanup_free_ uint8_t *data = NULL;
                Packet p;
                int r;

                memcpy(bytes, cases[i].ipv6 ? ack_ipv6 : syn_ipv4, header_len);
                memcpy(bytes + header_len, cases[i].bytes, cases[i].n);
                bytes[cases[i].ipv6 ? 6 : 9] = cases[i].protocol;
                store_be16(bytes + (cases[i].ipv6 ? 4 : 2), (uint16_t) (cases[i].n + (cases[i].ipv6 ? 0 : 20)));
                data = copy_of(bytes, header_len + cases[i].n);
                r = packet_parse(data, header_len + cases[i].n, &p);
                if (r != cases[i].expected)
                        fail_msg("%s: %d", cases[i].what, r);
                if (r < 0)
                        continue;
                assert_int_equal(p.protocol, cases[i].protocol);
                assert_int_equal(p.sport, cases[i].sport);
                assert_int_equal(p.dport, cases[i].dport);
                assert_int_equal(p.payload_offset, header_len + cases[i].payload_at);
        }
}

/* ---- writing ---- */

/* Everything but lengths and checksums stays as it is, up to the payload. */
static void assert_same_headers(const Packet *p, const uint8_t *rewritten) {
        for (size_t i = 0; i < p->payload_offset; i++) {
                bool ip_length = p->family == AF_INET ? i == 2 || i == 3 || i == 10 || i == 11 : i == 4 || i == 5;
                bool tcp_checksum = i == p->l4_offset + 16u || i == p->l4_offset + 17u;

                if (!ip_length && !tcp_checksum && rewritten[i] != p->data[i])
                        fail_msg("byte %zu: %#x became %#x", i, p->data[i], rewritten[i]);
        }
}

static void a_payload_is_put_in_replaced_and_taken_out(void **state) {
        static const struct {
                const uint8_t *data;
                size_t len, payload_len;
        } cases[] = {
                { syn_ipv4, sizeof(syn_ipv4), 0 },    { syn_ipv4, sizeof(syn_ipv4), 1 },    { syn_ipv4, sizeof(syn_ipv4), 1180 },
                { ack_ipv6, sizeof(ack_ipv6), 0 },    { ack_ipv6, sizeof(ack_ipv6), 84 },   { ack_ipv6, sizeof(ack_ipv6), 85 },
                { syn_ipv4, sizeof(syn_ipv4), 65463 }, { ack_ipv6, sizeof(ack_ipv6), 65475 },
        };
        uint8_t payload[65535], out[65535];
        Random random = { 1 };

        random_fill(&random, payload, sizeof(payload));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Packet p, q;
                int n;

                assert_int_equal(packet_parse(cases[i].data, cases[i].len, &p), 0);
                n = packet_rewrite(&p, payload, cases[i].payload_len, false, out, sizeof(out));
                assert_int_equal(n, p.payload_offset + cases[i].payload_len);
                assert_same_headers(&p, out);
                assert_checksums(out, (size_t) n);
                assert_int_equal(packet_parse(out, (size_t) n, &q), 0);
                assert_int_equal(q.payload_len, cases[i].payload_len);
                assert_memory_equal(out + q.payload_offset, payload, cases[i].payload_len);
        }
}

static void only_the_fast_open_option_becomes_no_operations(void **state) {
        static const struct {
                const char *what;
                uint8_t before[32], after[32];
        } cases[] = {
                { "with a cookie, among the usual ones",
                  { 2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1 },
                  { 2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
                { "asking for a cookie, before MPTCP",
                  { 34, 2, 30, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 4, 5, 0xb4, 0 },
                  { 1, 1, 30, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 4, 5, 0xb4, 0 } },
                { "in the experimental form",
                  { 254, 8, 0xf9, 0x89, 1, 2, 3, 4, 2, 4, 5, 0xb4, 0 },
                  { 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 5, 0xb4, 0 } },
                { "in the experimental form, asking for a cookie", { 254, 4, 0xf9, 0x89, 0 }, { 1, 1, 1, 1, 0 } },
                { "twice", { 34, 2, 34, 4, 9, 9, 0 }, { 1, 1, 1, 1, 1, 1, 0 } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint8_t data[sizeof(syn_ipv4)], out[sizeof(syn_ipv4)];
                Packet p, q;

                memcpy(data, syn_ipv4, sizeof(data));
                memcpy(data + 40, cases[i].before, 32);
                assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
                assert_true(p.fast_open);
                assert_int_equal(packet_rewrite(&p, NULL, 0, true, out, sizeof(out)), sizeof(out));
                assert_memory_equal(out + 40, cases[i].after, 32);
                assert_checksums(out, sizeof(out));
                assert_int_equal(packet_parse(out, sizeof(out), &q), 0);
                assert_false(q.fast_open);
        }
}

static void other_options_are_not_taken_for_fast_open(void **state) {
        static const uint8_t options[][8] = {
                { 254, 4, 0xf9, 0x88, 0 },          /* another experiment */
                { 254, 3, 0xf9, 0x89, 2, 0 },       /* too short for its number, the rest of which begins the next */
                { 253, 4, 0xf9, 0x89, 0 },
                { 0, 34, 2 },                       /* behind the end */
                { 30, 4, 34, 2, 0 },                /* inside another option */
        };

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                uint8_t data[sizeof(syn_ipv4)], out[sizeof(syn_ipv4)];
                Packet p;

                memcpy(data, syn_ipv4, sizeof(data));
                memset(data + 40, 0, 32);
                memcpy(data + 40, options[i], sizeof(options[i]));
                assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
                assert_false(p.fast_open);
                assert_int_equal(packet_rewrite(&p, NULL, 0, true, out, sizeof(out)), sizeof(out));
                assert_memory_equal(out + 40, data + 40, 32);
        }
}

static void what_does_not_fit_is_not_written(void **state) {
        uint8_t payload[65535] = {}, out[65535];
        Packet p;

        assert_int_equal(packet_parse(syn_ipv4, sizeof(syn_ipv4), &p), 0);
        assert_int_equal(packet_rewrite(&p, payload, 100, false, out, 172), 172);
        assert_int_equal(packet_rewrite(&p, payload, 100, false, out, 171), -EMSGSIZE);
        assert_int_equal(packet_rewrite(&p, payload, 0, false, out, 71), -EMSGSIZE);
        assert_int_equal(packet_rewrite(&p, payload, 65535 - 72 + 1, false, out, SIZE_MAX), -EMSGSIZE);
        assert_int_equal(packet_rewrite(&p, payload, SIZE_MAX, false, out, SIZE_MAX), -EMSGSIZE);
        p.protocol = IPPROTO_UDP;
        assert_int_equal(packet_rewrite(&p, payload, 100, false, out, sizeof(out)), -EPROTO);
}

static void a_fin_goes_with_the_data_that_is_cut(void **state) {
        uint8_t data[sizeof(ack_ipv6)], out[200];
        Packet p, q;
        int n;

        memcpy(data, ack_ipv6, sizeof(data));
        data[53] |= TCP_FLAG_FIN;
        assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
        n = packet_rewrite(&p, (const uint8_t *) "message", 7, false, out, sizeof(out));
        assert_int_equal(packet_parse(out, (size_t) n, &q), 0);
        assert_int_equal(q.flags, TCP_FLAG_ACK | TCP_FLAG_PSH);
        assert_checksums(out, (size_t) n);

        /* Without a message in its place nothing was promised again. */
        n = packet_rewrite(&p, NULL, 0, false, out, sizeof(out));
        assert_int_equal(packet_parse(out, (size_t) n, &q), 0);
        assert_int_equal(q.flags, p.flags);
}

static void a_reset_answers_what_the_syn_ack_answered(void **state) {
        uint8_t data[sizeof(ack_ipv6)], out[sizeof(ack_ipv6)];
        Packet p, q;

        memcpy(data, ack_ipv6, sizeof(data));
        data[53] = TCP_FLAG_SYN | TCP_FLAG_ACK;
        assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
        assert_int_equal(packet_write_reset(&p, out, sizeof(out)), 60);
        assert_int_equal(packet_parse(out, 60, &q), 0);
        assert_int_equal(q.flags, TCP_FLAG_RST | TCP_FLAG_ACK);
        assert_int_equal(q.ack, p.ack);
        assert_int_equal(q.seq, p.seq);
        assert_int_equal(q.payload_len, 0);
        assert_checksums(out, 60);
        assert_int_equal(packet_write_reset(&p, out, 59), -EMSGSIZE);
}

/* ---- properties ---- */

static void put_random_options(Buffer *b, Random *random, size_t room) {
        static const uint8_t known[][4] = { { 2, 4, 5, 0xb4 }, { 1, 1, 4, 2 }, { 34, 2, 1, 1 }, { 30, 4, 1, 1 }, { 1, 3, 3, 7 }, { 253, 3, 9, 1 } };

        for (; room > 0; room -= 4)
                put(b, known[random_below(random, ELEMENTSOF(known))], 4);
}

/* A valid segment with any number of options, IP options or extension headers, and payload. */
static void build_random(Buffer *b, Random *random) {
        uint8_t tcp[20], payload[2000], extension[16] = { 6, 1 }, ip_options[40];
        size_t options = random_below(random, 11) * 4, n = random_below(random, sizeof(payload));

        memset(ip_options, 1, sizeof(ip_options));
        if (random_below(random, 2))
                build_ipv6(b, 60, extension, sizeof(extension));
        else
                build_ipv4(b, ip_options, random_below(random, 11) * 4);
        b->len = b->data[0] >> 4 == 4 ? (b->data[0] & 0xfu) * 4 : 56;
        random_fill(random, tcp, sizeof(tcp));
        tcp[12] = (uint8_t) ((5 + options / 4) << 4);
        put(b, tcp, sizeof(tcp));
        put_random_options(b, random, options);
        random_fill(random, payload, n);
        put(b, payload, n);
        if (b->data[0] >> 4 == 4)
                store_be16(b->data + 2, (uint16_t) b->len);
        else
                store_be16(b->data + 4, (uint16_t) (b->len - 40));
}

static void any_segment_survives_getting_and_losing_a_payload(void **state) {
        uint8_t payload[1180], with[4096], without[4096];
        Random random = { 2 };
        Buffer b;

        for (int i = 0; i < 20000; i++) {
                size_t n = random_below(&random, sizeof(payload) + 1);
                Packet p, q;
                int r;

                build_random(&b, &random);
                random_fill(&random, payload, n);
                assert_int_equal(packet_parse(b.data, b.len, &p), 0);
                r = packet_rewrite(&p, payload, n, false, with, sizeof(with));
                assert_int_equal(r, p.payload_offset + n);
                assert_checksums(with, (size_t) r);
                assert_int_equal(packet_parse(with, (size_t) r, &q), 0);
                assert_int_equal(q.payload_len, n);
                assert_memory_equal(with + q.payload_offset, payload, n);
                r = packet_rewrite(&q, p.data + p.payload_offset, p.payload_len, false, without, sizeof(without));
                assert_int_equal(r, b.len);
                assert_checksums(without, (size_t) r);
                /* Up to the FIN, the packet is what it was. */
                without[p.l4_offset + 13] = p.flags;
                assert_same_headers(&p, without);
                assert_memory_equal(without + p.payload_offset, p.data + p.payload_offset, p.payload_len);
        }
}

static void flipped_bits_and_cut_packets_never_harm(void **state) {
        uint8_t out[4096];
        Random random = { 3 };
        Buffer b;
        size_t n_parsed = 0, n_refused = 0;

        for (int i = 0; i < 50000; i++) {
                _cleanup_free_ uint8_t *data = NULL;
                size_t n;
                Packet p;

                build_random(&b, &random);
                for (size_t k = random_below(&random, 4); k > 0; k--)
                        b.data[random_below(&random, MIN(b.len, (size_t) 100))] ^= (uint8_t) (1u << random_below(&random, 8));
                n = random_below(&random, 4) ? b.len : random_below(&random, b.len);
                data = copy_of(b.data, n);
                if (packet_parse(data, n, &p) < 0) {
                        n_refused++;
                        continue;
                }
                n_parsed++;
                assert_true(p.len <= n && p.l4_offset <= p.payload_offset && p.payload_offset + p.payload_len == p.len);
                if (p.protocol == IPPROTO_TCP)
                        assert_int_equal(packet_rewrite(&p, NULL, 0, true, out, sizeof(out)), p.payload_offset);
        }
        assert_true(n_parsed > 1000 && n_refused > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_ipv4_syn_is_read_field_by_field),
                cmocka_unit_test(an_ipv6_segment_is_read_field_by_field),
                cmocka_unit_test(bytes_behind_the_packet_are_ignored),
                cmocka_unit_test(a_malformed_packet_is_refused_with_its_error),
                cmocka_unit_test(extension_headers_are_followed_to_tcp),
                cmocka_unit_test(a_packet_may_end_with_its_headers),
                cmocka_unit_test(ipv4_options_are_stepped_over),
                cmocka_unit_test(udp_and_icmp_give_ports_or_type_and_code),
                cmocka_unit_test(a_payload_is_put_in_replaced_and_taken_out),
                cmocka_unit_test(only_the_fast_open_option_becomes_no_operations),
                cmocka_unit_test(other_options_are_not_taken_for_fast_open),
                cmocka_unit_test(what_does_not_fit_is_not_written),
                cmocka_unit_test(a_fin_goes_with_the_data_that_is_cut),
                cmocka_unit_test(a_reset_answers_what_the_syn_ack_answered),
                cmocka_unit_test(any_segment_survives_getting_and_losing_a_payload),
                cmocka_unit_test(flipped_bits_and_cut_packets_never_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
