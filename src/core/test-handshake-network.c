/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a network does to the three packets, and what else may stand in them: each by itself. test-handshake-loss.c mixes them. */

#include "core/test-pairing.h"
#include "wire/bytes.h"

enum { SYN, SYN_ACK, ACK, _STEPS };

/* MSS, SACK permitted, timestamps, window scale, and MPTCP's MP_CAPABLE (RFC 8684): 36 bytes; 40 with the padding. */
static const uint8_t tcp_options[40] = {
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, 30, 12, 1, 0x81, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11, 1, 1, 1, 1, 1, 1, 1, 0,
};

/* ---- lost, doubled, late ---- */

static Wire say(Pairing *p, unsigned step) {
        return step == SYN ? send_syn(p) : step == SYN_ACK ? send_syn_ack(p) : send_ack(p, "");
}

static void hear(Pairing *p, unsigned step, Wire w) {
        (step == SYN ? receive_syn : step == SYN_ACK ? receive_syn_ack : receive_ack)(p, w);
}

/* What our kernel's ACK needs in order to carry the message once more. */
static void hear_syn_ack_again(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), VERDICT_CLIENT_PENDING);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void each_packet_may_be_lost_twice(void **state) {
        Pairing *p = *state;

        for (unsigned lost = 0; lost < _STEPS; lost++) {
                p->c = connection_make(p->c.family, (uint16_t) (1000 + lost));
                for (unsigned step = 0; step < _STEPS; step++) {
                        Wire w = say(p, step);

                        for (unsigned i = 0; step == lost && i < 2; i++) {
                                test_now += USEC_PER_SEC << i;
                                if (step == SYN_ACK)
                                        hear(p, SYN, send_syn(p)); /* its sender has heard nothing */
                                if (step == ACK)
                                        hear_syn_ack_again(p, send_syn_ack(p));
                                w = say(p, step);
                        }
                        hear(p, step, w);
                }
        }
}

static void each_packet_may_come_twice(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), syn_ack, ack, w;

        receive_syn(p, syn);
        receive_syn(p, syn);
        syn_ack = send_syn_ack(p);
        receive_syn_ack(p, syn_ack);
        w = syn_ack;
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_CLIENT_PENDING);
        assert_int_equal(wire_payload_len(&w), 0);
        ack = send_ack(p, "");
        receive_ack(p, ack);
        receive_ack(p, ack);
        hear_syn_ack_again(p, syn_ack);
        w = send_ack(p, "");
        assert_memory_equal(w.data, ack.data, ack.len);
        EXPECT_ACCEPT(host_step(&p->server, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
        EXPECT_DROP(&p->server, host_input(&p->server, &syn), DATAPATH_COUNTER_NO_STATE);
}

static void what_comes_later_than_its_state_lives_opens_nothing(void **state) {
        for (unsigned late = 0; late < _STEPS; late++) {
                Pairing *p = *state;
                Wire w = {};

                p->c = connection_make(p->c.family, (uint16_t) (1000 + late));
                for (unsigned step = 0; step <= late; step++) {
                        w = say(p, step);
                        if (step < late)
                                hear(p, step, w);
                }
                test_now += FLOW_HALF_OPEN_USEC;
                if (late == SYN) { /* opens a state at the server, and its answer finds none at the client */
                        receive_syn(p, w);
                        w = send_syn_ack(p);
                        EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_NO_STATE);
                } else
                        EXPECT_DROP(late == ACK ? &p->server : &p->client, host_input(late == ACK ? &p->server : &p->client, &w), DATAPATH_COUNTER_NO_STATE);
                w = wire_ack(&p->c, "data");
                if (late > SYN)
                        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        }
}

static void data_that_overtakes_the_clients_own_ack_waits_for_it(void **state) {
        Pairing *p = *state;
        const Endpoints e = { .client = p->c.client, .server = p->c.server, .client_port = p->c.client_port, .server_port = p->c.server_port };
        const WaitKey key = { .flow = flow_key(&e, FLOW_CLIENT) };
        Wire data = wire_ack(&p->c, "hello");
        Action a;

        p->client.waits = true;
        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        a = host_output(&p->client, &data);
        assert_int_equal(a.type, ACTION_WAIT);
        assert_memory_equal(&a.wait, &key, sizeof(key));
        receive_ack(p, send_ack(p, ""));
        EXPECT_ACCEPT(host_output(&p->client, &data), VERDICT_CLIENT_AUTHORIZED);
        assert_int_equal(wire_payload_len(&data), 5);
        assert_memory_equal(wire_payload(&data), "hello", 5);
}

static void a_syn_ack_that_is_overtaken_by_its_repetition_asks_for_nothing_new(void **state) {
        Pairing *p = *state;
        Wire first, second;

        open_connection(p); /* they know each other: the whole is sent again */
        p->c = connection_make(p->c.family, 1001);
        receive_syn(p, send_syn(p));
        first = send_syn_ack(p);
        second = send_syn_ack(p);
        receive_syn_ack(p, second);
        receive_ack(p, send_ack(p, ""));
        hear_syn_ack_again(p, first);
        first = wire_ack(&p->c, "data");
        EXPECT_ACCEPT(host_output(&p->client, &first), VERDICT_CLIENT_AUTHORIZED);
}

/* ---- both at once, resets, cookies ---- */

static void two_that_connect_to_each_other_at_once_are_both_refused(void **state) {
        Pairing *p = *state;
        const Connection back = { p->c.family, p->c.server, p->c.client, p->c.server_port, p->c.client_port, 4711, 0 };
        Wire there = send_syn(p), here = wire_syn(&back), w;
        Action a;

        EXPECT_ACCEPT(host_output(&p->server, &here), VERDICT_CLIENT_PENDING);
        a = host_input(&p->server, &there);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_SIMULTANEOUS_OPEN, 0);
        a = host_input(&p->client, &here);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_SIMULTANEOUS_OPEN, 0);
        w = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, 4711, p->c.client_isn + 1, NULL, 0); /* what a TCP answers to it */
        EXPECT_DROP(&p->server, host_output(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
}

/* A reset in a state of either end: with the number that fits it reaches our kernel, with another it is dropped; the handshake can always go on. */
static void a_reset_ends_no_state(void **state) {
        for (unsigned step = 0; step < _STEPS; step++)
                for (uint32_t off = 0; off < 2; off++) {
                        Pairing *p = *state;
                        Wire to_client, to_server, w = {};

                        p->c = connection_make(p->c.family, (uint16_t) (1000 + 2 * step + off));
                        to_client = wire_make(&p->c, false, TCP_FLAG_RST | TCP_FLAG_ACK, p->c.server_isn + 1, p->c.client_isn + 1 + off, NULL, 0);
                        to_server = wire_make(&p->c, true, TCP_FLAG_RST, p->c.client_isn + 1 + off, 0, NULL, 0);
                        for (unsigned i = 0; i <= step; i++) {
                                w = say(p, i);
                                if (i < step)
                                        hear(p, i, w);
                        }
                        if (step == ACK) /* the client is released: from then on resets are its kernel's business */
                                EXPECT_ACCEPT(host_input(&p->client, &to_client), VERDICT_PASS);
                        else
                                assert_int_equal(host_input(&p->client, &to_client).type, off == 0 ? ACTION_ACCEPT : ACTION_DROP);
                        assert_int_equal(host_input(&p->server, &to_server).type, off == 0 && step != SYN ? ACTION_ACCEPT : ACTION_DROP);
                        hear(p, step, w);
                        for (unsigned i = step + 1; i < _STEPS; i++)
                                hear(p, i, say(p, i));
                }
}

static void a_syn_cookie_that_changes_is_answered_for_anew(void **state) {
        Pairing *p = *state;
        Wire first;

        open_connection(p);
        p->c = connection_make(p->c.family, 1001);
        receive_syn(p, send_syn(p));
        first = send_syn_ack(p);
        p->c.server_isn += 64000;
        receive_syn_ack(p, send_syn_ack(p));
        EXPECT_DROP(&p->client, host_input(&p->client, &first), DATAPATH_COUNTER_NO_STATE);
        receive_ack(p, send_ack(p, ""));
}

/* ---- what else stands in packets ---- */

static void insert(Wire *w, size_t at, const uint8_t *bytes, size_t n) {
        memmove(w->data + at + n, w->data + at, w->len - at);
        memcpy(w->data + at, bytes, n);
        w->len += n;
        if (w->data[0] >> 4 == 4)
                store_be16(w->data + 2, (uint16_t) w->len);
        else
                store_be16(w->data + 4, (uint16_t) (w->len - 40));
}

static Wire with_tcp_options(Wire w) {
        size_t tcp = wire_parse(&w).l4_offset;

        insert(&w, tcp + 20, tcp_options, sizeof(tcp_options));
        w.data[tcp + 12] = (20 + sizeof(tcp_options)) / 4 << 4;
        return w;
}

static void expect_tcp_options(const Wire *w) {
        const Packet p = wire_parse(w);

        assert_int_equal(p.payload_offset - p.l4_offset, 20 + sizeof(tcp_options));
        assert_memory_equal(w->data + p.l4_offset + 20, tcp_options, sizeof(tcp_options));
}

/* Window scaling, timestamps, SACK and MPTCP are agreed upon by the two kernels as if nobody were between them. */
static void the_options_of_tcp_pass_as_they_are(void **state) {
        Pairing *p = *state;
        Wire w = with_tcp_options(wire_syn(&p->c));

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_PENDING);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
        expect_tcp_options(&w);
        w = with_tcp_options(wire_syn_ack(&p->c));
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_PASS);
        expect_tcp_options(&w);
        w = with_tcp_options(wire_ack(&p->c, "data"));
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_PASS); /* the proof is missing: the SYN is shown again, options and all */
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_SYN);
        expect_tcp_options(&w);
        w = with_tcp_options(wire_ack(&p->c, ""));
        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_AUTHORIZED);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_AUTHORIZED);
        expect_tcp_options(&w);
}

static void the_largest_packets_fit_the_smallest_path_of_ipv6(void **state) {
        Pairing *p = *state;
        Wire w = with_tcp_options(wire_syn(&p->c));

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_PENDING);
        assert_int_equal(w.len, 1280);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
        w = with_tcp_options(wire_syn_ack(&p->c));
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        assert_true(w.len <= 1280);
}

static void run_with_ip_options(Pairing *p, size_t at, const uint8_t *bytes, size_t n, uint8_t header) {
        for (unsigned step = 0; step < _STEPS; step++) {
                Wire w = step == SYN ? wire_syn(&p->c) : step == SYN_ACK ? wire_syn_ack(&p->c) : wire_ack(&p->c, "");
                Host *from = step == SYN_ACK ? &p->server : &p->client, *to = step == SYN_ACK ? &p->client : &p->server;

                insert(&w, at, bytes, n);
                w.data[p->c.family == AF_INET ? 0 : 6] = header;
                assert_int_equal(host_output(from, &w).type, ACTION_ACCEPT);
                assert_true(wire_payload_len(&w) > 0);
                assert_int_equal(host_input(to, &w).type, ACTION_ACCEPT);
                assert_int_equal(wire_payload_len(&w), 0);
                assert_memory_equal(w.data + at, bytes, n);
        }
        assert_int_equal(p->server.h.counters[DATAPATH_COUNTER_AUTHENTICATED], 1);
}

static void options_of_ipv4_pass_as_they_are(void **state) {
        static const uint8_t router_alert[] = { 0x94, 4, 0, 0, 1, 1, 1, 0 };

        run_with_ip_options(*state, 20, router_alert, sizeof(router_alert), 0x47);
}

static void extension_headers_of_ipv6_pass_as_they_are(void **state) {
        static const uint8_t hop_by_hop_then_destination[] = { IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0 };

        run_with_ip_options(*state, 40, hop_by_hop_then_destination, sizeof(hop_by_hop_then_destination), IPPROTO_HOPOPTS);
}

/* A segment of 8,900 bytes that TCP sends in place of the bare ACK, or ahead of the proof. */
static void a_jumbo_segment_gives_way_to_the_proof(void **state) {
        static uint8_t data[8900], packet[9000], buf[9000];
        Pairing *p = *state;
        Wire head = wire_ack(&p->c, "");
        HandshakeInput in = { .hook = QUEUE_HOOK_OUTPUT, .kind = REQUEST_HANDSHAKE, .waited = true, .now = test_now };
        Action a;
        Wire w = {};
        int n;

        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        memcpy(packet, head.data, head.len);
        memcpy(packet + head.len, data, sizeof(data));
        store_be16(packet + 2, (uint16_t) (head.len + sizeof(data)));
        assert_int_equal(packet_parse(packet, head.len + sizeof(data), &in.packet), 0);
        a = handshake_step(&p->client.h, &in);
        expect_accept(&a, VERDICT_CLIENT_AUTHORIZED);
        n = packet_rewrite(&in.packet, a.payload, a.payload_len, true, w.data, sizeof(w.data));
        assert_true(n > 0);
        w.len = (size_t) n;
        in.hook = QUEUE_HOOK_INPUT;
        a = handshake_step(&p->server.h, &in);
        expect_accept(&a, VERDICT_PASS);
        assert_int_equal(a.edit, EDIT_SYN);
        assert_true(packet_write_syn(&in.packet, a.syn, buf, sizeof(buf)) > 0);
        receive_ack(p, w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, pairing_setup, pairing_teardown)
#define T6(f) cmocka_unit_test_setup_teardown(f, pairing_setup6, pairing_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(each_packet_may_be_lost_twice),
                T(each_packet_may_come_twice),
                T(what_comes_later_than_its_state_lives_opens_nothing),
                T(data_that_overtakes_the_clients_own_ack_waits_for_it),
                T(a_syn_ack_that_is_overtaken_by_its_repetition_asks_for_nothing_new),
                T(two_that_connect_to_each_other_at_once_are_both_refused),
                T(a_reset_ends_no_state),
                T(a_syn_cookie_that_changes_is_answered_for_anew),
                T(the_options_of_tcp_pass_as_they_are),
                T6(the_options_of_tcp_pass_as_they_are),
                T6(the_largest_packets_fit_the_smallest_path_of_ipv6),
                T(options_of_ipv4_pass_as_they_are),
                T6(extension_headers_of_ipv6_pass_as_they_are),
                T(a_jumbo_segment_gives_way_to_the_proof),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
