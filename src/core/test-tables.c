/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the machine remembers, each by itself: bounds, order, expiry. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "core/pending.h"
#include "core/table.h"
#include "core/test-hosts.h"
#include "core/waiting.h"

static const uint8_t seed[SIPHASH_KEY_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void siphash_agrees_with_its_authors(void **state) {
        uint8_t input[15]; /* the example of the paper's appendix A */

        for (uint8_t i = 0; i < sizeof(input); i++)
                input[i] = i;
        assert_int_equal(siphash24(input, sizeof(input), seed), 0xa129ca6149be45e5);
}

static void a_table_keeps_its_bound_its_order_and_its_places(void **state) {
        _cleanup_(table_freep) Table *t = NULL;
        uint32_t *values[8], *again;

        assert_int_equal(table_new(8, sizeof(uint32_t), sizeof(uint32_t), seed, &t), 0);
        assert_null(table_first(t));
        for (uint32_t round = 0; round < 3; round++) {
                for (uint32_t i = 0; i < 8; i++) {
                        values[i] = table_add(t, &i);
                        assert_non_null(values[i]);
                        assert_int_equal(*values[i], 0);
                        *values[i] = 100 + i;
                }
                assert_null(table_add(t, &(uint32_t) { 8 }));
                assert_int_equal(table_count(t), 8);
                table_touch(t, values[0]);
                assert_ptr_equal(table_first(t), values[1]);
                assert_ptr_equal(table_next(t, values[7]), values[0]);
                assert_null(table_next(t, values[0]));
                assert_int_equal(*(const uint32_t *) table_key(t, values[5]), 5);
                table_remove(t, values[3]);
                assert_null(table_get(t, &(uint32_t) { 3 }));
                assert_ptr_equal(table_next(t, values[2]), values[4]);
                again = table_get(t, &(uint32_t) { 4 });
                assert_ptr_equal(again, values[4]);
                assert_int_equal(*again, 104);
                while ((again = table_first(t)))
                        table_remove(t, again);
                assert_int_equal(table_count(t), 0);
        }
}

static QueueMsg message_of(uint32_t id, const uint8_t *payload, size_t len) {
        return (QueueMsg) { .id = id, .queue = 1, .hook = QUEUE_HOOK_INPUT, .payload = payload, .payload_len = len };
}

static void packets_with_one_question_wait_together_and_in_order(void **state) {
        static const uint8_t payload[] = "packet";
        _cleanup_(pending_set_freep) PendingSet *s = NULL;
        DatapathResolve q = { .direction = DATAPATH_LOCAL, .unit = 1, .client = 2, .port = 80 };
        uint32_t first, second, other;
        PendingPacket p;

        assert_int_equal(pending_set_new(&s), 0);
        assert_int_equal(pending_set_any(s), 0);
        assert_int_equal(pending_set_add(s, &q, NULL, &(QueueMsg) { .id = 1, .payload = payload, .payload_len = sizeof(payload) }, 1000, &first), 1);
        for (uint32_t id = 2; id < 5; id++) {
                const QueueMsg m = message_of(id, payload, sizeof(payload));

                assert_int_equal(pending_set_add(s, &q, NULL, &m, 1000, &second), 0);
                assert_int_equal(second, first);
        }
        q.port = 81;
        assert_int_equal(pending_set_add(s, &q, NULL, &(QueueMsg) { .id = 9, .payload = payload, .payload_len = sizeof(payload) }, 2000, &other), 1);
        assert_int_not_equal(other, first);
        assert_int_equal(pending_set_question(s, first)->port, 80);
        assert_int_equal(pending_set_question(s, first)->header.serial, first);
        assert_int_equal(pending_set_expired(s, 1000 + PENDING_USEC - 1), 0);
        assert_int_equal(pending_set_expired(s, 1000 + PENDING_USEC), first);
        for (uint32_t id = 1; id < 5; id++) {
                assert_int_equal(pending_set_take(s, first, &p), 1);
                assert_int_equal(p.msg.id, id);
                assert_memory_equal(p.msg.payload, payload, sizeof(payload));
        }
        assert_int_equal(pending_set_take(s, first, &p), 0);
        assert_null(pending_set_question(s, first));
        assert_int_equal(pending_set_count(s), 1);
        assert_int_equal(pending_set_take(s, 12345, &p), 0);
}

static void what_waits_is_bounded_and_leaves_room_for_the_known(void **state) {
        static const uint8_t large[PENDING_PACKET_SIZE + 1];
        _cleanup_(pending_set_freep) PendingSet *s = NULL;
        QueueMsg m = message_of(1, large, 100);
        DatapathResolve q = { .direction = DATAPATH_ACCEPT };
        struct in6_addr source = { .s6_addr = { [10] = 0xff, [11] = 0xff, 192, 0, 2 } };
        uint32_t serial, n_known = 0, n_unknown = 0;
        PendingPacket p;
        int r;

        assert_int_equal(pending_set_new(&s), 0);
        for (q.unit = 0; pending_set_add(s, &q, &source, &m, 0, &serial) == 1; q.unit++)
                source.s6_addr[15] = (uint8_t) (++n_unknown / PENDING_SOURCE_MAX);
        assert_int_equal(n_unknown, PENDING_UNKNOWN_MAX);
        for (; pending_set_add(s, &q, NULL, &m, 0, &serial) == 1; q.unit++)
                n_known++;
        assert_int_equal(n_known, PENDING_QUESTIONS_MAX - PENDING_UNKNOWN_MAX);
        q.unit = 0;
        while ((r = pending_set_add(s, &q, &source, &m, 0, &serial)) == 0)
                n_known++;
        assert_int_equal(r, -ENOBUFS);
        assert_int_equal(n_known + n_unknown, PENDING_PACKETS_MAX);
        m = message_of(1, large, sizeof(large));
        assert_int_equal(pending_set_add(s, &q, NULL, &m, 0, &serial), -EMSGSIZE);
        while ((serial = pending_set_any(s)) != 0)
                while (pending_set_take(s, serial, &p))
                        n_known--;
        assert_int_equal(n_known + n_unknown, 0);
        assert_int_equal(pending_set_count(s), 0);
}

static void one_source_leaves_room_for_others(void **state) {
        static const uint8_t payload[100];
        static const struct { struct in6_addr first, second; bool same; } rows[] = {
                { { .s6_addr = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 } }, { .s6_addr = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 2 } }, false },
                { { .s6_addr = { 0x20, 1, 0xd, 0xb8, [15] = 1 } }, { .s6_addr = { 0x20, 1, 0xd, 0xb8, [8] = 7 } }, true },
                { { .s6_addr = { 0x20, 1, 0xd, 0xb8, [15] = 1 } }, { .s6_addr = { 0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 1 } }, false },
        };
        const QueueMsg m = message_of(1, payload, sizeof(payload));
        uint32_t serial;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(pending_set_freep) PendingSet *s = NULL;
                DatapathResolve q = { .direction = DATAPATH_ACCEPT };
                int r;

                assert_int_equal(pending_set_new(&s), 0);
                for (q.unit = 0; pending_set_add(s, &q, &rows[i].first, &m, 0, &serial) == 1;)
                        q.unit++;
                assert_int_equal(q.unit, PENDING_SOURCE_MAX);
                r = pending_set_add(s, &q, &rows[i].second, &m, 0, &serial);
                assert_int_equal(r, rows[i].same ? -ENOBUFS : 1);
                q.unit = 5; /* asked already: it waits with the others */
                assert_int_equal(pending_set_add(s, &q, &rows[i].first, &m, 0, &serial), 0);
        }
}

static DatapathResolved answer_make(usec_t expires, bool port_dependent) {
        return (DatapathResolved) { .verified = 1, .port_dependent = port_dependent, .decision.allow = 1, .expires_usec = expires };
}

static void decisions_hold_for_their_port_and_their_time_and_are_forgotten_by_unit(void **state) {
        _cleanup_(peer_cache_freep) PeerCache *c = NULL;
        const DatapathResolve q = { .direction = DATAPATH_LOCAL, .unit = 1, .client = 2, .port = 80 }, other = { .direction = DATAPATH_LOCAL, .unit = 3, .client = 4, .port = 80 };
        const DatapathResolved one_port = answer_make(500, true), any_port = answer_make(500, false), refused = { .expires_usec = 500 };
        JudgementKey key = { .direction = DATAPATH_LOCAL, .unit = 1, .client = 2, .port = 80 };

        assert_int_equal(peer_cache_new(seed, &c), 0);
        assert_int_equal(peer_cache_learn(c, &q, &refused, 100), 0);
        assert_null(peer_cache_judgement(c, &key, 100)); /* what did not verify is not kept */
        assert_int_equal(peer_cache_learn(c, &q, &one_port, 100), 0);
        assert_non_null(peer_cache_judgement(c, &key, 499));
        assert_null(peer_cache_judgement(c, &key, 500));
        key.port = 81;
        assert_null(peer_cache_judgement(c, &key, 100));
        assert_int_equal(peer_cache_learn(c, &q, &any_port, 100), 0);
        assert_non_null(peer_cache_judgement(c, &key, 100));
        assert_int_equal(peer_cache_learn(c, &other, &any_port, 100), 0);
        peer_cache_forget(c, DATAPATH_FORGET_DECISIONS, 2);
        assert_null(peer_cache_judgement(c, &key, 100));
        key.unit = 3;
        key.client = 4;
        assert_non_null(peer_cache_judgement(c, &key, 100));
        peer_cache_forget(c, DATAPATH_FORGET_KEYS, 0);
        assert_null(peer_cache_judgement(c, &key, 100));
}

static void an_answer_about_another_token_is_refused(void **state) {
        _cleanup_(peer_cache_freep) PeerCache *c = NULL;
        const DatapathResolve q = { .direction = DATAPATH_ACCEPT, .unit = 1, .token_len = 3, .token = { 1, 2, 3 } };
        const DatapathResolved a = answer_make(500, false); /* token_hash is zero */

        assert_int_equal(peer_cache_new(seed, &c), 0);
        assert_int_equal(peer_cache_learn(c, &q, &a, 100), -EINVAL);
}

static void units_not_named_by_a_new_enforcer_are_gone_at_the_end(void **state) {
        _cleanup_(unit_table_freep) UnitTable *t = NULL;
        DatapathUnit u = { .index = 1, .cgroup_id = 11, .token_len = 2 };

        assert_int_equal(unit_table_new(&t), 0);
        assert_int_equal(unit_table_set(t, &u), 0);
        u.index = UNIT_INDEX_MAX;
        u.cgroup_id = 22;
        assert_int_equal(unit_table_set(t, &u), 0);
        unit_table_begin(t);
        assert_int_equal(unit_table_set(t, &u), 0);
        assert_int_equal(unit_table_find_cgroup(t, 11)->index, 1);
        assert_false(unit_table_is_complete(t));
        unit_table_end(t);
        assert_true(unit_table_is_complete(t));
        assert_null(unit_table_find_cgroup(t, 11));
        assert_null(unit_table_get(t, 1));
        assert_int_equal(unit_table_find_cgroup(t, 22)->index, UNIT_INDEX_MAX);
        u.token_len = DATAPATH_TOKEN_MAX + 1;
        assert_int_equal(unit_table_set(t, &u), -EINVAL);
        u = (DatapathUnit) { .index = UNIT_INDEX_MAX + 1 };
        assert_int_equal(unit_table_set(t, &u), -EINVAL);
        assert_null(unit_table_get(t, UNIT_INDEX_MAX + 1));
}

static void what_came_too_early_waits_for_its_own_event_bounded_and_not_for_long(void **state) {
        static const uint8_t payload[] = "packet", large[PENDING_PACKET_SIZE + 1];
        const WaitKey unit = { .unit = 5 }, flow = { .flow.client_port = 1, .flow.role = FLOW_SERVER };
        _cleanup_(wait_set_freep) WaitSet *s = NULL;
        QueueMsg m = message_of(1, large, sizeof(large));
        PendingPacket p;
        uint32_t n = 0;

        assert_int_equal(wait_set_new(&s), 0);
        assert_int_equal(wait_set_next_usec(s), USEC_INFINITY);
        assert_false(wait_set_add(s, &unit, &m, 1000));
        for (uint32_t id = 1; id <= 4; id++) {
                m = message_of(id, payload, sizeof(payload));
                assert_true(wait_set_add(s, id % 2 ? &unit : &flow, &m, 1000));
        }
        assert_int_equal(wait_set_next_usec(s), 1000 + WAIT_PROOF_USEC);
        for (uint32_t id = 1; id <= 3; id += 2) {
                assert_true(wait_set_take(s, &unit, &p));
                assert_int_equal(p.msg.id, id);
                assert_memory_equal(p.msg.payload, payload, sizeof(payload));
        }
        assert_false(wait_set_take(s, &unit, &p));
        assert_false(wait_set_take_expired(s, 1000 + WAIT_PROOF_USEC - 1, &p));
        assert_true(wait_set_take_expired(s, 1000 + WAIT_PROOF_USEC, &p));
        assert_int_equal(p.msg.id, 2);
        assert_true(wait_set_take(s, &flow, &p));
        assert_int_equal(p.msg.id, 4);
        for (WaitKey key = unit; n < WAIT_PACKETS_MAX; key.unit++)
                for (uint32_t i = 0; i <= WAIT_UNIT_MAX; i++) {
                        assert_int_equal(wait_set_add(s, &key, &m, 0), i < WAIT_UNIT_MAX && n < WAIT_PACKETS_MAX);
                        n += i < WAIT_UNIT_MAX && n < WAIT_PACKETS_MAX;
                }
        assert_false(wait_set_add(s, &flow, &m, 0));
        while (wait_set_take_expired(s, WAIT_UNIT_USEC, &p))
                n--;
        assert_int_equal(n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(siphash_agrees_with_its_authors),
                cmocka_unit_test(a_table_keeps_its_bound_its_order_and_its_places),
                cmocka_unit_test(packets_with_one_question_wait_together_and_in_order),
                cmocka_unit_test(what_waits_is_bounded_and_leaves_room_for_the_known),
                cmocka_unit_test(one_source_leaves_room_for_others),
                cmocka_unit_test(decisions_hold_for_their_port_and_their_time_and_are_forgotten_by_unit),
                cmocka_unit_test(an_answer_about_another_token_is_refused),
                cmocka_unit_test(units_not_named_by_a_new_enforcer_are_gone_at_the_end),
                cmocka_unit_test(what_came_too_early_waits_for_its_own_event_bounded_and_not_for_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
