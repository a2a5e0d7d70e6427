/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the datapath is answered: tokens good and bad with the reason of each, decisions of both ends, observe, local pairs, strangers. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "enforcer/resolve.h"
#include "enforcer/unit-token.h"
#include "policy/config.h"

#define NOW_SEC 1800000000
#define NOW_USEC (1000 * USEC_PER_SEC)

static const uint8_t own_node[16] = { 1 }, peer_node[16] = { 2 };
static const PeerTime now = { .now_sec = NOW_SEC, .now_usec = NOW_USEC };

typedef struct World {
        Units units;
        Keys *keys, *peer_keys; /* of one group */
        Peers *peers;
        Names *rules;
        Config config;
        uint64_t cgroup_id;
} World;

static Keys *make_keys(uint8_t seed, uint8_t node) {
        Keys *k = calloc(1, sizeof(*k));
        uint8_t psk[32];

        memset(psk, seed, sizeof(psk));
        assert_int_equal(psk_keys_derive(psk, &k->psks[0]), 0);
        assert_int_equal(dh_key_generate(&k->own.dh), 0);
        k->n_psks = 1;
        k->own.key_id = k->psks[0].key_id;
        k->own.node[0] = node;
        k->mode = KEY_PSK;
        return k;
}

static int setup(void **state) {
        World *w = calloc(1, sizeof(*w));

        w->keys = make_keys(7, own_node[0]);
        w->peer_keys = make_keys(7, peer_node[0]);
        assert_int_equal(peers_new(&w->peers), 0);
        assert_int_equal(names_new(&w->rules), 0);
        assert_int_equal(config_init(&w->config), 0);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        units_done(&w->units);
        keys_free(w->keys);
        keys_free(w->peer_keys);
        peers_free(w->peers);
        names_free(w->rules);
        config_done(&w->config);
        free(w);
        return 0;
}

static UnitPolicy *make_policy(World *w, const char *name, const char *text) {
        const ConfigFile file = { .path = "/x.conf", .data = text, .size = strlen(text) };
        const UnitSpecifiers specifiers = { .unit = name, .hostname = "h", .machine_id = "0123456789abcdef0123456789abcdef" };
        const UnitFacts facts = { .unit = name, .triggers = "", .hostname = "h" };
        UnitSettings settings = {};
        ConfigErrors errors = {};
        UnitPolicy *p;

        assert_int_equal(unit_settings_parse(&file, 1, &specifiers, &settings, &errors), 1);
        assert_int_equal(unit_policy_new(&settings, NULL, 0, &facts, &w->config, &p), 0);
        unit_settings_done(&settings);
        return p;
}

static Unit *make_unit(World *w, const char *name, const char *text) {
        HelperUnit info = { .cgroup_id = ++w->cgroup_id };
        Unit *u;

        strcpy(info.unit, name);
        assert_int_equal(unit_new(&w->units, &info, &u), 0);
        u->policy = make_policy(w, name, text);
        u->state = u->policy->mode == UNIT_MODE_OBSERVE ? UNIT_OBSERVING : UNIT_ENFORCING;
        u->reason = REASON_NONE;
        return u;
}

/* A token of a unit on another node of the group. */
static void make_token(World *w, const char *text, DatapathResolve *q) {
        Unit u = { .name = "peer.service", .policy = make_policy(w, "peer.service", text) };
        char *fault = NULL;

        assert_int_equal(unit_token_make(&u, w->peer_keys, &(KeyTimes) { .token_usec = TOKEN_LIFE_DEFAULT_SEC * USEC_PER_SEC }, &now, &fault), 0);
        memcpy(q->token, u.token, u.token_len);
        q->token_len = u.token_len;
        free(u.token);
        unit_policy_unref(u.policy);
}

static DatapathResolved ask_at(World *w, DatapathResolve *q, const PeerTime *time, int *ret_local) {
        const Resolver r = { .units = &w->units, .keys = w->keys, .peers = w->peers, .rules = w->rules };
        DatapathResolved answer;

        q->header = (DatapathHeader) { .type = DATAPATH_RESOLVE, .serial = 42 };
        resolve(&r, q, time, &answer, ret_local);
        assert_int_equal(answer.header.type, DATAPATH_RESOLVED);
        assert_int_equal(answer.header.serial, 42);
        return answer;
}

static DatapathResolved ask(World *w, DatapathResolve *q) {
        int local;

        own_key_name(&w->keys->own, q->our_dh);
        return ask_at(w, q, &now, &local);
}

static void a_peer_with_the_same_label_is_accepted_and_both_ends_derive_the_same_keys(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index, .port = 80 };
        const PairInput theirs = {
                .mode = TOKEN_PSK, .psk_pair_key = w->peer_keys->psks[0].pair_key, .own = &w->peer_keys->own.dh,
                .own_node = peer_node, .peer_node = own_node, .peer_dh = w->keys->own.dh.public_key,
        };
        DatapathResolved answer, again;
        PairKeys keys;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=web\n", &q);
        answer = ask(w, &q);
        assert_int_equal(answer.verified, 1);
        assert_int_equal(answer.decision.allow, 1);
        assert_int_equal(answer.decision.observed, 0);
        assert_int_equal(answer.decision.reason, REASON_SAME_LABEL);
        assert_string_equal(names_string(w->rules, answer.decision.rule), "same-label app=web");
        assert_int_equal(answer.expires_usec, NOW_USEC + (TOKEN_LIFE_DEFAULT_SEC + TOKEN_SKEW_SEC) * USEC_PER_SEC);
        assert_int_equal(pair_keys_derive(&theirs, &keys), 0);
        assert_memory_equal(answer.keys.in_syn, keys.out_syn, 32);
        assert_memory_equal(answer.keys.in_ack, keys.out_ack, 32);
        assert_memory_equal(answer.keys.out_syn_ack, keys.in_syn_ack, 32);
        again = ask(w, &q);
        assert_int_equal(again.peer, answer.peer); /* remembered, not judged twice */
        assert_memory_equal(&again.keys, &answer.keys, sizeof(keys));
}

static void a_verified_peer_that_no_rule_allows_is_denied(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\nTriremeAccept=app=front\nTriremeConnect=app=db\n");
        static const struct {
                const char *peer;
                DatapathDirection direction;
                uint32_t allow;
                Reason reason;
                const char *rule;
        } cases[] = {
                { "app=web", DATAPATH_ACCEPT, 0, REASON_NO_RULE, "" },
                { "app=front", DATAPATH_ACCEPT, 1, REASON_RULE, "/x.conf:3" },
                { "app=db", DATAPATH_ACCEPT, 0, REASON_NO_RULE, "" },
                { "app=db", DATAPATH_CONNECT, 1, REASON_RULE, "/x.conf:4" },
                { "app=front", DATAPATH_CONNECT, 0, REASON_NO_RULE, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DatapathResolve q = { .direction = cases[i].direction, .unit = u->index, .port = 80 };
                DatapathResolved answer;
                char text[128];

                (void) snprintf(text, sizeof(text), "[X-Trireme]\nTriremeLabels=%s\n", cases[i].peer);
                make_token(w, text, &q);
                answer = ask(w, &q);
                assert_int_equal(answer.verified, 1);
                assert_int_equal(answer.decision.allow, cases[i].allow);
                assert_int_equal(answer.decision.reason, cases[i].reason);
                assert_string_equal(names_string(w->rules, answer.decision.rule), cases[i].rule);
        }
}

/* Writes a token by hand with one thing wrong, then MACs it rightly. */
typedef struct Forgery {
        const char *what;
        int64_t from_sec, until_sec; /* relative to now */
        const char *key, *value;     /* its only tag */
        uint16_t families;
        uint32_t key_id_change;
        uint8_t psk_seed;
        int flip;                    /* a bit of this byte, -1: none; -2: of the last */
        Reason reason;
} Forgery;

static void bad_tokens_are_refused_each_with_its_reason(void **state) {
        static const uint16_t labels = 1u << TAG_FAMILY_LABELS;
        static const Forgery cases[] = {
                { "good", 0, 600, "@usr:app", "web", labels, 0, 7, -1, REASON_NONE },
                { "an hour", 0, 3600, "@usr:app", "web", labels, 0, 7, -1, REASON_NONE },
                { "more than an hour", 0, 3601, "@usr:app", "web", labels, 0, 7, -1, REASON_BAD_TOKEN },
                { "just expired, within the skew", -600, -119, "@usr:app", "web", labels, 0, 7, -1, REASON_NONE },
                { "expired", -600, -120, "@usr:app", "web", labels, 0, 7, -1, REASON_EXPIRED },
                { "from the future, within the skew", 120, 600, "@usr:app", "web", labels, 0, 7, -1, REASON_NONE },
                { "from the future", 121, 600, "@usr:app", "web", labels, 0, 7, -1, REASON_EXPIRED },
                { "ends before it begins", 10, 9, "@usr:app", "web", labels, 0, 7, -1, REASON_BAD_TOKEN },
                { "other group", 0, 600, "@usr:app", "web", labels, 0, 8, -1, REASON_UNVERIFIED },
                { "other key id", 0, 600, "@usr:app", "web", labels, 1, 7, -1, REASON_UNVERIFIED },
                { "tag flipped", 0, 600, "@usr:app", "web", labels, 0, 7, 95, REASON_UNVERIFIED },
                { "DH key flipped", 0, 600, "@usr:app", "web", labels, 0, 7, 30, REASON_UNVERIFIED },
                { "date flipped", 0, 600, "@usr:app", "web", labels, 0, 7, 71, REASON_UNVERIFIED },
                { "MAC flipped", 0, 600, "@usr:app", "web", labels, 0, 7, -2, REASON_UNVERIFIED },
                { "version flipped", 0, 600, "@usr:app", "web", labels, 0, 7, 0, REASON_BAD_TOKEN },
                { "port asserted", 0, 600, "@port", "tcp/80", labels, 0, 7, -1, REASON_UNKNOWN_NAMESPACE },
                { "unknown namespace", 0, 600, "@sys:nonsense", "1", labels, 0, 7, -1, REASON_UNKNOWN_NAMESPACE },
                { "family not announced", 0, 600, "@sys:unit", "x.service", labels, 0, 7, -1, REASON_BAD_TOKEN },
        };
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Forgery *c = &cases[i];
                _cleanup_(keys_freep) Keys *keys = make_keys(c->psk_seed, peer_node[0]);
                DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index, .port = 80 };
                Token t = {
                        .mode = TOKEN_PSK, .families = c->families, .key_id = keys->psks[0].key_id + c->key_id_change, .node = { 2 }, .unit = { (uint8_t) i },
                        .valid_from_sec = NOW_SEC, .valid_until_sec = NOW_SEC + 1, .n_tags = 1,
                        .tags = { { c->key, c->value, (uint8_t) strlen(c->key), (uint8_t) strlen(c->value) } },
                };
                const uint64_t dates[] = { htobe64((uint64_t) (NOW_SEC + c->from_sec)), htobe64((uint64_t) (NOW_SEC + c->until_sec)) };
                DatapathResolved answer;
                int n;

                memcpy(t.node_dh, w->peer_keys->own.dh.public_key, 32);
                n = token_write(&t, TOKEN_MAC_SIZE, q.token, sizeof(q.token));
                assert_true(n > 0);
                memcpy(q.token + 56, dates, sizeof(dates)); /* by hand: token_write() would not */
                assert_int_equal(token_mac(keys->psks[0].token_key, q.token, (size_t) n, q.token + n), 0);
                q.token_len = (uint32_t) n + TOKEN_MAC_SIZE;
                if (c->flip != -1)
                        q.token[c->flip == -2 ? (int) q.token_len - 1 : c->flip] ^= 0x10;
                answer = ask(w, &q);
                if (answer.verified != (c->reason == REASON_NONE) || (!answer.verified && answer.decision.reason != (uint32_t) c->reason))
                        fail_msg("%s: verified %u, reason %s", c->what, answer.verified, reason_to_string((Reason) answer.decision.reason));
                assert_int_equal(answer.decision.allow, c->reason == REASON_NONE);
                if (!answer.verified)
                        assert_true(answer.keys.in_syn[0] == 0 && memcmp(answer.keys.in_syn, answer.keys.out_ack, 32) == 0); /* no key leaves */
        }
}

static void a_remembered_token_does_not_outlive_its_dates(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index };
        PeerTime later = { .now_sec = NOW_SEC + TOKEN_LIFE_DEFAULT_SEC + TOKEN_SKEW_SEC, .now_usec = NOW_USEC + (TOKEN_LIFE_DEFAULT_SEC + TOKEN_SKEW_SEC) * USEC_PER_SEC };
        int local;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=web\n", &q);
        assert_int_equal(ask(w, &q).verified, 1);
        later.now_usec--;
        later.now_sec--;
        assert_int_equal(ask_at(w, &q, &later, &local).verified, 1);
        later.now_usec++;
        later.now_sec++;
        assert_int_equal(ask_at(w, &q, &later, &local).decision.reason, REASON_EXPIRED);
}

static void an_unverified_peer_is_not_freed_by_observe_but_a_verified_one_is(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\nTriremeMode=observe\n");
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index };
        DatapathResolved answer;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=other\n", &q);
        answer = ask(w, &q);
        assert_int_equal(answer.decision.allow, 1);
        assert_int_equal(answer.decision.observed, 1);
        assert_int_equal(answer.decision.reason, REASON_NO_RULE);
        q.token[q.token_len - 1] ^= 1;
        answer = ask(w, &q);
        assert_int_equal(answer.verified, 0);
        assert_int_equal(answer.decision.allow, 0);
        assert_false(peers_find_id(w->peers, answer.peer)->verified);
        assert_true(tag_set_has(&peers_find_id(w->peers, answer.peer)->tags, "@usr:app", "other")); /* as claimed */
}

static void a_unit_that_is_denied_or_unknown_accepts_nobody(void **state) {
        World *w = *state;
        Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\nTriremeMode=observe\n");
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index };

        make_token(w, "[X-Trireme]\nTriremeLabels=app=web\n", &q);
        assert_int_equal(unit_set_denied(u, REASON_BAD_SETTINGS, "x"), 0);
        assert_int_equal(ask(w, &q).decision.allow, 0);
        assert_int_equal(ask(w, &q).decision.reason, REASON_BAD_SETTINGS);
        q.unit = u->index % UNIT_INDEX_MAX + 1;
        assert_int_equal(ask(w, &q).decision.allow, 0);
        assert_int_equal(ask(w, &q).decision.reason, REASON_CLOSED);
        q.unit = 0xffffffff;
        assert_int_equal(ask(w, &q).decision.allow, 0);
}

static void an_exchange_under_a_key_that_is_not_ours_gets_no_keys(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");
        DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = u->index };
        DatapathResolved answer;
        int local;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=web\n", &q);
        memset(q.our_dh, 0x55, sizeof(q.our_dh));
        answer = ask_at(w, &q, &now, &local);
        assert_int_equal(answer.verified, 0);
        assert_int_equal(answer.decision.allow, 0);
        assert_int_equal(answer.decision.reason, REASON_EXPIRED);
}

static void a_local_pair_needs_the_word_of_both_ends(void **state) {
        World *w = *state;
        const Unit *web = make_unit(w, "web.service", "[X-Trireme]\nTriremeLabels=app=web\nTriremeAccept=app=front @port=tcp/80\n");
        const Unit *front = make_unit(w, "front.service", "[X-Trireme]\nTriremeLabels=app=front\nTriremeConnect=app=web\n");
        const Unit *mute = make_unit(w, "mute.service", "[X-Trireme]\nTriremeLabels=app=front\nTriremeConnect=\n");
        const Unit *watch = make_unit(w, "watch.service", "[X-Trireme]\nTriremeLabels=app=front\nTriremeConnect=app=x\nTriremeMode=observe\n");
        const struct {
                const Unit *client;
                uint16_t port;
                uint32_t server_allows, client_allows;
                int local;
        } cases[] = {
                { front, 80, 1, 1, 2 },
                { front, 81, 0, 1, 0 },
                { mute, 80, 1, 0, 0 },
                { web, 80, 0, 1, 0 }, /* to itself: no rule is skipped because both ends are one unit */
                { watch, 80, 1, 1, 0 }, /* observed: each connection leaves a record, so the kernel may not decide */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DatapathResolve q = { .direction = DATAPATH_LOCAL, .unit = web->index, .client = cases[i].client->index, .port = cases[i].port };
                int local;
                DatapathResolved answer = ask_at(w, &q, &now, &local);

                assert_int_equal(answer.verified, 1);
                assert_int_equal(answer.decision.allow, cases[i].server_allows);
                assert_int_equal(answer.client.allow, cases[i].client_allows);
                assert_int_equal(local, cases[i].local);
        }
}

static void strangers_are_decided_by_address(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\nTriremeConnectTo=192.0.2.0/24 tcp/443\nTriremeConnectTo=2001:db8::/32 tcp\n");
        static const struct {
                uint8_t family;
                struct in6_addr address;
                uint16_t port;
                uint32_t allow;
                Reason reason;
        } cases[] = {
                { AF_INET, { .s6_addr = { [10] = 0xff, 0xff, 192, 0, 2, 9 } }, 443, 1, REASON_ACL }, /* as packets carry it */
                { AF_INET, { .s6_addr = { 192, 0, 2, 9 } }, 443, 1, REASON_ACL },                    /* as access lists do */
                { AF_INET, { .s6_addr = { [10] = 0xff, 0xff, 192, 0, 2, 9 } }, 80, 0, REASON_NO_IDENTITY },
                { AF_INET, { .s6_addr = { [10] = 0xff, 0xff, 192, 0, 3, 9 } }, 443, 0, REASON_NO_IDENTITY },
                { AF_INET6, { .s6_addr = { 0x20, 0x01, 0x0d, 0xb8 } }, 1, 1, REASON_ACL },
                { AF_INET6, { .s6_addr = { 0x20, 0x01, 0x0d, 0xb9 } }, 1, 0, REASON_NO_IDENTITY },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                DatapathResolve q = { .direction = DATAPATH_PLAIN_SYN, .unit = u->index, .family = cases[i].family, .protocol = IPPROTO_TCP,
                                      .address = cases[i].address, .port = cases[i].port };
                DatapathResolved answer = ask(w, &q);

                assert_int_equal(answer.decision.allow, cases[i].allow);
                assert_int_equal(answer.decision.reason, cases[i].reason);
        }
}

static void a_flood_of_forged_tokens_displaces_no_verified_peer(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");
        DatapathResolve good = { .direction = DATAPATH_ACCEPT, .unit = u->index }, bad;
        uint64_t id;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=web\n", &good);
        id = ask(w, &good).peer;
        bad = good;
        for (unsigned i = 0; i < 2 * PEERS_MAX; i++) {
                memcpy(bad.token + bad.token_len - 4, &i, sizeof(i));
                assert_int_equal(ask(w, &bad).verified, 0);
        }
        assert_int_equal(ask(w, &good).peer, id);
}

static void tokens_of_one_node_displace_only_its_own(void **state) {
        World *w = *state;
        const Unit *u = make_unit(w, "a.service", "[X-Trireme]\nTriremeLabels=app=web\n");
        DatapathResolve first = { .direction = DATAPATH_ACCEPT, .unit = u->index }, token = first;
        char text[64];
        uint64_t id;

        make_token(w, "[X-Trireme]\nTriremeLabels=app=first\n", &first);
        id = ask(w, &first).peer;
        for (unsigned i = 0; i < PEERS_NODE_MAX - 1; i++) {
                (void) snprintf(text, sizeof(text), "[X-Trireme]\nTriremeLabels=app=%u\n", i);
                make_token(w, text, &token);
                assert_int_equal(ask(w, &token).verified, 1);
        }
        assert_non_null(peers_find_id(w->peers, id));
        make_token(w, "[X-Trireme]\nTriremeLabels=app=last\n", &token);
        assert_int_equal(ask(w, &token).verified, 1);
        assert_null(peers_find_id(w->peers, id)); /* long before the whole room is full */
}

static void tags_that_do_not_fit_a_token_are_named(void **state) {
        World *w = *state;
        Unit u = { .name = "big.service" };
        char text[4096] = "[X-Trireme]\n", line[300], *fault = NULL;

        for (unsigned i = 0; i < 5; i++) {
                (void) snprintf(line, sizeof(line), "TriremeLabels=key%u=%0*u\n", i, i == 3 ? 250 : 240, i);
                strcat(text, line);
        }
        u.policy = make_policy(w, "big.service", text);
        assert_int_equal(unit_token_make(&u, w->keys, &(KeyTimes) { .token_usec = TOKEN_LIFE_DEFAULT_SEC * USEC_PER_SEC }, &now, &fault), -EMSGSIZE);
        assert_non_null(strstr(fault, "key3="));
        assert_int_equal(u.token_len, 0);
        free(fault);
        unit_policy_unref(u.policy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_peer_with_the_same_label_is_accepted_and_both_ends_derive_the_same_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(a_verified_peer_that_no_rule_allows_is_denied, setup, teardown),
                cmocka_unit_test_setup_teardown(bad_tokens_are_refused_each_with_its_reason, setup, teardown),
                cmocka_unit_test_setup_teardown(a_remembered_token_does_not_outlive_its_dates, setup, teardown),
                cmocka_unit_test_setup_teardown(an_unverified_peer_is_not_freed_by_observe_but_a_verified_one_is, setup, teardown),
                cmocka_unit_test_setup_teardown(a_unit_that_is_denied_or_unknown_accepts_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(an_exchange_under_a_key_that_is_not_ours_gets_no_keys, setup, teardown),
                cmocka_unit_test_setup_teardown(a_local_pair_needs_the_word_of_both_ends, setup, teardown),
                cmocka_unit_test_setup_teardown(strangers_are_decided_by_address, setup, teardown),
                cmocka_unit_test_setup_teardown(a_flood_of_forged_tokens_displaces_no_verified_peer, setup, teardown),
                cmocka_unit_test_setup_teardown(tokens_of_one_node_displace_only_its_own, setup, teardown),
                cmocka_unit_test_setup_teardown(tags_that_do_not_fit_a_token_are_named, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
