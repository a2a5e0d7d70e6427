/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/packet.h"
#include "wire/test-packets.h"

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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
