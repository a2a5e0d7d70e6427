/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Two machines against each other, with real keys and packets. Each row of docs/protocol.md, "States", has its test here. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/test-hosts.h"

typedef struct Pairing {
        Host client, server;
        Connection c;
} Pairing;

static int setup_family(void **state, int family) {
        Pairing *p = calloc(1, sizeof(*p));

        host_init(&p->client, "client", "the same secret", 2);
        host_init(&p->server, "server", "the same secret", 2);
        p->c = connection_make(family, 1000);
        *state = p;
        return 0;
}

static int setup(void **state) {
        return setup_family(state, AF_INET);
}

static int setup6(void **state) {
        return setup_family(state, AF_INET6);
}

static int teardown(void **state) {
        Pairing *p = *state;

        host_done(&p->client);
        host_done(&p->server);
        free(p);
        return 0;
}

static void expect_accept(const Action *a, uint8_t verdict) {
        assert_int_equal(a->type, ACTION_ACCEPT);
        assert_int_equal(a->verdict, verdict);
}

static void expect_drop(Host *h, const Action *a, uint64_t before, DatapathCounter counter) {
        assert_int_equal(a->type, ACTION_DROP);
        assert_int_equal(h->h.counters[counter], before + 1);
}

static void expect_record(const Action *a, uint8_t verdict, Reason reason, uint32_t flags) {
        assert_int_equal(a->n_records, 1);
        assert_int_equal(a->records[0].verdict, verdict);
        assert_int_equal(a->records[0].reason, reason);
        assert_int_equal(a->records[0].flags, flags);
        assert_int_equal(a->records[0].unit, HOST_UNIT);
}

#define EXPECT_DROP(host, step, counter) do {                                   \
                uint64_t _before = (host)->h.counters[counter];                 \
                Action _a = (step);                                             \
                expect_drop(host, &_a, _before, counter);                       \
        } while (0)

#define EXPECT_ACCEPT(step, verdict) do {                                       \
                Action _a = (step);                                             \
                expect_accept(&_a, verdict);                                    \
        } while (0)

/* The three steps, each as far as the other host. */
static Wire send_syn(Pairing *p) {
        Wire w = wire_syn(&p->c);

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_PENDING);
        return w;
}

static Wire send_syn_ack(Pairing *p) {
        Wire w = wire_syn_ack(&p->c);

        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        return w;
}

static Wire send_ack(Pairing *p, const char *data) {
        Wire w = wire_ack(&p->c, data);

        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_AUTHORIZED);
        return w;
}

static void receive_syn(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void receive_syn_ack(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_SYN | TCP_FLAG_ACK);
}

static void receive_ack(Pairing *p, Wire w) {
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_AUTHORIZED);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void open_connection(Pairing *p) {
        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}

/* ---- the good path ---- */

static void a_handshake_authorizes_both_ends_and_records_them(void **state) {
        Pairing *p = *state;
        Wire w;
        Action a;

        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        w = wire_ack(&p->c, "");
        a = host_output(&p->client, &w);
        expect_accept(&a, VERDICT_CLIENT_AUTHORIZED);
        expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, 0);
        assert_int_equal(a.records[0].direction, DATAPATH_CONNECT);
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_SERVER_AUTHORIZED);
        expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, 0);
        assert_int_equal(a.records[0].direction, DATAPATH_ACCEPT);
        assert_int_equal(a.records[0].peer, 99);
        assert_int_equal(a.records[0].dport, 80);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void a_second_connection_asks_nobody_and_proves_itself_in_its_syn(void **state) {
        Pairing *p = *state;
        Wire w;

        w = send_syn(p);
        assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MAX);
        assert_int_equal(wire_payload(&w)[5], 0);
        receive_syn(p, w);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
        assert_int_equal(p->server.n_questions, 1);
        assert_int_equal(p->client.n_questions, 1);
        p->c = connection_make(p->c.family, 1001);
        w = send_syn(p);
        assert_int_equal(wire_payload(&w)[5], MESSAGE_KNOWN);
        assert_true(wire_payload_len(&w) < MESSAGE_SIZE_MAX);
        receive_syn(p, w);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
        assert_int_equal(p->server.n_questions, 1);
        assert_int_equal(p->client.n_questions, 1);
}

static void a_known_syn_has_room_when_the_unproven_have_filled_theirs(void **state) {
        Pairing *p = *state;
        uint64_t before;
        Wire w;

        open_connection(p);
        p->c = connection_make(p->c.family, 2000);
        w = send_syn(p); /* KNOWN */
        for (uint32_t i = 0; i < FLOW_UNKNOWN_MAX; i++) {
                Wire copy = w;
                Packet packet = wire_parse(&copy);

                copy.data[packet.payload_offset + 5] = 0; /* not KNOWN, padded: what a replayer without keys can make */
                memset(copy.data + copy.len - MESSAGE_MAC_SIZE, 0, MESSAGE_MAC_SIZE);
                copy.data[packet.l4_offset] = (uint8_t) (100 + i / 256);
                copy.data[packet.l4_offset + 1] = (uint8_t) i;
                copy.data[2] = (uint8_t) ((packet.payload_offset + MESSAGE_SIZE_MAX) >> 8);
                copy.data[3] = (uint8_t) (packet.payload_offset + MESSAGE_SIZE_MAX);
                copy.len = packet.payload_offset + MESSAGE_SIZE_MAX;
                EXPECT_ACCEPT(host_input(&p->server, &copy), VERDICT_SERVER_PENDING);
        }
        before = p->server.h.counters[DATAPATH_COUNTER_FLOWS_FULL];
        {
                Wire copy = w;
                Packet packet = wire_parse(&copy);
                Action a;

                copy.data[packet.payload_offset + 60] ^= 1; /* another nonce: its MAC is wrong now, so it is unproven */
                a = host_input(&p->server, &copy);
                expect_drop(&p->server, &a, before, DATAPATH_COUNTER_FLOWS_FULL);
        }
        receive_syn(p, w);
}

/* ---- loss, repetition, order ---- */

static void a_repeated_syn_is_the_same_to_the_byte_and_gets_the_same_answer(void **state) {
        Pairing *p = *state;
        Wire first = send_syn(p), second, answer;

        receive_syn(p, first);
        answer = send_syn_ack(p);
        test_now += USEC_PER_SEC;
        second = send_syn(p);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
        receive_syn(p, second);
        second = send_syn_ack(p);
        assert_int_equal(answer.len, second.len);
        assert_memory_equal(answer.data, second.data, answer.len);
        receive_syn_ack(p, second);
        receive_ack(p, send_ack(p, ""));
}

static void a_new_connection_of_the_same_ports_has_a_new_nonce(void **state) {
        Pairing *p = *state;
        Wire first = send_syn(p), second;

        p->c.client_isn += 1000;
        second = send_syn(p);
        assert_memory_not_equal(wire_payload(&first) + 52, wire_payload(&second) + 52, MESSAGE_NONCE_SIZE);
}

static void a_lost_ack_is_said_again_after_release(void **state) {
        Pairing *p = *state;
        Wire syn_ack, lost, again, data;

        receive_syn(p, send_syn(p));
        syn_ack = send_syn_ack(p);
        receive_syn_ack(p, syn_ack);
        lost = send_ack(p, "");
        data = wire_ack(&p->c, "hello");
        EXPECT_ACCEPT(host_output(&p->client, &data), VERDICT_CLIENT_AUTHORIZED); /* queued before the mark was set: goes as it is */
        assert_int_equal(wire_payload_len(&data), 5);
        EXPECT_ACCEPT(host_input(&p->server, &data), VERDICT_PASS); /* ahead of the proof: our kernel sees the SYN again */
        assert_int_equal(wire_parse(&data).flags, TCP_FLAG_SYN);
        assert_int_equal(wire_parse(&data).seq, p->c.client_isn);
        assert_int_equal(wire_payload_len(&data), 0);
        again = syn_ack;
        EXPECT_ACCEPT(host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &again), VERDICT_CLIENT_PENDING);
        assert_int_equal(wire_payload_len(&again), 0);
        again = send_ack(p, "");
        assert_int_equal(again.len, lost.len);
        assert_memory_equal(again.data, lost.data, lost.len);
        receive_ack(p, again);
        again = send_ack(p, "more");
        assert_memory_equal(wire_payload(&again), "more", 4); /* said once more, not for ever */
}

static void data_on_the_first_ack_is_cut_and_its_fin_too(void **state) {
        Pairing *p = *state;
        Wire w;

        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        w = wire_make(&p->c, true, TCP_FLAG_ACK | TCP_FLAG_FIN | TCP_FLAG_PSH, p->c.client_isn + 1, p->c.server_isn + 1, "GET /", 5);
        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_AUTHORIZED);
        assert_int_equal(wire_payload_len(&w), MESSAGE_HEAD_SIZE + MESSAGE_MAC_SIZE);
        assert_int_equal(wire_parse(&w).flags & TCP_FLAG_FIN, 0);
        receive_ack(p, w);
}

static void an_ack_message_that_arrives_twice_never_reaches_the_program(void **state) {
        static const uint8_t kinds[] = { REQUEST_HANDSHAKE, REQUEST_REPEAT };
        Pairing *p = *state;
        Wire ack, data;

        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        ack = send_ack(p, "");
        receive_ack(p, ack);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                Wire copy = ack;

                assert_int_equal(host_step(&p->server, QUEUE_HOOK_INPUT, kinds[i], 0, &copy).type, ACTION_ACCEPT);
                assert_int_equal(wire_payload_len(&copy), 0);
                data = wire_ack(&p->c, "TRI\001 is how this program begins to speak");
                assert_int_equal(host_step(&p->server, QUEUE_HOOK_INPUT, kinds[i], 0, &data).type, ACTION_ACCEPT);
                assert_memory_equal(wire_payload(&data), "TRI\001 is", 7);
        }
        test_now += 3600 * USEC_PER_SEC; /* nothing is remembered of the flow */
        EXPECT_ACCEPT(host_step(&p->server, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &ack), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&ack), 0);
}

static void a_repeated_syn_after_release_is_stripped_and_changes_nothing(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p);

        receive_syn(p, syn);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
        EXPECT_ACCEPT(host_input(&p->server, &syn), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&syn), 0);
}

static void another_syn_on_a_half_open_tuple_is_dropped(void **state) {
        Pairing *p = *state;
        Wire other;

        receive_syn(p, send_syn(p));
        p->c.client_isn += 5;
        other = send_syn(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &other), DATAPATH_COUNTER_NO_STATE);
        test_now += FLOW_HALF_OPEN_USEC;
        other = send_syn(p);
        receive_syn(p, other);
}

static void a_syn_on_a_live_connection_is_stripped_and_left_to_tcp(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);

        EXPECT_ACCEPT(host_step(&p->server, QUEUE_HOOK_INPUT, REQUEST_REPEAT, HOST_UNIT, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
}

/* ---- forgery ---- */

/* Flips one bit of each byte of a message; the flip must not lead to an authorized end, whatever comes after. */
static void flip_each_byte(Pairing *p, unsigned step) {
        for (size_t i = 0;; i++) {
                Wire w;
                Action a;

                test_now += FLOW_HALF_OPEN_USEC + FLOW_RELEASED_USEC;
                peer_cache_forget(p->client.h.peers, DATAPATH_FORGET_KEYS, 0); /* a first contact each time */
                w = send_syn(p);
                if (step == 1) {
                        if (i == wire_payload_len(&w))
                                return;
                        w.data[wire_parse(&w).payload_offset + i] ^= (uint8_t) (1 << i % 8);
                        a = host_input(&p->server, &w);
                        if (a.type != ACTION_ACCEPT || a.verdict != VERDICT_SERVER_PENDING) {
                                /* The magic is not protected: a SYN without one is a stranger's. */
                                assert_true(i < 3 ? a.verdict == VERDICT_STRANGER_SYN : a.type == ACTION_DROP || a.verdict == VERDICT_DENY);
                                continue;
                        }
                } else
                        receive_syn(p, w);
                w = send_syn_ack(p);
                if (step == 2) {
                        if (i == wire_payload_len(&w))
                                return;
                        w.data[wire_parse(&w).payload_offset + i] ^= (uint8_t) (1 << i % 8);
                }
                if (step < 3) {
                        a = host_input(&p->client, &w);
                        if (step == 2 && i < 3)
                                assert_true(a.verdict == VERDICT_STRANGER); /* as if it were a stranger's: the ACLs decide */
                        else
                                assert_int_equal(a.type, ACTION_DROP);
                        w = wire_ack(&p->c, "");
                        assert_int_equal(host_output(&p->client, &w).type, ACTION_DROP);
                        continue;
                }
                receive_syn_ack(p, w);
                w = send_ack(p, "");
                if (i == wire_payload_len(&w))
                        return;
                w.data[wire_parse(&w).payload_offset + i] ^= (uint8_t) (1 << i % 8);
                a = host_input(&p->server, &w);
                assert_true(a.type == ACTION_DROP || (a.verdict == VERDICT_PASS && a.edit == EDIT_SYN)); /* no message: the SYN again */
        }
}

static void a_flipped_bit_in_the_syn_authorizes_nobody(void **state) {
        flip_each_byte(*state, 1);
}

static void a_flipped_bit_in_the_syn_ack_authorizes_nobody(void **state) {
        flip_each_byte(*state, 2);
}

static void a_flipped_bit_in_the_ack_authorizes_nobody(void **state) {
        flip_each_byte(*state, 3);
}

static void a_whole_replay_from_elsewhere_gets_no_further_than_half_open(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), ack;
        struct in6_addr elsewhere;

        receive_syn(p, syn);
        receive_syn_ack(p, send_syn_ack(p));
        ack = send_ack(p, "");
        receive_ack(p, ack);
        /* The same bytes again, later, to the same server; even its ISN is the same. Its nonce is not. */
        test_now += FLOW_HALF_OPEN_USEC + FLOW_RELEASED_USEC;
        receive_syn(p, syn);
        (void) send_syn_ack(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &ack), DATAPATH_COUNTER_BAD_MAC);
        assert_int_equal(p->server.n_questions, 2); /* its decision had run out; no question otherwise */
        /* From another address: the token is seen to be carried by somebody else, who cannot prove it. */
        elsewhere = p->c.client;
        elsewhere.s6_addr[15] = 77;
        p->c.client = elsewhere;
        memcpy(syn.data + 12, elsewhere.s6_addr + 12, 4);
        memcpy(ack.data + 12, elsewhere.s6_addr + 12, 4);
        receive_syn(p, syn);
        (void) send_syn_ack(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &ack), DATAPATH_COUNTER_BAD_MAC);
}

static void messages_of_another_connection_do_not_fit(void **state) {
        Pairing *p = *state;
        Connection first = p->c, second = connection_make(p->c.family, 1001);
        Wire syn_ack, ack;

        second.client_isn = first.client_isn; /* numbers that fit, so that the MAC must tell */
        second.server_isn = first.server_isn;
        receive_syn(p, send_syn(p));
        p->c = second;
        receive_syn(p, send_syn(p));
        syn_ack = send_syn_ack(p);
        memcpy(syn_ack.data + 20 + 2, (uint8_t[]) { 1000 >> 8, 1000 & 0xff }, 2); /* to the first one's port */
        EXPECT_DROP(&p->client, host_input(&p->client, &syn_ack), DATAPATH_COUNTER_BAD_MAC);
        receive_syn_ack(p, send_syn_ack(p));
        ack = send_ack(p, "");
        p->c = first;
        receive_syn_ack(p, send_syn_ack(p));
        memcpy(ack.data + 20, (uint8_t[]) { 1000 >> 8, 1000 & 0xff }, 2);
        EXPECT_DROP(&p->server, host_input(&p->server, &ack), DATAPATH_COUNTER_BAD_MAC);
        receive_ack(p, send_ack(p, ""));
}

/* A message sent back to whoever made it: as the server's, with the ends exchanged. */
static void reflected_messages_prove_nothing(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), w;
        Connection back = { p->c.family, p->c.server, p->c.client, p->c.server_port, p->c.client_port, p->c.client_isn, 0 };
        Action a;

        w = wire_make(&back, true, TCP_FLAG_SYN, p->c.client_isn, 0, wire_payload(&syn), wire_payload_len(&syn));
        a = host_input(&p->client, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_SIMULTANEOUS_OPEN, 0);
        w = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, 5, p->c.client_isn + 1, wire_payload(&syn), wire_payload_len(&syn));
        EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_MALFORMED);
}

static void numbers_that_do_not_fit_are_dropped_unparsed(void **state) {
        static const int64_t off[] = { 0, 2, -1, 1000, 0x80000000 };
        Pairing *p = *state;
        Wire syn_ack, w;

        receive_syn(p, send_syn(p));
        syn_ack = send_syn_ack(p);
        for (size_t i = 0; i < ELEMENTSOF(off); i++) {
                w = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, p->c.server_isn, p->c.client_isn + (uint32_t) off[i], wire_payload(&syn_ack), wire_payload_len(&syn_ack));
                EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
                w = wire_make(&p->c, false, TCP_FLAG_RST | TCP_FLAG_ACK, 0, p->c.client_isn + (uint32_t) off[i], NULL, 0);
                EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        }
        assert_int_equal(p->client.n_questions, 0);
        receive_syn_ack(p, syn_ack);
        w = send_ack(p, "");
        for (size_t i = 0; i < ELEMENTSOF(off); i++) {
                Wire bad = wire_make(&p->c, true, TCP_FLAG_ACK, p->c.client_isn + 1, p->c.server_isn + (uint32_t) off[i], wire_payload(&w), wire_payload_len(&w));

                EXPECT_DROP(&p->server, host_input(&p->server, &bad), DATAPATH_COUNTER_BAD_ACK_NUMBER);
                bad = wire_make(&p->c, true, TCP_FLAG_RST, p->c.client_isn + (uint32_t) off[i], 0, NULL, 0);
                EXPECT_DROP(&p->server, host_input(&p->server, &bad), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        }
        receive_ack(p, w);
}

static void another_secret_is_refused_by_the_server(void **state) {
        Pairing *p = *state;
        Action a;
        Wire w;

        host_done(&p->client);
        host_init(&p->client, "client", "another secret", 2);
        w = send_syn(p);
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_UNVERIFIED, DATAPATH_FLOW_CLAIMED);
}

/* ---- denials ---- */

static void a_denied_peer_is_reset_or_dropped_as_configured(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), w = syn;
        Action a;

        p->server.allow = false;
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_RULE, DATAPATH_FLOW_CLAIMED);
        assert_int_equal(a.records[0].rule, 3);
        p->server.h.deny_drop = true;
        EXPECT_DROP(&p->server, host_input(&p->server, &syn), DATAPATH_COUNTER_REJECTED);
        w = wire_syn_ack(&p->c); /* nothing was opened */
        EXPECT_DROP(&p->server, host_output(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
}

static void a_client_that_denies_learns_at_once_and_tells_the_server_when_asked_again(void **state) {
        Pairing *p = *state;
        Wire syn_ack, w;
        Action a;

        p->client.allow = false;
        receive_syn(p, send_syn(p));
        syn_ack = w = send_syn_ack(p);
        a = host_input(&p->client, &w);
        expect_accept(&a, VERDICT_PASS);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_RULE, 0);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_RST | TCP_FLAG_ACK);
        assert_int_equal(wire_parse(&w).ack, p->c.client_isn + 1);
        assert_int_equal(wire_payload_len(&w), 0);
        EXPECT_ACCEPT(host_input(&p->client, &syn_ack), VERDICT_DENY);
        w = wire_ack(&p->c, "");
        EXPECT_DROP(&p->client, host_output(&p->client, &w), DATAPATH_COUNTER_NO_STATE);
}

static void a_closed_unit_denies_both_ways(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);
        Action a;

        host_set_flags(&p->server, REQUEST_UNIT_CLOSED);
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_CLOSED, 0);
        host_set_flags(&p->client, REQUEST_UNIT_CLOSED);
        w = wire_syn(&p->c);
        a = host_output(&p->client, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_CLOSED, 0);
}

static void an_observing_end_records_and_goes_on(void **state) {
        Pairing *p = *state;
        Wire w;
        Action a;

        p->server.allow = false;
        p->server.observe = true;
        host_set_flags(&p->server, REQUEST_UNIT_OBSERVE);
        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        w = send_ack(p, "");
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_SERVER_AUTHORIZED);
        expect_record(&a, DATAPATH_FLOW_WOULD_REJECT, REASON_RULE, 0);
        /* Not verified: no exchange is possible, the peer comes in as what it is. */
        host_done(&p->client);
        host_init(&p->client, "client", "another secret", 2);
        p->c = connection_make(p->c.family, 1001);
        w = send_syn(p);
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_SERVER_AUTHORIZED);
        expect_record(&a, DATAPATH_FLOW_WOULD_REJECT, REASON_UNVERIFIED, DATAPATH_FLOW_CLAIMED);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void a_unit_that_is_not_known_yet_waits(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);

        unit_table_remove(p->server.h.units, HOST_UNIT);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        p->server.mute = true;
        w = wire_syn(&p->c);
        unit_table_remove(p->client.h.units, HOST_UNIT);
        EXPECT_DROP(&p->client, host_output(&p->client, &w), DATAPATH_COUNTER_NO_STATE);
}

/* ---- paths ---- */

static void a_handshake_meant_for_another_server_is_refused(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);
        Action a;

        w.data[19] = 9; /* relayed to 192.0.2.9 */
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_CLAIMED);
        w = send_syn(p);
        w.data[23] = 81; /* or to another port */
        a = host_input(&p->server, &w);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_CLAIMED);
}

static void a_translated_source_is_allowed_recorded_and_refusable(void **state) {
        Pairing *p = *state;
        Connection outside = p->c;
        Wire w = send_syn(p), syn = w;
        Action a;

        outside.client.s6_addr[15] = 200;
        outside.client_port = 3000;
        memcpy(w.data + 12, outside.client.s6_addr + 12, 4);
        memcpy(w.data + 20, (uint8_t[]) { 3000 >> 8, 3000 & 0xff }, 2);
        syn = w;
        receive_syn(p, w);
        w = wire_syn_ack(&outside);
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        memcpy(w.data + 16, p->c.client.s6_addr + 12, 4);
        memcpy(w.data + 22, (uint8_t[]) { 1000 >> 8, 1000 & 0xff }, 2);
        receive_syn_ack(p, w);
        w = wire_ack(&p->c, "");
        a = host_output(&p->client, &w);
        expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, DATAPATH_FLOW_TRANSLATED);
        memcpy(w.data + 12, outside.client.s6_addr + 12, 4);
        memcpy(w.data + 20, (uint8_t[]) { 3000 >> 8, 3000 & 0xff }, 2);
        a = host_input(&p->server, &w);
        expect_accept(&a, VERDICT_SERVER_AUTHORIZED);
        expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, DATAPATH_FLOW_TRANSLATED);
        test_now += FLOW_RELEASED_USEC;
        p->server.h.require_direct_path = true;
        a = host_input(&p->server, &syn);
        expect_accept(&a, VERDICT_DENY);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_TRANSLATED, DATAPATH_FLOW_CLAIMED | DATAPATH_FLOW_TRANSLATED);
}

/* ---- strangers ---- */

static void a_syn_without_a_message_is_a_strangers(void **state) {
        Pairing *p = *state;
        Wire w = wire_make(&p->c, true, TCP_FLAG_SYN, 1, 0, "early data", 10);
        Action a = host_input(&p->server, &w);

        expect_accept(&a, VERDICT_STRANGER_SYN);
        assert_int_equal(a.unit, HOST_UNIT);
        assert_int_equal(wire_payload_len(&w), 0);
}

static void a_bare_syn_ack_is_the_acls_business_unless_a_token_was_seen_there(void **state) {
        Pairing *p = *state;
        Wire w;
        Action a;

        (void) send_syn(p);
        w = wire_syn_ack(&p->c);
        a = host_input(&p->client, &w);
        expect_accept(&a, VERDICT_STRANGER);
        assert_int_equal(a.unit, HOST_UNIT);
        p->c = connection_make(p->c.family, 1001);
        open_connection(p);
        p->c = connection_make(p->c.family, 1002);
        (void) send_syn(p);
        w = wire_syn_ack(&p->c);
        a = host_input(&p->client, &w);
        assert_int_equal(a.type, ACTION_DROP);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NO_IDENTITY, 0);
        p->c.server_port = 22; /* another service of that host, one without Trireme */
        (void) send_syn(p);
        w = wire_syn_ack(&p->c);
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_STRANGER);
}

static void the_third_syn_goes_plain_only_to_allowed_strangers(void **state) {
        Pairing *p = *state;
        Wire w;

        p->client.plain_allowed = true;
        for (unsigned i = 0; i < 4; i++) {
                w = send_syn(p);
                assert_int_equal(wire_payload_len(&w), i < 2 ? MESSAGE_SIZE_MAX : 0);
        }
        assert_int_equal(p->client.n_questions, 1);
        p->c = connection_make(p->c.family, 1001);
        p->c.server.s6_addr[15] = 3;
        p->client.plain_allowed = false;
        for (unsigned i = 0; i < 4; i++) {
                w = send_syn(p);
                assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MAX);
        }
        assert_int_equal(p->client.n_questions, 2);
        p->c = connection_make(p->c.family, 1002);
        p->client.plain_allowed = true;
        open_connection(p);
        p->c = connection_make(p->c.family, 1003);
        p->c.server_port = 81;
        for (unsigned i = 0; i < 4; i++) {
                w = send_syn(p);
                assert_true(wire_payload_len(&w) > 0); /* that address has shown a token */
        }
}

static void resets_pass_to_our_kernel_when_their_numbers_fit(void **state) {
        Pairing *p = *state;
        Wire w;

        receive_syn(p, send_syn(p));
        w = wire_make(&p->c, false, TCP_FLAG_RST | TCP_FLAG_ACK, 0, p->c.client_isn + 1, "x", 1);
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
        w = wire_make(&p->c, true, TCP_FLAG_RST, p->c.client_isn + 1, 0, NULL, 0);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_PASS);
        w = wire_make(&p->c, false, TCP_FLAG_RST, 1, 0, NULL, 0);
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        w = wire_make(&p->c, true, TCP_FLAG_RST, 1, 0, NULL, 0);
        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_PASS);
        receive_syn_ack(p, send_syn_ack(p)); /* none of them ended the state */
        receive_ack(p, send_ack(p, ""));
}

static void what_comes_before_the_proof_is_dropped(void **state) {
        static const uint8_t flags[] = { TCP_FLAG_ACK, TCP_FLAG_ACK | TCP_FLAG_FIN, TCP_FLAG_ACK | TCP_FLAG_PSH, 0, TCP_FLAG_FIN };
        Pairing *p = *state;
        Wire w;

        receive_syn(p, send_syn(p));
        (void) send_syn_ack(p);
        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                w = wire_make(&p->c, true, flags[i], p->c.client_isn + 1, p->c.server_isn + 1, "data", 4);
                assert_int_equal(host_input(&p->server, &w).type, flags[i] & TCP_FLAG_ACK ? ACTION_ACCEPT : ACTION_DROP);
                assert_true(wire_payload_len(&w) == 0 || !(flags[i] & TCP_FLAG_ACK)); /* passed as the SYN that our kernel knows */
                w = wire_make(&p->c, false, flags[i], p->c.server_isn + 1, p->c.client_isn + 1, "data", 4);
                assert_int_equal(host_output(&p->server, &w).type, ACTION_DROP);
                w = wire_make(&p->c, false, flags[i], p->c.server_isn + 1, p->c.client_isn + 1, "data", 4);
                assert_int_equal(host_input(&p->client, &w).type, ACTION_DROP);
                w = wire_make(&p->c, true, flags[i], p->c.client_isn + 1, p->c.server_isn + 1, "data", 4);
                assert_int_equal(host_output(&p->client, &w).type, ACTION_DROP);
        }
        w = wire_make(&p->c, true, TCP_FLAG_SYN | TCP_FLAG_RST, 1, 0, NULL, 0);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_MALFORMED);
}

static void fast_open_data_and_option_do_not_survive(void **state) {
        Pairing *p = *state;
        Wire w = wire_make(&p->c, true, TCP_FLAG_SYN, p->c.client_isn, 0, "\x22\x04\x01\x02" "GET /", 9);

        w.data[32] = 6 << 4; /* the first four bytes of the payload become an option */
        assert_true(wire_parse(&w).fast_open);
        EXPECT_ACCEPT(host_output(&p->client, &w), VERDICT_CLIENT_PENDING);
        assert_false(wire_parse(&w).fast_open);
        assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MAX);
        receive_syn(p, w);
}

/* ---- time and room ---- */

static void half_open_flows_end_after_their_time(void **state) {
        Pairing *p = *state;
        DatapathFlow record = {};
        Wire w;

        receive_syn(p, send_syn(p));
        test_now += FLOW_HALF_OPEN_USEC - 1;
        assert_int_equal(handshake_expire(&p->client.h, test_now, &record), 0);
        test_now += 1;
        w = wire_syn_ack(&p->c);
        EXPECT_DROP(&p->server, host_output(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        assert_int_equal(handshake_expire(&p->server.h, test_now, &record), 1);
        assert_int_equal(handshake_expire(&p->server.h, test_now, &record), 0);
        assert_int_equal(handshake_expire(&p->client.h, test_now, &record), 2);
        assert_int_equal(record.reason, REASON_PEER_SILENT);
        assert_int_equal(record.family, p->c.family);
        assert_int_equal(flow_table_count(p->client.h.flows), 0);
}

static void answers_to_the_unproven_never_exceed_what_they_sent(void **state) {
        Pairing *p = *state;
        size_t received = 0, sent = 0;
        Wire w;

        host_done(&p->server);
        host_init(&p->server, "server", "the same secret", 38); /* almost as large as a token may be */
        for (unsigned i = 0; i < 20; i++) {
                if (i % 5 == 0) {
                        w = send_syn(p);
                        received += w.len;
                        receive_syn(p, w);
                }
                w = wire_syn_ack(&p->c);
                if (host_output(&p->server, &w).type == ACTION_ACCEPT)
                        sent += w.len;
                assert_true(sent <= received);
                assert_true(sent > 0);
        }
}

static void no_answer_is_given_without_a_verified_and_allowed_token(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);

        p->server.mute = true;
        assert_int_equal(host_input(&p->server, &w).type, ACTION_ASK);
        w = wire_syn_ack(&p->c);
        EXPECT_DROP(&p->server, host_output(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
}

/* ---- one host ---- */

static void local_connections_are_decided_for_both_ends(void **state) {
        static const struct {
                uint32_t server, client;
                bool allow;
                uint8_t verdict, direction;
        } rows[] = {
                { HOST_UNIT, 8, true, VERDICT_BOTH_AUTHORIZED, DATAPATH_ACCEPT },
                { HOST_UNIT, 0, true, VERDICT_SERVER_AUTHORIZED, DATAPATH_ACCEPT },
                { 0, 8, true, VERDICT_CLIENT_AUTHORIZED, DATAPATH_CONNECT },
                { 9, 8, false, VERDICT_DENY, DATAPATH_ACCEPT },
        };
        Pairing *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned repeat = 0; repeat < 2; repeat++) {
                        Wire w = wire_make(&p->c, true, TCP_FLAG_SYN, 1, 0, "early", 5);
                        Action a;

                        p->server.allow = rows[i].allow;
                        a = host_input_loopback(&p->server, REQUEST_LOCAL, rows[i].server, rows[i].client, &w);
                        expect_accept(&a, rows[i].verdict);
                        assert_int_equal(a.n_records, 1);
                        assert_int_equal(a.records[0].direction, rows[i].direction);
                        assert_int_equal(wire_payload_len(&w), rows[i].allow ? 0 : 5);
                        assert_int_equal(p->server.n_questions, i + 1); /* the second one comes from the cache */
                }
}

static void what_the_table_denied_is_recorded(void **state) {
        static const struct {
                uint8_t kind, verdict, flow;
                Reason reason;
        } rows[] = {
                { REQUEST_RECORD_ACL, VERDICT_DENY, DATAPATH_FLOW_REJECT, REASON_NO_IDENTITY },
                { REQUEST_RECORD_UNMARKED, VERDICT_DENY, DATAPATH_FLOW_REJECT, REASON_NOT_AUTHORIZED },
                { REQUEST_RECORD_CLOSED, VERDICT_DENY, DATAPATH_FLOW_REJECT, REASON_CLOSED },
                { REQUEST_RECORD_OBSERVED, VERDICT_PASS, DATAPATH_FLOW_WOULD_REJECT, REASON_OBSERVE },
        };
        Pairing *p = *state;
        Action a;
        Wire w;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                w = wire_syn(&p->c);
                a = host_step(&p->server, QUEUE_HOOK_INPUT, rows[i].kind, HOST_UNIT, &w);
                expect_accept(&a, rows[i].verdict);
                expect_record(&a, rows[i].flow, rows[i].reason, 0);
                assert_int_equal(a.records[0].direction, DATAPATH_ACCEPT);
        }
        p->server.h.deny_drop = true;
        w = wire_syn(&p->c);
        EXPECT_DROP(&p->server, host_step(&p->server, QUEUE_HOOK_INPUT, REQUEST_RECORD_ACL, HOST_UNIT, &w), DATAPATH_COUNTER_REJECTED);
        w = wire_syn(&p->c);
        EXPECT_ACCEPT(host_step(&p->server, QUEUE_HOOK_OUTPUT, REQUEST_RECORD_ACL, HOST_UNIT, &w), VERDICT_DENY);
        w = wire_syn_ack(&p->c); /* a stranger that our client may not reach: the client is told */
        a = host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_RECORD_ACL, HOST_UNIT, &w);
        expect_accept(&a, VERDICT_PASS);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_RST | TCP_FLAG_ACK);
        assert_int_equal(a.records[0].direction, DATAPATH_CONNECT);
        assert_int_equal(a.records[0].dport, 80);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_handshake_authorizes_both_ends_and_records_them),
                cmocka_unit_test_setup_teardown(a_handshake_authorizes_both_ends_and_records_them, setup6, teardown),
                T(a_second_connection_asks_nobody_and_proves_itself_in_its_syn),
                T(a_known_syn_has_room_when_the_unproven_have_filled_theirs),
                T(a_repeated_syn_is_the_same_to_the_byte_and_gets_the_same_answer),
                T(a_new_connection_of_the_same_ports_has_a_new_nonce),
                T(a_lost_ack_is_said_again_after_release),
                T(data_on_the_first_ack_is_cut_and_its_fin_too),
                T(an_ack_message_that_arrives_twice_never_reaches_the_program),
                T(a_repeated_syn_after_release_is_stripped_and_changes_nothing),
                T(another_syn_on_a_half_open_tuple_is_dropped),
                T(a_syn_on_a_live_connection_is_stripped_and_left_to_tcp),
                T(a_flipped_bit_in_the_syn_authorizes_nobody),
                T(a_flipped_bit_in_the_syn_ack_authorizes_nobody),
                T(a_flipped_bit_in_the_ack_authorizes_nobody),
                T(a_whole_replay_from_elsewhere_gets_no_further_than_half_open),
                T(messages_of_another_connection_do_not_fit),
                T(reflected_messages_prove_nothing),
                T(numbers_that_do_not_fit_are_dropped_unparsed),
                T(another_secret_is_refused_by_the_server),
                T(a_denied_peer_is_reset_or_dropped_as_configured),
                T(a_client_that_denies_learns_at_once_and_tells_the_server_when_asked_again),
                T(a_closed_unit_denies_both_ways),
                T(an_observing_end_records_and_goes_on),
                T(a_unit_that_is_not_known_yet_waits),
                T(a_handshake_meant_for_another_server_is_refused),
                T(a_translated_source_is_allowed_recorded_and_refusable),
                T(a_syn_without_a_message_is_a_strangers),
                T(a_bare_syn_ack_is_the_acls_business_unless_a_token_was_seen_there),
                T(the_third_syn_goes_plain_only_to_allowed_strangers),
                T(resets_pass_to_our_kernel_when_their_numbers_fit),
                T(what_comes_before_the_proof_is_dropped),
                T(fast_open_data_and_option_do_not_survive),
                T(half_open_flows_end_after_their_time),
                T(answers_to_the_unproven_never_exceed_what_they_sent),
                T(no_answer_is_given_without_a_verified_and_allowed_token),
                T(local_connections_are_decided_for_both_ends),
                T(what_the_table_denied_is_recorded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
