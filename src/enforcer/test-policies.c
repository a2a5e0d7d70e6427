/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named policies in a running enforcer: which rules and access lists are in force, and what a change of the files does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "enforcer/decide.h"
#include "enforcer/test-world.h"
#include "ipc/marks.h"

#define RULE(value, action) "{\"Clause\": [{\"Key\": \"app\", \"Operator\": \"=\", \"Value\": [\"" value "\"]}], \"Policy\": {\"Action\": " action "}}"
#define ACL(address, action) "{\"Address\": \"" address "\", \"Port\": \"80\", \"Protocol\": \"tcp\", \"Policy\": {\"Action\": " action "}}"
#define WEB "{ \"Web\": { \"ExposureRules\": [" RULE("web", "1") ", " RULE("evil", "2") "],\n" \
            "\"NetworkACLs\": [" ACL("192.0.2.0/24", "1") ", " ACL("192.0.2.7", "2") "] } }"
#define API "{ \"Web\": { \"ExposureRules\": [" RULE("api", "1") "] } }"

static Unit *start(World *w, const char *settings) {
        w->texts[0][0] = "a.service";
        w->texts[0][1] = settings;
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        return units_find(&w->m->units, "a.service");
}

static Decision judge(const Unit *u, const char *labels) {
        const char *fault;
        TagSet tags = {};
        Decision d;

        assert_int_equal(tag_set_from_string(labels, &tags, &fault), 0);
        decide_peer(u, false, &(PeerTags) { &tags, TAG_FAMILIES_ALL }, IPPROTO_TCP, 80, &d);
        tag_set_done(&tags);
        return d;
}

static void a_named_policy_decides_instead_of_the_default(void **state) {
        World *w = *state;
        Decision d;
        Unit *u;

        w->policy = WEB;
        u = start(w, "[X-Trireme]\nTriremeLabels=app=api\nTriremePolicy=Web\n");
        assert_int_equal(u->state, UNIT_ENFORCING);
        d = judge(u, "app=web");
        assert_true(d.allow);
        assert_non_null(strstr(d.rule, "p.json: Web.ExposureRules[0]"));
        assert_false(judge(u, "app=web app=evil").allow);
        assert_false(judge(u, "app=api").allow); /* no same-label beside it */
        assert_int_equal(world_asked(w, HELPER_ACL_ADD, 0)->acl.action, 1);
        assert_int_equal(world_asked(w, HELPER_ACL_ADD, 0)->acl.prefix_len, 32);
        assert_int_equal(world_asked(w, HELPER_ACL_ADD, 1)->acl.action, 0);
        assert_null(world_asked(w, HELPER_ACL_ADD, 2));
}

static void rules_of_a_drop_in_replace_accepts_and_keep_rejects(void **state) {
        World *w = *state;
        Unit *u;

        w->policy = WEB;
        u = start(w, "[X-Trireme]\nTriremePolicy=Web\nTriremeAccept=app=db\nTriremeAcceptFrom=\nTriremeAcceptFrom=198.51.100.0/24 tcp/80\n");
        assert_true(judge(u, "app=db").allow);
        assert_false(judge(u, "app=web").allow);
        assert_false(judge(u, "app=db app=evil").allow);
        assert_int_equal(u->policy->accept_from.n_entries, 2);
        assert_true(u->policy->accept_from.entries[0].reject);
        assert_int_equal(u->policy->accept_from.entries[1].network.address.s6_addr[0], 198);
}

static void an_unknown_policy_denies_the_unit_and_says_so(void **state) {
        World *w = *state;
        Unit *u = start(w, "[X-Trireme]\nTriremeLabels=app=web\nTriremePolicy=Web\n");

        assert_int_equal(u->state, UNIT_DENIED);
        assert_int_equal(u->reason, REASON_BAD_SETTINGS);
        assert_non_null(strstr(u->reason_text, "TriremePolicy=Web"));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
}

static void several_faults_of_a_unit_are_one_line(void **state) {
        World *w = *state;
        Unit *u = start(w, "[X-Trireme]\nTriremeLabels=a\nTriremeMode=maybe\nTriremeColour=red\n");

        assert_int_equal(u->reason, REASON_BAD_SETTINGS);
        assert_null(strchr(u->reason_text, '\n'));
        assert_non_null(strstr(u->reason_text, ":2: TriremeLabels=: "));
        assert_non_null(strstr(u->reason_text, ":3: TriremeMode=: "));
        assert_non_null(strstr(u->reason_text, "; "));
        assert_non_null(strstr(u->reason_text, ":4: TriremeColour=: "));
}

static void a_section_that_was_meant_denies_the_unit_too(void **state) {
        static const char *const texts[] = { "[x-trireme]\nTriremeLabels=app=web\n", "[Trireme]\nTriremeLabels=app=web\n", "[Service]\nTriremeLabels=app=web\n" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                HelperUnit u = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);

                w->texts[0][0] = "a.service";
                w->texts[0][1] = texts[i];
                if (i == 0)
                        world_start(w, WORLD_PSK);
                world_attach(w, "a.service", 77);
                helper_event(w, HELPER_UNIT, &u);
                world_settle(w);
                assert_non_null(units_find(&w->m->units, "a.service"));
                assert_int_equal(units_find(&w->m->units, "a.service")->reason, REASON_BAD_SETTINGS);
        }
}

static void a_faulty_file_at_the_start_denies_those_who_name_a_policy(void **state) {
        World *w = *state;
        Unit *u;

        w->policy = "{ \"Web\": {}, }";
        u = start(w, "[X-Trireme]\nTriremePolicy=Web\n");
        assert_int_equal(u->state, UNIT_DENIED);
        assert_non_null(strstr(u->reason_text, "have faults"));
        assert_non_null(strstr(w->m->policies_fault, "p.json:1:"));
}

static void a_reload_swaps_all_policies_or_none(void **state) {
        _cleanup_free_ char *text = NULL, *none = NULL;
        World *w = *state;
        Unit *u;

        w->policy = WEB;
        u = start(w, "[X-Trireme]\nTriremePolicy=Web\n");
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        w->policy = API ",";
        world_write_policy(w);
        assert_int_equal(manager_reload(w->m, &text), -EINVAL);
        assert_non_null(strstr(text, "p.json:1:"));
        world_settle(w);
        assert_true(judge(u, "app=web").allow);
        w->policy = API;
        world_write_policy(w);
        assert_int_equal(manager_reload(w->m, &none), 0);
        world_settle(w);
        assert_null(w->m->policies_fault);
        assert_false(judge(u, "app=web").allow);
        assert_true(judge(u, "app=api").allow);
}

static void a_daemon_reload_reads_the_policies_too(void **state) {
        const HelperUnit event = {};
        World *w = *state;
        Unit *u;

        w->policy = WEB;
        u = start(w, "[X-Trireme]\nTriremePolicy=Web\n");
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        w->policy = API;
        world_write_policy(w);
        helper_event(w, HELPER_RELOADED, &event);
        world_settle(w);
        assert_true(judge(u, "app=api").allow);
        assert_false(judge(u, "app=web").allow);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                TEST(a_named_policy_decides_instead_of_the_default),
                TEST(rules_of_a_drop_in_replace_accepts_and_keep_rejects),
                TEST(an_unknown_policy_denies_the_unit_and_says_so),
                TEST(several_faults_of_a_unit_are_one_line),
                TEST(a_section_that_was_meant_denies_the_unit_too),
                TEST(a_faulty_file_at_the_start_denies_those_who_name_a_policy),
                TEST(a_reload_swaps_all_policies_or_none),
                TEST(a_daemon_reload_reads_the_policies_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
