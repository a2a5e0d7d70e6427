/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Two machines against each other while keys change and enforcers restart; and what is sent to those who have proven nothing. */

#include "core/test-pairing.h"

#define TAGS_MANY 38u /* a token almost as large as one may be */

static void exchange(Host *h, const char *name, size_t n_tags) {
        host_done(h);
        host_init(h, name, "the same secret", n_tags);
}

/* ---- keys that change under way ---- */

static void a_key_that_the_server_changes_before_its_syn_ack_changes_nothing(void **state) {
        Pairing *p = *state;

        for (uint16_t i = 0; i < 3; i++) { /* when a day is over; after a restart; when a peer was revoked meanwhile, maybe another one */
                p->c = connection_make(p->c.family, (uint16_t) (1000 + i));
                receive_syn(p, send_syn(p));
                host_new_key(&p->server, i == 0);
                if (i == 2)
                        peer_cache_forget(p->server.h.peers, DATAPATH_FORGET_KEYS, 0);
                receive_syn_ack(p, send_syn_ack(p));
                receive_ack(p, send_ack(p, ""));
        }
}

static void a_key_that_the_server_changes_before_the_ack_changes_nothing(void **state) {
        Pairing *p = *state;
        Wire w;

        for (uint16_t i = 0; i < 3; i++) {
                p->c = connection_make(p->c.family, (uint16_t) (1000 + i));
                receive_syn(p, send_syn(p));
                w = send_syn_ack(p);
                host_new_key(&p->server, i == 0);
                if (i == 2)
                        peer_cache_forget(p->server.h.peers, DATAPATH_FORGET_KEYS, 0);
                receive_syn_ack(p, w);
                receive_ack(p, send_ack(p, ""));
        }
}

static void a_key_that_the_server_changes_before_it_is_answered_costs_a_repetition(void **state) {
        Pairing *p = *state;
        Wire w = send_syn(p), again = w;

        p->server.slow = true;
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        p->server.slow = false;
        receive_syn(p, again);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}

static void a_key_that_the_client_changes_before_the_syn_ack_changes_nothing(void **state) {
        Pairing *p = *state;

        for (uint16_t i = 0; i < 2; i++) { /* a first contact, and a known peer */
                p->c = connection_make(p->c.family, (uint16_t) (1000 + i));
                receive_syn(p, send_syn(p));
                host_new_key(&p->client, true);
                receive_syn_ack(p, send_syn_ack(p));
                receive_ack(p, send_ack(p, ""));
        }
}

static void a_client_that_lost_its_key_shows_the_next_one_in_its_next_syn(void **state) {
        Pairing *p = *state;
        Wire first, w;

        for (uint16_t i = 0; i < 2; i++) {
                p->c = connection_make(p->c.family, (uint16_t) (1000 + i));
                first = send_syn(p);
                receive_syn(p, first);
                host_new_key(&p->client, false);
                w = send_syn_ack(p);
                EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_NO_STATE);
                test_now += USEC_PER_SEC;
                w = send_syn(p);
                assert_memory_not_equal(wire_payload(&w) + 52, wire_payload(&first) + 52, MESSAGE_NONCE_SIZE);
                receive_syn(p, w);
                receive_syn_ack(p, send_syn_ack(p));
                receive_ack(p, send_ack(p, ""));
        }
}

static void the_answer_to_the_former_syn_is_dropped_when_it_comes_late(void **state) {
        Pairing *p = *state;
        Wire late;

        receive_syn(p, send_syn(p));
        late = send_syn_ack(p);
        host_new_key(&p->client, true);
        receive_syn(p, send_syn(p));
        EXPECT_DROP(&p->client, host_input(&p->client, &late), DATAPATH_COUNTER_BAD_MAC);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}

/* Of the two shared keys that are in use meanwhile, the one with the smaller id goes into the keys of a pair: either way round. */
static void begin_rotation(Pairing *p, bool smaller_first, const char **ret_next) {
        static const char *const names[2] = { "a shared key", "another shared key" };
        uint8_t text[2][32] = {};
        PskKeys keys[2];
        size_t first;

        for (size_t i = 0; i < 2; i++) {
                memcpy(text[i], names[i], strlen(names[i]));
                assert_int_equal(psk_keys_derive(text[i], &keys[i]), 0);
        }
        first = (keys[0].key_id < keys[1].key_id) == smaller_first ? 0 : 1;
        for (Host *h = &p->client; h; h = h == &p->client ? &p->server : NULL) {
                host_new_psk(h, names[!first]); /* accepted from the beginning */
                host_new_psk(h, names[first]);
        }
        *ret_next = names[!first];
}

/* Either end begins to use the next shared key while a connection is half-open, and another one is made by that before the first goes on. */
static void a_shared_key_that_changes_under_way_breaks_no_connection(void **state) {
        Pairing *p = *state;
        const char *next;
        Connection first;
        Wire w;

        for (uint16_t i = 0; i < 8; i++) {
                Host *changes = i & 1 ? &p->client : &p->server;

                exchange(&p->client, "client", 2);
                exchange(&p->server, "server", 2);
                begin_rotation(p, i & 2, &next);
                if (i & 4) { /* known to each other */
                        p->c = connection_make(p->c.family, (uint16_t) (900 + i));
                        open_connection(p);
                }
                p->c = first = connection_make(p->c.family, (uint16_t) (1000 + i));
                receive_syn(p, send_syn(p));
                w = send_syn_ack(p);
                host_new_psk(changes, next);
                p->c = connection_make(p->c.family, (uint16_t) (1100 + i));
                open_connection(p);
                p->c = first;
                receive_syn_ack(p, w);
                receive_ack(p, send_ack(p, ""));
        }
}

static void a_client_that_changes_its_shared_key_shows_the_next_one_in_its_next_syn(void **state) {
        Pairing *p = *state;
        const char *next;
        Wire w;

        begin_rotation(p, true, &next);
        receive_syn(p, send_syn(p));
        host_new_psk(&p->client, next);
        w = send_syn(p);
        receive_syn(p, w);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}

/* Only a new key of the client's makes its SYN anew on the same connection: neither another nonce alone, nor another token on another one. */
static void a_half_open_connection_is_not_taken_over(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), w = syn;

        receive_syn(p, syn);
        w.data[wire_parse(&w).payload_offset + 52] ^= 1;
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        host_new_key(&p->client, true);
        p->c.client_isn++;
        w = send_syn(p);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
        p->c.client_isn--;
        exchange(&p->client, "client", 2);
        host_new_key(&p->client, true);
        p->server.allow = false; /* of the new one nothing more is believed than of the old one */
        w = send_syn(p);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_DENY);
        receive_syn(p, syn);
}

static void a_syn_waits_for_no_key_that_is_about_to_be_told(void **state) {
        Pairing *p = *state;
        DatapathUnit u = { .index = HOST_UNIT, .cgroup_id = 4711, .token_len = 100, .token_expires_usec = test_now };
        Wire w = send_syn(p);

        host_own_name(&p->server.dh, &p->server.psk, u.node_dh);
        assert_int_equal(unit_table_set(p->server.h.units, &u), 0); /* it has run out, the enforcer is late */
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_NO_STATE);
}

static void units_of_a_former_enforcer_are_told_from_those_of_this_one(void **state) {
        Pairing *p = *state;

        assert_false(unit_table_is_former(p->server.h.units, HOST_UNIT));
        unit_table_begin(p->server.h.units);
        assert_true(unit_table_is_former(p->server.h.units, HOST_UNIT));
        assert_false(unit_table_is_former(p->server.h.units, HOST_UNIT + 1));
        host_new_key(&p->server, false);
        assert_false(unit_table_is_former(p->server.h.units, HOST_UNIT));
}

/* ---- known peers ---- */

static void a_node_is_known_by_its_key_whatever_token_it_shows(void **state) {
        Pairing *p = *state;
        Action a;
        Wire w;

        open_connection(p);
        p->client.n_tags = 3;
        host_set_flags(&p->client, 0); /* another token, the same key */
        p->c = connection_make(p->c.family, 1001);
        w = send_syn(p);
        p->server.mute = true;
        a = host_input(&p->server, &w);
        assert_int_equal(a.type, ACTION_ASK);
        assert_true(a.known);
        host_new_key(&p->client, false);
        p->c = connection_make(p->c.family, 1002);
        w = send_syn(p);
        a = host_input(&p->server, &w);
        assert_int_equal(a.type, ACTION_ASK);
        assert_false(a.known);
}

/* The client takes it for known still; what it sends must nevertheless be enough for an answer. */
static void a_server_that_lost_its_keys_answers_the_first_syn(void **state) {
        Pairing *p = *state;
        Wire w;

        exchange(&p->server, "server", TAGS_MANY);
        open_connection(p);
        exchange(&p->server, "server", TAGS_MANY);
        host_new_key(&p->server, false);
        p->c = connection_make(p->c.family, 1001);
        w = send_syn(p);
        assert_int_equal(wire_payload(&w)[5], MESSAGE_KNOWN);
        receive_syn(p, w);
        receive_syn_ack(p, send_syn_ack(p));
        receive_ack(p, send_ack(p, ""));
}

/* ---- what the unproven are sent ---- */

static void a_peer_whose_proof_was_lost_is_reminded_within_what_it_sent(void **state) {
        Pairing *p = *state;
        size_t received, sent, whole;
        Wire w;

        exchange(&p->server, "server", 30);
        w = send_syn(p);
        received = w.len;
        receive_syn(p, w);
        w = send_syn_ack(p);
        sent = w.len;
        whole = wire_payload_len(&w);
        receive_syn_ack(p, w);
        (void) send_ack(p, ""); /* lost */
        w = wire_syn_ack(&p->c);
        EXPECT_ACCEPT(host_output(&p->server, &w), VERDICT_PASS);
        sent += w.len;
        assert_true(sent <= received);
        assert_true(wire_payload_len(&w) == MESSAGE_SIZE_MIN && whole > 8 * MESSAGE_SIZE_MIN);
        EXPECT_ACCEPT(host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), VERDICT_CLIENT_PENDING);
        assert_int_equal(wire_payload_len(&w), 0);
        receive_ack(p, send_ack(p, ""));
}

static void a_reminder_of_what_never_came_is_dropped_and_the_next_syn_brings_the_whole(void **state) {
        Pairing *p = *state;
        Wire w;

        exchange(&p->server, "server", 30);
        receive_syn(p, send_syn(p));
        (void) send_syn_ack(p); /* lost */
        w = send_syn_ack(p);
        assert_int_equal(wire_payload_len(&w), MESSAGE_SIZE_MIN);
        EXPECT_DROP(&p->client, host_input(&p->client, &w), DATAPATH_COUNTER_NO_STATE);
        assert_int_equal(p->client.n_questions, 0);
        receive_syn(p, send_syn(p));
        w = send_syn_ack(p);
        assert_true(wire_payload_len(&w) > MESSAGE_SIZE_MIN);
        receive_syn_ack(p, w);
        receive_ack(p, send_ack(p, ""));
}

static void a_known_peer_is_sent_the_whole_again(void **state) {
        Pairing *p = *state;
        Wire w;

        exchange(&p->server, "server", TAGS_MANY);
        open_connection(p);
        p->c = connection_make(p->c.family, 1001);
        receive_syn(p, send_syn(p));
        for (unsigned i = 0; i < 6; i++) {
                w = send_syn_ack(p);
                assert_true(wire_payload_len(&w) > MESSAGE_SIZE_MIN);
        }
}

/* A server whose backlog is full repeats its SYN-ACK, though it has the proof: by then as any TCP does, without a message. */
static void a_bare_syn_ack_after_release_reaches_our_kernel(void **state) {
        Pairing *p = *state;
        Wire w;

        open_connection(p);
        w = wire_syn_ack(&p->c);
        EXPECT_ACCEPT(host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), VERDICT_PASS);
        w = send_ack(p, "more");
        assert_memory_equal(wire_payload(&w), "more", 4); /* no message is asked for */
        p->c.server_isn++;
        w = wire_syn_ack(&p->c);
        EXPECT_DROP(&p->client, host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), DATAPATH_COUNTER_NO_STATE);
        p->c.server_isn--;
        p->c.client_isn++;
        w = wire_syn_ack(&p->c);
        EXPECT_DROP(&p->client, host_step(&p->client, QUEUE_HOOK_INPUT, REQUEST_REPEAT, 0, &w), DATAPATH_COUNTER_BAD_ACK_NUMBER);
}

#define T(f) cmocka_unit_test_setup_teardown(f, pairing_setup, pairing_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                T(a_key_that_the_server_changes_before_its_syn_ack_changes_nothing),
                T(a_key_that_the_server_changes_before_the_ack_changes_nothing),
                T(a_key_that_the_server_changes_before_it_is_answered_costs_a_repetition),
                T(a_key_that_the_client_changes_before_the_syn_ack_changes_nothing),
                T(a_client_that_lost_its_key_shows_the_next_one_in_its_next_syn),
                T(the_answer_to_the_former_syn_is_dropped_when_it_comes_late),
                T(a_shared_key_that_changes_under_way_breaks_no_connection),
                T(a_client_that_changes_its_shared_key_shows_the_next_one_in_its_next_syn),
                T(a_half_open_connection_is_not_taken_over),
                T(a_syn_waits_for_no_key_that_is_about_to_be_told),
                T(units_of_a_former_enforcer_are_told_from_those_of_this_one),
                T(a_node_is_known_by_its_key_whatever_token_it_shows),
                T(a_server_that_lost_its_keys_answers_the_first_syn),
                T(a_peer_whose_proof_was_lost_is_reminded_within_what_it_sent),
                T(a_reminder_of_what_never_came_is_dropped_and_the_next_syn_brings_the_whole),
                T(a_known_peer_is_sent_the_whole_again),
                T(a_bare_syn_ack_after_release_reaches_our_kernel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
