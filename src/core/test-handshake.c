/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Two machines against each other, with real keys and packets: what should work, and the rows of docs/protocol.md, "States". */

#include "core/test-pairing.h"
#include "wire/bytes.h"

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
        assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MAX); /* the server may have lost its keys and take it for a stranger's */
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

                copy.data[packet.payload_offset + 5] = 0; /* not KNOWN: what a replayer without keys can make */
                memset(copy.data + packet.payload_offset + MESSAGE_HEAD_SIZE + load_be16(copy.data + packet.payload_offset + 6), 0, MESSAGE_MAC_SIZE);
                copy.data[14] = (uint8_t) (i / FLOW_UNKNOWN_ADDRESS_MAX + 100); /* from several addresses, for each has a share only */
                copy.data[packet.l4_offset] = (uint8_t) (100 + i / 256);
                copy.data[packet.l4_offset + 1] = (uint8_t) i;
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

/* On a live connection the table says REPEAT; a copy that comes as the beginning of one meets a listener, because the connection was reset, and the mark of
 * the tuple may still say authorized. */
static void a_copy_of_the_syn_after_release_reaches_no_listener(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p);

        receive_syn(p, syn);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
        EXPECT_DROP(&p->server, host_input(&p->server, &syn), DATAPATH_COUNTER_NO_STATE);
        p->c.client_isn += 64000; /* a new connection of the same ports begins in the ordinary way */
        open_connection(p);
}

static void another_syn_on_a_half_open_tuple_is_dropped(void **state) {
        static const char *const payloads[] = { "", "early data", "TRI\002", "TRI\001" };
        Pairing *p = *state;
        Wire other;

        receive_syn(p, send_syn(p));
        for (size_t i = 0; i < ELEMENTSOF(payloads); i++) { /* neither a stranger's nor a malformed one gets an answer in the peer's name */
                other = wire_make(&p->c, true, TCP_FLAG_SYN, p->c.client_isn, 0, payloads[i], strlen(payloads[i]));
                EXPECT_DROP(&p->server, host_input(&p->server, &other), DATAPATH_COUNTER_NO_STATE);
        }
        p->c.client_isn += 5;
        other = send_syn(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &other), DATAPATH_COUNTER_NO_STATE);
        test_now += FLOW_HALF_OPEN_USEC;
        other = send_syn(p);
        receive_syn(p, other);
}

static void another_syn_on_a_tuple_whose_half_open_connection_was_reset_is_judged(void **state) {
        Pairing *p = *state;
        Wire w;

        for (unsigned side = 0; side < 2; side++) {
                receive_syn(p, send_syn(p));
                (void) send_syn_ack(p);
                w = wire_make(&p->c, side == 0, TCP_FLAG_RST, (side == 0 ? p->c.client_isn : p->c.server_isn) + 1, 0, NULL, 0);
                EXPECT_ACCEPT(side == 0 ? host_input(&p->server, &w) : host_output(&p->server, &w), VERDICT_PASS);
                w = wire_make(&p->c, true, TCP_FLAG_SYN, p->c.client_isn + 5, 0, NULL, 0);
                EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE); /* a stranger's still is not */
                p->c.client_isn += 64000;
                open_connection(p);
                p->c.client_isn += 64000;
        }
        receive_syn(p, send_syn(p));
        w = wire_make(&p->c, true, TCP_FLAG_RST, p->c.client_isn + 2, 0, NULL, 0);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        p->c.client_isn += 5;
        w = send_syn(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE); /* nobody's reset */
}

static void data_that_overtakes_the_proof_waits_for_it(void **state) {
        Pairing *p = *state;
        const Endpoints e = { .client = p->c.client, .server = p->c.server, .client_port = p->c.client_port, .server_port = p->c.server_port };
        const WaitKey key = { .flow = flow_key(&e, FLOW_SERVER) };
        Wire data = wire_ack(&p->c, "hello"), ack;
        Action a;

        p->server.waits = true;
        receive_syn(p, send_syn(p));
        receive_syn_ack(p, send_syn_ack(p));
        ack = send_ack(p, "");
        a = host_input(&p->server, &data);
        assert_int_equal(a.type, ACTION_WAIT);
        assert_memory_equal(&a.wait, &key, sizeof(key));
        receive_ack(p, ack);
        EXPECT_ACCEPT(host_input(&p->server, &data), VERDICT_SERVER_AUTHORIZED);
        assert_int_equal(wire_payload_len(&data), 5);
        assert_memory_equal(wire_payload(&data), "hello", 5);
}

static void syns_of_a_unit_that_the_enforcer_has_not_told_of_wait_for_it(void **state) {
        Pairing *p = *state;
        Host *hosts[] = { &p->client, &p->server };

        for (unsigned i = 0; i < 2; i++) {
                const Unit *unit = unit_table_get(hosts[i]->h.units, HOST_UNIT);
                DatapathUnit told = { .index = HOST_UNIT, .cgroup_id = unit->cgroup_id, .token_expires_usec = USEC_INFINITY, .token_len = unit->token_len };
                Wire w = i == 0 ? wire_syn(&p->c) : send_syn(p), again = w;
                Action a;

                memcpy(told.node_dh, unit->node_dh, sizeof(told.node_dh));
                memcpy(told.token, unit->token, unit->token_len);
                unit_table_remove(hosts[i]->h.units, HOST_UNIT);
                hosts[i]->waits = true;
                a = i == 0 ? host_output(hosts[i], &w) : host_input(hosts[i], &w);
                assert_int_equal(a.type, ACTION_WAIT);
                assert_int_equal(a.wait.unit, HOST_UNIT);
                hosts[i]->waits = false; /* in vain */
                EXPECT_DROP(hosts[i], i == 0 ? host_output(hosts[i], &w) : host_input(hosts[i], &w), DATAPATH_COUNTER_NO_STATE);
                assert_int_equal(unit_table_set(hosts[i]->h.units, &told), 0);
                EXPECT_ACCEPT(i == 0 ? host_output(hosts[i], &again) : host_input(hosts[i], &again), i == 0 ? VERDICT_CLIENT_PENDING : VERDICT_SERVER_PENDING);
        }
}

static void a_syn_on_a_live_connection_reaches_tcp_as_an_ack_that_opens_nothing(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);

        EXPECT_ACCEPT(host_step(&p->server, QUEUE_HOOK_INPUT, REQUEST_REPEAT, HOST_UNIT, &w), VERDICT_PASS);
        assert_int_equal(wire_payload_len(&w), 0);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_ACK);
        assert_int_equal(wire_parse(&w).seq, p->c.client_isn);
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

static void a_token_from_outside_the_target_networks_is_not_read(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p);

        p->server.outside = true;
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_STRANGER_SYN);
        assert_int_equal(wire_payload_len(&w), 0);
        assert_int_equal(p->server.n_questions, 0);
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
        expect_record(&a, DATAPATH_FLOW_REJECT, REASON_STRIPPED, 0);
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

static void a_refusal_that_counts_our_message_reaches_our_kernel_with_the_number_it_expects(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), w;
        uint32_t all = p->c.client_isn + 1 + (uint32_t) wire_payload_len(&syn);

        w = wire_make(&p->c, false, TCP_FLAG_RST | TCP_FLAG_ACK, 0, all - 1, NULL, 0);
        EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
        w = wire_make(&p->c, false, TCP_FLAG_RST | TCP_FLAG_ACK, 0, all, NULL, 0);
        EXPECT_ACCEPT(host_input(&p->client, &w), VERDICT_PASS);
        assert_int_equal(wire_parse(&w).flags, TCP_FLAG_RST | TCP_FLAG_ACK);
        assert_int_equal(wire_parse(&w).ack, p->c.client_isn + 1);
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
                        assert_int_equal(wire_payload_len(&w), 0);
                        assert_int_equal(p->server.n_questions, i + 1); /* the second one comes from the cache */
                }
}

static void a_local_client_whose_rules_refuse_is_denied_and_named(void **state) {
        Pairing *p = *state;
        Wire w = wire_syn(&p->c);
        Action a;

        p->server.client_denies = true;
        p->server.h.deny_drop = true; /* for remote peers only */
        a = host_input_loopback(&p->server, REQUEST_LOCAL, HOST_UNIT, 8, &w);
        expect_accept(&a, VERDICT_DENY);
        assert_int_equal(a.n_records, 1);
        assert_int_equal(a.records[0].direction, DATAPATH_CONNECT);
        assert_int_equal(a.records[0].unit, 8);
        assert_int_equal(a.records[0].peer_unit, HOST_UNIT);
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

#define T(f) cmocka_unit_test_setup_teardown(f, pairing_setup, pairing_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_handshake_authorizes_both_ends_and_records_them),
                cmocka_unit_test_setup_teardown(a_handshake_authorizes_both_ends_and_records_them, pairing_setup6, pairing_teardown),
                T(a_second_connection_asks_nobody_and_proves_itself_in_its_syn),
                T(a_known_syn_has_room_when_the_unproven_have_filled_theirs),
                T(a_repeated_syn_is_the_same_to_the_byte_and_gets_the_same_answer),
                T(a_new_connection_of_the_same_ports_has_a_new_nonce),
                T(a_lost_ack_is_said_again_after_release),
                T(data_on_the_first_ack_is_cut_and_its_fin_too),
                T(an_ack_message_that_arrives_twice_never_reaches_the_program),
                T(a_copy_of_the_syn_after_release_reaches_no_listener),
                T(another_syn_on_a_half_open_tuple_is_dropped),
                T(another_syn_on_a_tuple_whose_half_open_connection_was_reset_is_judged),
                T(data_that_overtakes_the_proof_waits_for_it),
                T(syns_of_a_unit_that_the_enforcer_has_not_told_of_wait_for_it),
                T(a_syn_on_a_live_connection_reaches_tcp_as_an_ack_that_opens_nothing),
                T(a_syn_without_a_message_is_a_strangers),
                T(a_token_from_outside_the_target_networks_is_not_read),
                T(a_bare_syn_ack_is_the_acls_business_unless_a_token_was_seen_there),
                T(the_third_syn_goes_plain_only_to_allowed_strangers),
                T(a_refusal_that_counts_our_message_reaches_our_kernel_with_the_number_it_expects),
                T(resets_pass_to_our_kernel_when_their_numbers_fit),
                T(what_comes_before_the_proof_is_dropped),
                T(fast_open_data_and_option_do_not_survive),
                T(half_open_flows_end_after_their_time),
                T(answers_to_the_unproven_never_exceed_what_they_sent),
                T(no_answer_is_given_without_a_verified_and_allowed_token),
                T(local_connections_are_decided_for_both_ends),
                T(a_local_client_whose_rules_refuse_is_denied_and_named),
                T(what_the_table_denied_is_recorded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
