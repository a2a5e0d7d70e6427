/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Two machines against each other, with real keys and packets: what must not work. */

#include "core/test-pairing.h"

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
        w = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, p->c.server_isn, p->c.client_isn + 2, NULL, 0);
        EXPECT_DROP(&p->server, host_output(&p->server, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        receive_syn_ack(p, syn_ack);
        w = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, p->c.server_isn, p->c.client_isn + 2, wire_payload(&syn_ack), wire_payload_len(&syn_ack));
        EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        w = send_ack(p, "");
        for (unsigned i = 0; i < 2; i++) { /* after release, neither another number nor another nonce repeats anything */
                Wire bad = wire_make(&p->c, false, TCP_FLAG_SYN | TCP_FLAG_ACK, p->c.server_isn, p->c.client_isn + 1 + !i, wire_payload(&syn_ack), wire_payload_len(&syn_ack));

                bad.data[wire_parse(&bad).payload_offset + 52] ^= (uint8_t) i;
                EXPECT_DROP(&p->client, host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &bad),
                            i ? DATAPATH_COUNTER_NO_STATE : DATAPATH_COUNTER_BAD_ACK_NUMBER);
        }
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
        assert_int_equal(wire_payload_len(&w), 0); /* or the reset would acknowledge more than the peer has sent */
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
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_CLAIMED | DATAPATH_FLOW_TRANSLATED);
        w = send_syn(p);
        w.data[23] = 81; /* or to another port */
        a = host_input(&p->server, &w);
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_CLAIMED | DATAPATH_FLOW_TRANSLATED);
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

static void from_port(Wire *w, const struct in6_addr *address, uint16_t port) {
        memcpy(w->data + 12, address->s6_addr + 12, 4);
        memcpy(w->data + 20, (uint8_t[]) { (uint8_t) (port >> 8), (uint8_t) port }, 2);
}

/* Else whoever copied one SYN could fill the room of known peers, or have us send to a third party more than came from there. */
static void a_copy_of_a_known_syn_from_elsewhere_is_nobody_known(void **state) {
        Pairing *p = *state;
        struct in6_addr elsewhere;
        size_t sent = 0, received;
        Connection victim;
        Wire syn;

        open_connection(p);
        p->c = connection_make(p->c.family, 1001);
        syn = send_syn(p);
        assert_int_equal(wire_payload(&syn)[5], MESSAGE_KNOWN);
        elsewhere = p->c.client;
        elsewhere.s6_addr[15] = 77;
        from_port(&syn, &elsewhere, 4000);
        received = syn.len;
        receive_syn(p, syn);
        victim = p->c;
        victim.client = elsewhere;
        victim.client_port = 4000;
        for (unsigned i = 0; i < 6; i++) {
                Wire w = wire_syn_ack(&victim);

                if (host_output(&p->server, &w).type == ACTION_ACCEPT)
                        sent += w.len;
        }
        assert_true(sent <= received);
}

static void a_client_behind_a_translation_pads_its_syns_for_it_is_not_known(void **state) {
        Pairing *p = *state;
        Connection outside = p->c;
        Wire w;

        outside.client_port = 3000;
        w = send_syn(p);
        from_port(&w, &p->c.client, 3000);
        receive_syn(p, w);
        w = wire_syn_ack(&outside);
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        memcpy(w.data + 22, (uint8_t[]) { 1000 >> 8, 1000 & 0xff }, 2);
        receive_syn_ack(p, w);
        p->c = connection_make(p->c.family, 1001);
        w = send_syn(p);
        assert_int_equal(wire_payload(&w)[5], 0);
        assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MAX);
}

/* Somebody between them that makes sequence numbers anew: the client learns it from the SYN-ACK, the server from the ACK. */
static void translated_sequence_numbers_are_seen_by_both_ends(void **state) {
        for (unsigned direct = 0; direct < 2; direct++) {
                Pairing *p = *state;
                Connection outside;
                Action a;
                Wire w;

                p->c = connection_make(p->c.family, (uint16_t) (1000 + direct));
                outside = p->c;
                outside.server_isn += 7777;
                receive_syn(p, send_syn(p));
                w = send_syn_ack(p);
                w = wire_make(&outside, false, TCP_FLAG_SYN | TCP_FLAG_ACK, outside.server_isn, p->c.client_isn + 1, wire_payload(&w), wire_payload_len(&w));
                receive_syn_ack(p, w);
                w = wire_ack(&outside, "");
                a = host_output(&p->client, &w);
                expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, DATAPATH_FLOW_TRANSLATED);
                w = wire_make(&p->c, true, TCP_FLAG_ACK, p->c.client_isn + 1, p->c.server_isn + 1, wire_payload(&w), wire_payload_len(&w));
                p->server.h.require_direct_path = direct;
                a = host_input(&p->server, &w);
                expect_accept(&a, direct ? VERDICT_DENY : VERDICT_SERVER_AUTHORIZED);
                expect_record(&a, direct ? DATAPATH_FLOW_REJECT : DATAPATH_FLOW_ACCEPT, direct ? REASON_TRANSLATED : REASON_RULE, DATAPATH_FLOW_TRANSLATED);
        }
}

/* The client dials 192.0.2.9, which is translated to the server on the way. */
static Action dial_translated(Pairing *p, uint16_t client_port, Wire *ret_syn_ack) {
        Connection inside = connection_make(p->c.family, client_port);
        Action a;
        Wire w;

        p->c = inside;
        p->c.server.s6_addr[15] = 9;
        w = send_syn(p);
        memcpy(w.data + 16, inside.server.s6_addr + 12, 4);
        a = host_input(&p->server, &w);
        *ret_syn_ack = wire_syn_ack(&inside);
        if (a.verdict == VERDICT_SERVER_PENDING)
                EXPECT_ACCEPT(host_output(&p->server, ret_syn_ack), VERDICT_PASS);
        memcpy(ret_syn_ack->data + 12, p->c.server.s6_addr + 12, 4);
        return a;
}

static void a_translated_destination_is_accepted_where_both_ends_name_it(void **state) {
        static const struct { uint8_t last; uint32_t prefix_len; uint16_t first_port, last_port; bool named; } rows[] = {
                { 9, 128, 80, 80, true }, { 8, 127, 1, 65535, true }, { 0, 96 + 24, 80, 90, true }, { 9, 128, 81, 90, false },
                { 9, 128, 70, 79, false }, { 10, 128, 80, 80, false }, { 6, 127, 80, 80, false }, { 0, 0, 1, 65535, true },
        };
        Pairing *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned ends = 0; ends < 4; ends++) {
                        DatapathRange range = { .port_first = rows[i].first_port, .port_last = rows[i].last_port, .prefix_len = rows[i].prefix_len };
                        bool client = ends & 1, server = ends & 2;
                        Action a;
                        Wire w;

                        range.address = connection_make(AF_INET, 1).server;
                        range.address.s6_addr[15] = rows[i].last;
                        p->client.h.translated[0] = p->server.h.translated[0] = range;
                        p->client.h.n_translated = client;
                        p->server.h.n_translated = server;
                        a = dial_translated(p, (uint16_t) (1000 + i * 4 + ends), &w);
                        if (!server || !rows[i].named) {
                                expect_accept(&a, VERDICT_DENY);
                                expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_CLAIMED | DATAPATH_FLOW_TRANSLATED);
                                continue;
                        }
                        a = host_input(&p->client, &w);
                        if (!client) {
                                expect_record(&a, DATAPATH_FLOW_REJECT, REASON_NOT_FOR_ME, DATAPATH_FLOW_TRANSLATED);
                                assert_int_equal(wire_parse(&w).flags, TCP_FLAG_RST | TCP_FLAG_ACK);
                                continue;
                        }
                        expect_accept(&a, VERDICT_PASS);
                        w = send_ack(p, "");
                        memcpy(w.data + 16, connection_make(AF_INET, 1).server.s6_addr + 12, 4);
                        a = host_input(&p->server, &w);
                        expect_accept(&a, VERDICT_SERVER_AUTHORIZED);
                        expect_record(&a, DATAPATH_FLOW_ACCEPT, REASON_RULE, DATAPATH_FLOW_TRANSLATED);
                }
}

/* ---- secrets ---- */

static void assert_holds_no_key(const Wire *w, const Host *h, const PairKeys *pair) {
        const uint8_t *secrets[] = { h->dh.private_key, h->psk.token_key, h->psk.pair_key, pair->out_syn, pair->out_syn_ack, pair->out_ack };
        const uint8_t *payload = wire_payload(w);
        size_t len = wire_payload_len(w);

        assert_true(len > 0);
        for (size_t i = 0; i < ELEMENTSOF(secrets); i++)
                for (size_t part = 0; part < CRYPTO_KEY_SIZE; part += 8)
                        assert_null(memmem(payload, len, secrets[i] + part, 8));
}

static void no_message_holds_a_part_of_a_key(void **state) {
        Pairing *p = *state;
        const PairInput in = {
                .mode = 1, .psk_pair_key = p->client.psk.pair_key, .own = &p->client.dh, .own_node = p->client.node,
                .peer_node = p->server.node, .peer_dh = p->server.dh.public_key,
        };
        PairKeys pair;
        Wire w;

        assert_int_equal(pair_keys_derive(&in, &pair), 0);
        for (size_t i = 0; i < 2; i++) { /* a first contact, and a known peer */
                p->c = connection_make(AF_INET, (uint16_t) (1000 + i));
                w = send_syn(p);
                assert_holds_no_key(&w, &p->client, &pair);
                receive_syn(p, w);
                w = send_syn_ack(p);
                assert_holds_no_key(&w, &p->server, &pair);
                receive_syn_ack(p, w);
                w = send_ack(p, "");
                assert_holds_no_key(&w, &p->client, &pair);
                receive_ack(p, w);
        }
}

#define T(f) cmocka_unit_test_setup_teardown(f, pairing_setup, pairing_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
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
                T(a_copy_of_a_known_syn_from_elsewhere_is_nobody_known),
                T(a_client_behind_a_translation_pads_its_syns_for_it_is_not_known),
                T(translated_sequence_numbers_are_seen_by_both_ends),
                T(a_translated_destination_is_accepted_where_both_ends_name_it),
                T(no_message_holds_a_part_of_a_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
