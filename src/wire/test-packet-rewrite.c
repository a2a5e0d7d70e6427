/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/packet.h"
#include "wire/test-packets.h"
#include "wire/test-random.h"

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

static void a_reset_answers_what_it_is_told_to(void **state) {
        uint8_t data[sizeof(ack_ipv6)], out[sizeof(ack_ipv6)];
        Packet p, q;

        memcpy(data, ack_ipv6, sizeof(data));
        data[53] = TCP_FLAG_SYN | TCP_FLAG_ACK;
        assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
        assert_int_equal(packet_write_reset(&p, 0xfffffffe, out, sizeof(out)), 60);
        assert_int_equal(packet_parse(out, 60, &q), 0);
        assert_int_equal(q.flags, TCP_FLAG_RST | TCP_FLAG_ACK);
        assert_int_equal(q.ack, 0xfffffffe);
        assert_int_equal(q.seq, p.seq);
        assert_int_equal(q.payload_len, 0);
        assert_checksums(out, 60);
        assert_int_equal(packet_write_reset(&p, 1, out, 59), -EMSGSIZE);
}

static void a_syn_becomes_an_ack_of_the_same_number(void **state) {
        uint8_t data[sizeof(ack_ipv6)], out[sizeof(ack_ipv6)];
        Packet p, q;

        memcpy(data, ack_ipv6, sizeof(data));
        data[53] = TCP_FLAG_SYN;
        assert_int_equal(packet_parse(data, sizeof(data), &p), 0);
        assert_int_equal(packet_write_ack(&p, out, sizeof(out)), 60);
        assert_int_equal(packet_parse(out, 60, &q), 0);
        assert_int_equal(q.flags, TCP_FLAG_ACK);
        assert_int_equal(q.seq, p.seq);
        assert_int_equal(q.payload_len, 0);
        assert_checksums(out, 60);
        assert_int_equal(packet_write_ack(&p, out, 59), -EMSGSIZE);
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
                cmocka_unit_test(a_payload_is_put_in_replaced_and_taken_out),
                cmocka_unit_test(only_the_fast_open_option_becomes_no_operations),
                cmocka_unit_test(other_options_are_not_taken_for_fast_open),
                cmocka_unit_test(what_does_not_fit_is_not_written),
                cmocka_unit_test(a_fin_goes_with_the_data_that_is_cut),
                cmocka_unit_test(a_reset_answers_what_it_is_told_to),
                cmocka_unit_test(a_syn_becomes_an_ack_of_the_same_number),
                cmocka_unit_test(any_segment_survives_getting_and_losing_a_payload),
                cmocka_unit_test(flipped_bits_and_cut_packets_never_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
