/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What others can make this node keep or say is bounded, in all and for each of them. (Questions and packets that wait: test-tables.c.) */

#include "core/test-pairing.h"
#include "wire/bytes.h"
#include "wire/test-random.h"

static const uint8_t seed[16] = { 9 };

static FlowKey key_make(uint32_t i) {
        const Endpoints e = { .client_port = (uint16_t) i, .server_port = (uint16_t) (i >> 16) };

        return flow_key(&e, FLOW_SERVER);
}

static struct in6_addr owner_make(uint32_t i) {
        struct in6_addr a = { .s6_addr = { [10] = 0xff, 0xff, 10, 0, 0, (uint8_t) i } };

        return flow_owner_address(&a);
}

static void half_open_states_are_bounded_in_each_class_and_for_each_owner(void **state) {
        static const struct { uint32_t all, owner; } max[_FLOW_CLASS_MAX] = {
                [FLOW_CLASS_LOCAL] = { FLOW_LOCAL_MAX, FLOW_LOCAL_UNIT_MAX },
                [FLOW_CLASS_KNOWN] = { FLOW_KNOWN_MAX, FLOW_KNOWN_ADDRESS_MAX },
                [FLOW_CLASS_UNKNOWN] = { FLOW_UNKNOWN_MAX, FLOW_UNKNOWN_ADDRESS_MAX },
        };
        _cleanup_(flow_table_freep) FlowTable *t = NULL;
        uint32_t n = 0;
        FlowKey key;
        Flow *f;

        assert_int_equal(flow_table_new(seed, &t), 0);
        for (unsigned class = 0; class < _FLOW_CLASS_MAX; class++)
                for (uint32_t i = 0; i < max[class].all / max[class].owner; i++) {
                        const struct in6_addr owner = owner_make(i);

                        for (uint32_t k = 0; k < max[class].owner; k++) {
                                key = key_make(n++);
                                assert_non_null(flow_table_add(t, &key, class, &owner, test_now));
                        }
                        key = key_make(n);
                        assert_null(flow_table_add(t, &key, class, &owner, test_now)); /* one owner's share */
                }
        for (unsigned class = 0; class < _FLOW_CLASS_MAX; class++) {
                const struct in6_addr other = owner_make(99);

                assert_null(flow_table_add(t, &key, class, &other, test_now)); /* the whole room */
        }
        assert_int_equal(flow_table_count(t), FLOW_LOCAL_MAX + FLOW_KNOWN_MAX + FLOW_UNKNOWN_MAX);
        test_now += FLOW_HALF_OPEN_USEC;
        while ((f = flow_table_expired(t, test_now)))
                flow_table_remove(t, f);
        for (uint32_t k = 0; k < FLOW_UNKNOWN_ADDRESS_MAX; k++) { /* nothing of it is left */
                const struct in6_addr owner = owner_make(0);

                key = key_make(k);
                assert_non_null(flow_table_add(t, &key, FLOW_CLASS_UNKNOWN, &owner, test_now));
        }
}

static void all_addresses_of_an_ipv6_network_are_one_owner(void **state) {
        struct in6_addr one = connection_make(AF_INET6, 1).client, other = one, elsewhere = one, v4 = connection_make(AF_INET, 1).client, v4_other = v4;
        struct in6_addr a, b;

        other.s6_addr[15] ^= 1;
        other.s6_addr[8] ^= 1;
        elsewhere.s6_addr[7] ^= 1;
        v4_other.s6_addr[15] ^= 1;
        a = flow_owner_address(&one);
        b = flow_owner_address(&other);
        assert_memory_equal(&a, &b, sizeof(a));
        b = flow_owner_address(&elsewhere);
        assert_memory_not_equal(&a, &b, sizeof(a));
        a = flow_owner_address(&v4);
        b = flow_owner_address(&v4_other);
        assert_memory_not_equal(&a, &b, sizeof(a));
}

static void what_was_released_makes_room_for_what_is(void **state) {
        _cleanup_(flow_table_freep) FlowTable *t = NULL;
        const struct in6_addr owner = owner_make(0);
        FlowKey key;

        assert_int_equal(flow_table_new(seed, &t), 0);
        for (uint32_t i = 0; i <= FLOW_RELEASED_MAX; i++) {
                key = key_make(i);
                (void) flow_table_release(t, &key, flow_table_add(t, &key, FLOW_CLASS_KNOWN, &owner, test_now), test_now);
        }
        assert_non_null(flow_table_get_released(t, &key, test_now));
        key = key_make(0);
        assert_null(flow_table_get_released(t, &key, test_now));
        assert_int_equal(flow_table_count(t), 0);
}

static void from(Wire *w, uint8_t last, uint16_t port) {
        w->data[15] = last;
        store_be16(w->data + 20, port);
}

static void one_address_leaves_room_for_the_others(void **state) {
        Pairing *p = *state;
        Wire syn = send_syn(p), w;

        for (uint16_t i = 0; i < FLOW_UNKNOWN_ADDRESS_MAX; i++) {
                w = syn;
                from(&w, 50, i);
                EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
        }
        w = syn;
        from(&w, 50, 60000);
        EXPECT_DROP(&p->server, host_input(&p->server, &w), DATAPATH_COUNTER_FLOWS_FULL);
        from(&w, 51, 60000);
        EXPECT_ACCEPT(host_input(&p->server, &w), VERDICT_SERVER_PENDING);
}

static void one_unit_leaves_room_for_the_others(void **state) {
        DatapathUnit other = { .index = HOST_UNIT + 1, .cgroup_id = 4712, .token_expires_usec = USEC_INFINITY };
        Pairing *p = *state;
        const Unit *unit = unit_table_get(p->client.h.units, HOST_UNIT);
        Wire w;

        other.token_len = unit->token_len;
        memcpy(other.token, unit->token, unit->token_len);
        memcpy(other.node_dh, unit->node_dh, sizeof(other.node_dh));
        assert_int_equal(unit_table_set(p->client.h.units, &other), 0);
        for (uint16_t i = 0; i < FLOW_LOCAL_UNIT_MAX; i++) {
                p->c = connection_make(p->c.family, i);
                (void) send_syn(p);
        }
        p->c = connection_make(p->c.family, 60000);
        w = wire_syn(&p->c);
        EXPECT_DROP(&p->client, host_output(&p->client, &w), DATAPATH_COUNTER_FLOWS_FULL);
        EXPECT_ACCEPT(host_step(&p->client, QUEUE_HOOK_OUTPUT, REQUEST_HANDSHAKE, HOST_UNIT + 1, &w), VERDICT_CLIENT_PENDING);
}

/* ---- tokens ---- */

static void learn(PeerCache *c, uint8_t node, uint32_t number) {
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = 1, .token_len = sizeof(number) };
        DatapathResolved a = { .verified = 1, .expires_usec = USEC_INFINITY, .peer_dh = { node }, .peer = number };

        memcpy(q.token, &number, sizeof(number));
        assert_int_equal(crypto_sha256(&number, sizeof(number), a.token_hash), 0);
        assert_int_equal(peer_cache_learn(c, &q, &a, test_now), 0);
}

static bool knows(PeerCache *c, uint32_t number) {
        uint8_t hash[DATAPATH_HASH_SIZE];

        assert_int_equal(crypto_sha256(&number, sizeof(number), hash), 0);
        return peer_cache_peer(c, hash, test_now);
}

static void tokens_of_one_node_displace_only_its_own(void **state) {
        _cleanup_(peer_cache_freep) PeerCache *c = NULL;
        uint32_t n_peers, n_decisions;

        assert_int_equal(peer_cache_new(seed, &c), 0);
        learn(c, 1, 0);
        for (uint32_t i = 1; i <= PEER_CACHE_NODE_PEERS + 10; i++)
                learn(c, 2, i);
        peer_cache_counts(c, &n_peers, &n_decisions);
        assert_int_equal(n_peers, 1 + PEER_CACHE_NODE_PEERS);
        assert_true(knows(c, 0));
        assert_false(knows(c, 10));
        assert_true(knows(c, 11));
        learn(c, 2, 11); /* the same again takes no room */
        assert_true(knows(c, 12));
        for (uint32_t i = 0; i < PEER_CACHE_PEERS; i++)
                learn(c, (uint8_t) (3 + i % 16), 100000 + i);
        peer_cache_counts(c, &n_peers, &n_decisions);
        assert_int_equal(n_peers, PEER_CACHE_PEERS);
        assert_false(knows(c, 0)); /* the room is full, and nobody had more than his share */
        peer_cache_forget(c, DATAPATH_FORGET_KEYS, 0);
        for (uint32_t i = 0; i <= PEER_CACHE_NODE_PEERS; i++)
                learn(c, 2, i);
        assert_false(knows(c, 0));
        assert_true(knows(c, 1));
}

/* ---- replies ---- */

typedef struct Account {
        size_t in, out;
} Account;

/* One packet at random to or from the server, who has a valid token of a client that never proves itself. */
static void any_step(Pairing *p, Random *random, Account *accounts) {
        uint8_t who = (uint8_t) random_below(random, 3);
        Account *account = &accounts[who];
        Connection c = p->c;
        bool in = random_below(random, 3) > 0;
        Wire w;

        c.client_port = (uint16_t) (1000 + random_below(random, 2));
        switch (random_below(random, 6)) {
        case 0: case 1:
                p->c.client_port = c.client_port;
                w = in ? send_syn(p) : wire_syn_ack(&c); /* the token is good, the source may be anybody's */
                break;
        case 2:
                w = in ? wire_ack(&c, "data") : wire_syn_ack(&c);
                break;
        case 3:
                w = wire_make(&c, in, TCP_FLAG_RST, (in ? c.client_isn : c.server_isn) + 1, 0, NULL, 0);
                break;
        case 4:
                w = wire_make(&c, in, (uint8_t) random_next(random) | (in ? 0 : TCP_FLAG_ACK), (uint32_t) random_below(random, 3) + c.client_isn, c.server_isn + 1, "TRI\001", 4);
                break;
        default:
                test_now += random_below(random, 12) * USEC_PER_SEC;
                return;
        }
        w.data[in ? 15 : 19] = (uint8_t) (1 + who);
        if (in) {
                account->in += w.len;
                (void) host_input(&p->server, &w);
        } else if (host_output(&p->server, &w).type == ACTION_ACCEPT)
                account->out += w.len;
        assert_true(account->out <= account->in);
}

static void nobody_unproven_is_sent_more_than_came_from_there_whatever_comes(void **state) {
        static const size_t tags[] = { 1, 10, 24, 38 };
        Pairing *p = *state;

        for (uint64_t run = 1; run <= 200; run++) {
                Random random = { run };
                Account accounts[3] = {};

                test_now += FLOW_HALF_OPEN_USEC; /* nothing is left of the run before */
                p->server.n_tags = tags[run % ELEMENTSOF(tags)];
                host_set_flags(&p->server, 0);
                for (unsigned i = 0; i < 100; i++)
                        any_step(p, &random, accounts);
        }
}

#define T(f) cmocka_unit_test_setup_teardown(f, pairing_setup, pairing_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(half_open_states_are_bounded_in_each_class_and_for_each_owner),
                cmocka_unit_test(all_addresses_of_an_ipv6_network_are_one_owner),
                cmocka_unit_test(what_was_released_makes_room_for_what_is),
                T(one_address_leaves_room_for_the_others),
                T(one_unit_leaves_room_for_the_others),
                cmocka_unit_test(tokens_of_one_node_displace_only_its_own),
                T(nobody_unproven_is_sent_more_than_came_from_there_whatever_comes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
