/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which live connections a change cuts, and the numbers of peers by which it knows what they were authorized for. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "enforcer/cut.h"
#include "enforcer/test-world.h"
#include "ipc/marks.h"

static Peer make_peer(const char *labels) {
        Peer peer = { .verified = true, .families = TAG_FAMILIES_ALL, .mode = TOKEN_PSK, .key_id = 7 };
        const char *fault;

        assert_int_equal(tag_set_from_string(labels, &peer.tags, &fault), 0);
        return peer;
}

static uint32_t number_of(PeerNumbers *n, const char *labels) {
        Peer peer = make_peer(labels);
        uint32_t number = peer_numbers_get(n, &peer, 0);

        tag_set_done(&peer.tags);
        return number;
}

/* ---- numbers ---- */

static void equal_peers_have_one_number_and_others_another(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        Peer peer = make_peer("app=web");
        uint16_t families = 0;

        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        assert_int_equal(peer_numbers_get(n, &peer, 0), 1);
        assert_int_equal(number_of(n, "app=api"), 2);
        assert_int_equal(number_of(n, "app=web"), 1);
        peer.families = 1;
        assert_int_equal(peer_numbers_get(n, &peer, 0), 3); /* what it does not announce counts */
        peer.key_id++;
        assert_int_equal(peer_numbers_get(n, &peer, 0), 4); /* and who vouches for it */
        assert_true(tag_set_has(peer_numbers_find(n, 2, &families), "@usr:app", "api"));
        assert_int_equal(families, TAG_FAMILIES_ALL);
        assert_null(peer_numbers_find(n, 0, &families));
        assert_null(peer_numbers_find(n, 5, &families));
        assert_null(peer_numbers_find(n, UINT32_MAX, &families));
        tag_set_done(&peer.tags);
}

static void numbers_are_known_again_and_a_torn_record_is_cut_off(void **state) {
        char path[] = "/tmp/trireme-test-XXXXXX";
        uint16_t families;
        off_t size;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        for (unsigned round = 0; round < 3; round++) {
                _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;

                assert_int_equal(peer_numbers_new(path, 0, &n), 0);
                assert_int_equal(number_of(n, "app=web tier=front"), 1);
                assert_int_equal(number_of(n, "app=api"), 2);
                assert_true(tag_set_has(peer_numbers_find(n, 1, &families), "@usr:tier", "front"));
                size = lseek(fd, 0, SEEK_END);
                assert_true(size > 80);
                if (round == 0)
                        assert_int_equal(write(fd, "torn", 4), 4);
                else if (round == 1)
                        assert_int_equal(ftruncate(fd, size - 1), 0); /* the second was torn: it is handed out anew */
        }
        assert_int_equal(lseek(fd, 0, SEEK_END), size);
        close(fd);
        unlink(path);
}

static void a_revoked_number_is_none_until_its_peer_is_verified_again(void **state) {
        _cleanup_(peer_numbers_freep) PeerNumbers *n = NULL;
        Peer pki = make_peer("app=web");
        uint8_t other[CRYPTO_HASH_SIZE] = { 9 };
        uint16_t families;

        pki.mode = TOKEN_PKI;
        pki.certificate[0] = 5;
        assert_int_equal(peer_numbers_new(NULL, 0, &n), 0);
        assert_int_equal(number_of(n, "app=web"), 1);
        assert_int_equal(peer_numbers_get(n, &pki, 0), 2);
        peer_numbers_revoke(n, other);
        assert_non_null(peer_numbers_find(n, 2, &families));
        peer_numbers_revoke(n, pki.certificate);
        assert_null(peer_numbers_find(n, 2, &families));
        assert_non_null(peer_numbers_find(n, 1, &families));
        assert_int_equal(peer_numbers_get(n, &pki, 0), 2);
        assert_non_null(peer_numbers_find(n, 2, &families));
        tag_set_done(&pki.tags);
}

/* ---- connections ---- */

#define SERVER (CTMARK_SERVER_AUTHORIZED)
#define CLIENT (CTMARK_CLIENT_AUTHORIZED)

static void add_socket(World *w, uint16_t port, uint32_t mark, bool client, uint32_t peer) {
        w->sockets[w->n_sockets++] = (HelperSocket) {
                .cgroup_id = 77, .family = AF_INET, .protocol = IPPROTO_TCP, .state = TCP_ESTABLISHED, .sport = client ? port : 80, .dport = client ? 80 : port,
                .saddr.s6_addr = { 192, 0, 2, 1 }, .daddr.s6_addr = { 192, 0, 2, 9 }, .cookie = { port }, .mark = mark, .client = client, .peer = peer,
        };
}

static bool is_cut(const World *w, uint16_t port) {
        const HelperMessage *cut;

        for (unsigned i = 0; (cut = world_asked(w, HELPER_CUT_SOCKET, i)); i++)
                if (cut->socket.cookie[0] == port)
                        return true;
        return false;
}

static void start(World *w, const char *settings) {
        w->texts[0][0] = "a.service";
        w->texts[0][1] = settings;
        w->texts[1][0] = "b.service";
        w->texts[1][1] = "[X-Trireme]\nTriremeLabels=app=b\nTriremeConnect=app=a\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        world_attach(w, "b.service", 78);
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->listed[1] = make_unit("b.service", 78, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 2;
}

static void change(World *w, const char *settings) {
        const HelperUnit event = {};

        world_forget(w);
        w->texts[0][1] = settings;
        helper_event(w, HELPER_RELOADED, &event);
        world_settle(w);
}

static void a_change_of_rules_cuts_what_they_no_longer_allow(void **state) {
        World *w = *state;
        uint32_t b;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\nTriremeAccept=app=api\nTriremeAccept=app=b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        b = units_find(&w->m->units, "b.service")->index;
        add_socket(w, 1, SERVER | number_of(w->m->numbers, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        add_socket(w, 2, SERVER | number_of(w->m->numbers, "app=api") << CTMARK_INDEX_SHIFT, false, 0);
        add_socket(w, 3, SERVER | 4711u << CTMARK_INDEX_SHIFT, false, 0); /* nobody's number */
        add_socket(w, 4, SERVER | CLIENT, false, b);
        add_socket(w, 5, CTMARK_SERVER_STRANGER, false, 0);
        add_socket(w, 6, CLIENT | number_of(w->m->numbers, "app=a") << CTMARK_INDEX_SHIFT, true, 0); /* same-label, as the client */
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\nTriremeAccept=app=b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        assert_true(world_asked(w, HELPER_ENFORCE_UNIT, 0) < world_asked(w, HELPER_LIST_SOCKETS, 0));
        assert_string_equal(world_asked(w, HELPER_LIST_SOCKETS, 0)->list.cgroup, "/system.slice/a.service"); /* and of all that is below */
        assert_false(is_cut(w, 1));
        assert_true(is_cut(w, 2));
        assert_true(is_cut(w, 3));
        assert_false(is_cut(w, 4));
        assert_false(is_cut(w, 5));
        assert_false(is_cut(w, 6));
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n"); /* neither b nor the stranger */
        assert_false(is_cut(w, 1));
        assert_true(is_cut(w, 4));
        assert_true(is_cut(w, 5));
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\nTriremeBad=1\n"); /* denied everything */
        assert_true(is_cut(w, 1));
        assert_true(is_cut(w, 6));
}

static void a_change_of_tags_cuts_connections_with_identities_elsewhere(void **state) {
        World *w = *state;
        uint32_t b;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web|b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        b = units_find(&w->m->units, "b.service")->index;
        add_socket(w, 1, SERVER | number_of(w->m->numbers, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        add_socket(w, 2, SERVER | CLIENT, false, b);
        add_socket(w, 3, CTMARK_SERVER_STRANGER, false, 0);
        change(w, "[X-Trireme]\nTriremeLabels=app=a more=so\nTriremeAccept=app=web|b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        assert_true(is_cut(w, 1));  /* it must judge again */
        assert_false(is_cut(w, 2)); /* it has, here */
        assert_false(is_cut(w, 3)); /* it never saw a tag */
        change(w, "[X-Trireme]\nTriremeLabels=app=other\nTriremeAccept=app=web|b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        assert_true(is_cut(w, 2));  /* b connects to app=a only */
}

static void what_the_helper_could_not_list_is_judged_later(void **state) {
        World *w = *state;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n");
        add_socket(w, 1, SERVER | number_of(w->m->numbers, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        w->results[HELPER_LIST_SOCKETS] = -EIO;
        w->n_sockets = 0;
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=else\n");
        assert_non_null(world_asked(w, HELPER_LIST_SOCKETS, 0));
        assert_false(is_cut(w, 1));
        w->results[HELPER_LIST_SOCKETS] = 0;
        w->n_sockets = 1;
        world_wait(w, 1500); /* after a second */
        assert_true(is_cut(w, 1));
}

static void nothing_is_cut_where_nothing_changed(void **state) {
        static const char settings[] = "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n";
        World *w = *state;

        start(w, settings);
        add_socket(w, 1, SERVER | 4711u << CTMARK_INDEX_SHIFT, false, 0);
        change(w, settings);
        assert_null(world_asked(w, HELPER_LIST_SOCKETS, 0));
        assert_false(is_cut(w, 1));
}

/* Of a node with our key: others' numbers are revoked at a start. */
static uint32_t number_of_member(World *w, const char *labels) {
        Peer peer = make_peer(labels);
        uint32_t number;

        peer.key_id = w->m->keys->psks[0].key_id;
        number = peer_numbers_get(w->m->numbers, &peer, 1);
        tag_set_done(&peer.tags);
        return number;
}

static void restart(World *w, const char *settings) {
        world_forget(w);
        w->texts[0][1] = settings;
        for (size_t i = 0; i < w->n_listed; i++)
                w->listed[i].index = units_find(&w->m->units, w->listed[i].unit)->index;
        world_restart(w);
}

static void a_change_without_an_enforcer_cuts_when_there_is_one_again(void **state) {
        World *w = *state;
        uint32_t b;

        w->remember = true;
        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\nTriremeAccept=app=api\nTriremeAccept=app=b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        b = units_find(&w->m->units, "b.service")->index;
        add_socket(w, 1, SERVER | number_of_member(w, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        add_socket(w, 2, SERVER | number_of_member(w, "app=api") << CTMARK_INDEX_SHIFT, false, 0);
        add_socket(w, 3, SERVER | CLIENT, false, b);
        add_socket(w, 4, CTMARK_SERVER_STRANGER, false, 0);
        restart(w, w->texts[0][1]);
        assert_null(world_asked(w, HELPER_CUT_SOCKET, 0)); /* nothing was changed */
        restart(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\nTriremeAccept=app=b\n");
        assert_false(is_cut(w, 1));
        assert_true(is_cut(w, 2));
        assert_false(is_cut(w, 3));
        assert_true(is_cut(w, 4));
        restart(w, "[X-Trireme]\nTriremeLabels=app=a new=1\nTriremeAccept=app=web\nTriremeAccept=app=b\n");
        assert_true(is_cut(w, 1));  /* its node went by the old labels */
        assert_false(is_cut(w, 3)); /* b is here, and judged again */
        restart(w, "[X-Trireme]\nTriremeLabels=app=a new=1\nTriremeAccept=app=web\n");
        assert_false(is_cut(w, 1)); /* the labels are the same as last time */
        assert_true(is_cut(w, 3));
        restart(w, "[X-Trireme]\nTriremeLabels=app=a new=1\nTriremeAccept=app=web\nTriremeBad=1\n");
        assert_true(is_cut(w, 1));
}

/* Tags of processes come to be known one after the other; a rule that asks for none of them need not wait. */
static void only_a_rule_that_asks_for_what_is_not_known_yet_is_waited_for(void **state) {
        World *w = *state;
        Unit *a, *b;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b @sys:exe.sha256=00*\nTriremeAccept=app=c\n");
        a = units_find(&w->m->units, "a.service");
        b = units_find(&w->m->units, "b.service");
        add_socket(w, 1, SERVER | CLIENT, false, b->index);
        b->unsettled_until_usec = USEC_INFINITY;
        cut_start(w->m, a, CUT_CHANGED);
        world_settle(w);
        assert_false(is_cut(w, 1));
        assert_int_equal(a->cut, CUT_CHANGED); /* later */
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=c\n");
        w->n_asked = 0;
        b->unsettled_until_usec = USEC_INFINITY;
        cut_start(w->m, a, CUT_CHANGED);
        world_settle(w);
        assert_true(is_cut(w, 1));
}

/* b, which PID 1 does not tell the settings of in time, lives all the same. */
static void what_could_not_be_read_in_time_is_not_taken_for_gone(void **state) {
        World *w = *state;
        uint32_t b;

        w->remember = true;
        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b\nTriremeAcceptFrom=192.0.2.9/32 tcp/80\n");
        b = units_find(&w->m->units, "b.service")->index;
        add_socket(w, 1, SERVER | CLIENT, false, b);
        add_socket(w, 2, CTMARK_SERVER_STRANGER, false, 0);
        w->late = "b.service";
        restart(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b\n");
        assert_null(units_find(&w->m->units, "b.service"));
        assert_null(world_asked(w, HELPER_LIST_SOCKETS, 0));
        world_wait(w, 1500); /* nor is it told at the second look */
        assert_null(world_asked(w, HELPER_LIST_SOCKETS, 0));
        w->late = NULL;
        world_wait(w, 1500);
        assert_non_null(units_find(&w->m->units, "b.service"));
        assert_false(is_cut(w, 1));
        assert_true(is_cut(w, 2)); /* what was changed meanwhile cuts now */
}

static void what_is_never_read_is_not_waited_for_for_ever(void **state) {
        World *w = *state;

        w->remember = true;
        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b\n");
        add_socket(w, 1, SERVER | CLIENT, false, units_find(&w->m->units, "b.service")->index);
        w->late = "b.service";
        restart(w, w->texts[0][1]);
        assert_true(w->m->cut_waits);
        assert_in_range(w->m->cut_wait_until_usec, clock_boottime_usec(), clock_boottime_usec() + 60 * USEC_PER_SEC);
        w->m->cut_wait_until_usec = 1;
        world_wait(w, 1500);
        assert_false(w->m->cut_waits);
        assert_true(is_cut(w, 1));
}

/* Who a unit is comes after what it is set to, and may come late, too; what was known of one that lives stands until then. */
static void no_answer_about_a_process_is_no_news(void **state) {
        World *w = *state;

        w->remember = true;
        w->selinux = "domain_a";
        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b @sys:selinux=domain_a\n");
        add_socket(w, 1, SERVER | CLIENT, false, units_find(&w->m->units, "b.service")->index);
        w->results[HELPER_GET_IDENTITY] = -ETIMEDOUT;
        change(w, w->texts[0][1]);
        assert_true(tag_set_has(&units_find(&w->m->units, "b.service")->policy->tags, "@sys:selinux", "domain_a"));
        assert_false(is_cut(w, 1));
        restart(w, w->texts[0][1]);
        assert_false(tag_set_has(&units_find(&w->m->units, "b.service")->policy->tags, "@sys:selinux", "domain_a"));
        world_wait(w, 200);
        assert_false(is_cut(w, 1));
        w->selinux = "domain_b";
        w->results[HELPER_GET_IDENTITY] = 0;
        world_wait(w, 1000);
        assert_true(is_cut(w, 1));
}

static void policies_with_faults_at_a_start_cut_nothing_that_lives(void **state) {
        static const char settings[] = "[X-Trireme]\nTriremeLabels=app=a\nTriremePolicy=P\n";
        World *w = *state;

        w->remember = true;
        w->policy = "{ \"P\": { \"ExposureRules\": [{\"Clause\": [{\"Key\": \"app\", \"Operator\": \"*\"}], \"Policy\": {\"Action\": 1}}] } }";
        start(w, settings);
        add_socket(w, 1, SERVER | number_of_member(w, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        w->policy = "{ \"P\": {}, }";
        world_write_policy(w);
        restart(w, settings);
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_DENIED);
        assert_false(is_cut(w, 1));
        w->policy = "{ \"P\": {} }";
        world_write_policy(w);
        restart(w, settings);
        assert_true(is_cut(w, 1));
}

static void nothing_is_cut_while_disarmed_and_all_is_judged_after_it(void **state) {
        HelperState event = { .header.type = HELPER_STATE, .disarmed_until_usec = USEC_INFINITY };
        World *w = *state;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=web\n");
        add_socket(w, 1, SERVER | number_of(w->m->numbers, "app=web") << CTMARK_INDEX_SHIFT, false, 0);
        helper_send(w, &event, sizeof(event), 0, -1);
        world_settle(w);
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=api\n");
        assert_false(is_cut(w, 1));
        event.disarmed_until_usec = 0;
        helper_send(w, &event, sizeof(event), 0, -1);
        world_settle(w);
        assert_true(is_cut(w, 1));
}

/* A handshake that was decided before the change ends after it. */
static void a_late_record_of_what_is_no_longer_allowed_cuts_its_connection(void **state) {
        DatapathFlows flows = { .header.type = DATAPATH_FLOWS, .n_flows = 1 };
        const size_t size = offsetof(DatapathFlows, flows) + sizeof(DatapathFlow);
        const HelperMessage *cut;
        World *w = *state;
        HelperUnit b;

        start(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b\n");
        flows.flows[0] = (DatapathFlow) {
                .unit = units_find(&w->m->units, "a.service")->index, .peer_unit = units_find(&w->m->units, "b.service")->index,
                .verdict = DATAPATH_FLOW_ACCEPT, .direction = DATAPATH_ACCEPT, .family = AF_INET, .protocol = IPPROTO_TCP, .sport = 1000, .dport = 80,
                .saddr.s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 }, .daddr.s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 2 },
        };
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=b|c\n");
        assert_int_equal(send(w->datapath, &flows, size, 0), size);
        world_settle(w);
        assert_null(world_asked(w, HELPER_CUT_FLOW, 0)); /* still allowed */
        w->n_busy = UINT_MAX; /* b ends, and something of it lives on */
        b = make_unit("b.service", 78, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);
        helper_event(w, HELPER_UNIT, &b);
        world_settle(w);
        assert_true(units_find_index(&w->m->units, flows.flows[0].peer_unit)->remnant);
        assert_int_equal(send(w->datapath, &flows, size, 0), size);
        world_settle(w);
        assert_null(world_asked(w, HELPER_CUT_FLOW, 0));
        world_attach(w, "b.service", 78);
        change(w, "[X-Trireme]\nTriremeLabels=app=a\nTriremeAccept=app=c\n");
        assert_int_equal(send(w->datapath, &flows, size, 0), size);
        world_settle(w);
        cut = world_asked(w, HELPER_CUT_FLOW, 0);
        assert_non_null(cut);
        assert_int_equal(cut->socket.sport, 80);
        assert_int_equal(cut->socket.dport, 1000);
        assert_int_equal(cut->socket.saddr.s6_addr[3], 2);
        world_forget(w);
        flows.flows[0].peer_unit = 4711; /* has ended: so has the connection */
        assert_int_equal(send(w->datapath, &flows, size, 0), size);
        world_settle(w);
        assert_null(world_asked(w, HELPER_CUT_FLOW, 0));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(equal_peers_have_one_number_and_others_another),
                cmocka_unit_test(numbers_are_known_again_and_a_torn_record_is_cut_off),
                cmocka_unit_test(a_revoked_number_is_none_until_its_peer_is_verified_again),
                TEST(a_change_of_rules_cuts_what_they_no_longer_allow),
                TEST(a_change_of_tags_cuts_connections_with_identities_elsewhere),
                TEST(what_the_helper_could_not_list_is_judged_later),
                TEST(nothing_is_cut_where_nothing_changed),
                TEST(a_change_without_an_enforcer_cuts_when_there_is_one_again),
                TEST(only_a_rule_that_asks_for_what_is_not_known_yet_is_waited_for),
                TEST(what_could_not_be_read_in_time_is_not_taken_for_gone),
                TEST(what_is_never_read_is_not_waited_for_for_ever),
                TEST(no_answer_about_a_process_is_no_news),
                TEST(policies_with_faults_at_a_start_cut_nothing_that_lives),
                TEST(nothing_is_cut_while_disarmed_and_all_is_judged_after_it),
                TEST(a_late_record_of_what_is_no_longer_allowed_cuts_its_connection),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
