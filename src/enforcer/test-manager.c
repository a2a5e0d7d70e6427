/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of helper and datapath, in which order, and what follows from their answers. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "enforcer/helper-client.h"
#include "enforcer/test-world.h"
#include "ipc/marks.h"

static void an_attached_unit_is_enforced_and_only_then_let_go(void **state) {
        World *w = *state;
        const HelperMessage *enforce, *done;
        const DatapathMessage *unit;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        enforce = world_asked(w, HELPER_ENFORCE_UNIT, 0);
        done = world_asked(w, HELPER_ATTACH_DONE, 0);
        unit = world_told(w, DATAPATH_UNIT, 0);
        assert_non_null(enforce);
        assert_non_null(done);
        assert_non_null(unit);
        assert_true(enforce < done);
        assert_int_equal(enforce->unit.cgroup_id, 77);
        assert_int_equal(enforce->unit.flags, 0);
        assert_int_equal(enforce->unit.profile, 0);
        assert_int_equal(unit->unit.index, enforce->unit.index);
        assert_int_equal(unit->unit.cgroup_id, 77);
        assert_true(unit->unit.token_len > TOKEN_FIXED_SIZE);
        assert_string_equal(done->unit.unit, "a.service");
        assert_int_equal(done->unit.result, 0);
        assert_null(world_asked(w, HELPER_CLOSE_UNIT, 0)); /* the attach had closed it */
        assert_null(world_asked(w, HELPER_RECORD, 0));
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_ENFORCING);
}

static void a_local_question_is_answered_and_the_kernel_is_told(void **state) {
        DatapathResolve q = { .header = { DATAPATH_RESOLVE, 9 }, .direction = DATAPATH_LOCAL, .port = 80 };
        const DatapathMessage *answer;
        const HelperMessage *local;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->texts[1][0] = "b.service";
        w->texts[1][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 1);
        world_attach(w, "b.service", 2);
        q.unit = units_find(&w->m->units, "a.service")->index;
        q.client = units_find(&w->m->units, "b.service")->index;
        world_forget(w);
        assert_int_equal(send(w->datapath, &q, sizeof(q), 0), sizeof(q));
        world_settle(w);
        answer = world_told(w, DATAPATH_RESOLVED, 0);
        assert_non_null(answer);
        assert_int_equal(answer->header.serial, 9);
        assert_int_equal(answer->resolved.decision.allow, 1);
        assert_int_equal(answer->resolved.client.allow, 1);
        local = world_asked(w, HELPER_LOCAL_ACCEPT, 0);
        assert_non_null(local);
        assert_int_equal(local->local.client, q.client);
        assert_int_equal(local->local.server, q.unit);
        assert_int_equal(local->local.port, 0);
}

static void a_unit_with_bad_settings_starts_but_is_denied_everything_and_says_why(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        const HelperMessage *enforce, *record;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeNonsense=1\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        enforce = world_asked(w, HELPER_ENFORCE_UNIT, 0);
        assert_non_null(enforce);
        assert_int_equal(enforce->unit.flags, REQUEST_UNIT_CLOSED);
        assert_int_equal(world_asked(w, HELPER_ATTACH_DONE, 0)->unit.result, 0);
        assert_int_equal(world_told(w, DATAPATH_UNIT, 0)->unit.token_len, 0);
        assert_null(world_asked(w, HELPER_RECORD, 0)); /* systemctl status shows what comes after the start */
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        record = world_asked(w, HELPER_RECORD, 0);
        assert_non_null(record);
        assert_int_equal(record->record.kind, HELPER_RECORD_SETTINGS);
        assert_string_equal(record->record.unit, "a.service");
        assert_string_equal(record->record.reason, "bad-settings");
        assert_non_null(strstr(record->record.text, "a.service.d/t.conf:3"));
}

static void without_a_key_every_unit_is_denied_with_that_reason(void **state) {
        const Unit *u;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, "BADPASS\n");
        world_attach(w, "a.service", 77);
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        u = units_find(&w->m->units, "a.service");
        assert_int_equal(u->state, UNIT_DENIED);
        assert_non_null(strstr(u->reason_text, "trireme.psk"));
}

static void a_unit_that_is_not_labelled_is_let_go(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[Service]\nExecStart=/bin/true\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.cgroup_id, 77);
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.flags, HELPER_RELEASE_UNLABELLED);
        assert_true(world_asked(w, HELPER_RELEASE_UNIT, 0) < world_asked(w, HELPER_ATTACH_DONE, 0));
        assert_null(world_asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_unit_that_cannot_be_enforced_does_not_start(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->results[HELPER_ENFORCE_UNIT] = -EIO;
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        assert_int_equal(world_asked(w, HELPER_ATTACH_DONE, 0)->unit.result, -EIO);
        assert_non_null(strstr(world_asked(w, HELPER_ATTACH_DONE, 0)->unit.reason, "rules"));
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_DENIED);
}

static HelperSocket make_socket(uint8_t state, uint16_t sport, uint8_t last, uint16_t dport) {
        return (HelperSocket) {
                .cgroup_id = 77, .family = AF_INET, .protocol = IPPROTO_TCP, .state = state, .sport = sport, .dport = dport,
                .saddr.s6_addr = { 192, 0, 2, 1 }, .daddr.s6_addr = { 192, 0, 2, last }, .cookie = { sport, dport },
        };
}

static void a_unit_found_running_is_closed_then_enforced_and_its_strangers_are_cut(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeAcceptFrom=192.0.2.7/32 tcp/80\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, 0);
        w->n_listed = 1;
        w->sockets[0] = make_socket(TCP_LISTEN, 80, 0, 0);
        w->sockets[1] = make_socket(TCP_ESTABLISHED, 80, 7, 4000); /* allowed by the ACL */
        w->sockets[2] = make_socket(TCP_ESTABLISHED, 80, 8, 4001); /* not */
        w->sockets[3] = make_socket(TCP_ESTABLISHED, 4002, 7, 80); /* outgoing: another list, which is empty */
        w->n_sockets = 4;
        world_start(w, WORLD_PSK);
        assert_non_null(world_asked(w, HELPER_CLOSE_UNIT, 0));
        assert_true(world_asked(w, HELPER_CLOSE_UNIT, 0) < world_asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_true(world_asked(w, HELPER_ACL_ADD, 0) < world_asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.profile, world_asked(w, HELPER_ACL_ADD, 0)->acl.profile);
        assert_int_equal(world_asked(w, HELPER_CUT_SOCKET, 0)->socket.dport, 4001);
        assert_int_equal(world_asked(w, HELPER_CUT_SOCKET, 1)->socket.sport, 4002);
        for (unsigned i = 2; world_asked(w, HELPER_CUT_SOCKET, i); i++) /* once more when all units are known */
                assert_true(world_asked(w, HELPER_CUT_SOCKET, i)->socket.dport == 4001 || world_asked(w, HELPER_CUT_SOCKET, i)->socket.sport == 4002);
}

static void a_unit_whose_settings_could_not_be_read_is_looked_at_again(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, 0);
        w->n_listed = 1;
        w->results[HELPER_OPEN_UNIT_FILES] = -ETIMEDOUT;
        world_start(w, WORLD_PSK);
        assert_non_null(world_asked(w, HELPER_OPEN_UNIT_FILES, 0));
        assert_null(world_asked(w, HELPER_ENFORCE_UNIT, 0));
        w->results[HELPER_OPEN_UNIT_FILES] = 0;
        world_wait(w, 1500);
        assert_non_null(world_asked(w, HELPER_ENFORCE_UNIT, 0));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.cgroup_id, 77);
}

static void lists_of_units_that_overlap_end_no_unit(void **state) {
        World *w = *state;
        HelperMessage q;
        HelperReply reply = { .header.type = HELPER_REPLY };

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->listed[0].header.type = HELPER_UNIT;
        w->n_listed = 1;
        world_forget(w);
        helper_list_units(w->m);
        assert_true(recv(w->helper, &q, sizeof(q), 0) > 0);
        assert_int_equal(q.header.type, HELPER_LIST_UNITS);
        helper_send(w, &w->listed[0], sizeof(w->listed[0]), q.header.serial, -1);
        while (sd_event_run(w->m->event, 2000) > 0)
                ;
        helper_list_units(w->m);
        helper_send(w, &reply, sizeof(reply), q.header.serial, -1);
        world_settle(w);
        assert_non_null(world_asked(w, HELPER_LIST_UNITS, 0)); /* the second is not forgotten */
        assert_null(world_asked(w, HELPER_CLOSE_UNIT, 0));
        assert_null(world_asked(w, HELPER_RELEASE_UNIT, 0));
        assert_non_null(units_find(&w->m->units, "a.service"));
}

static void an_attached_unit_keeps_its_index_over_a_restart_of_the_enforcer(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->listed[0].index = 4711;
        w->n_listed = 1;
        world_start(w, WORLD_PSK);
        assert_null(world_asked(w, HELPER_CLOSE_UNIT, 0));
        assert_true(world_asked(w, HELPER_ENFORCE_UNIT, 0) < world_asked(w, HELPER_LIST_SOCKETS, 0));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.index, 4711);
}

static void a_profile_number_that_another_unit_uses_is_not_added_to(void **state) {
        const HelperMessage *first, *second;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeConnectTo=0.0.0.0/0 udp/53\n";
        world_start(w, WORLD_PSK);
        w->n_busy = 1;
        world_attach(w, "a.service", 77);
        first = world_asked(w, HELPER_PROFILE_REMOVE, 0);
        second = world_asked(w, HELPER_PROFILE_REMOVE, 1);
        assert_non_null(second);
        assert_int_not_equal(first->acl.profile, second->acl.profile);
        assert_int_equal(world_asked(w, HELPER_ACL_ADD, 0)->acl.profile, second->acl.profile);
        assert_int_equal(world_asked(w, HELPER_ACL_ADD, 0)->acl.protocol, IPPROTO_UDP);
        assert_null(world_asked(w, HELPER_ACL_ADD, 1));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.profile, second->acl.profile);
        assert_true(world_asked(w, HELPER_ACL_ADD, 0) < world_asked(w, HELPER_ENFORCE_UNIT, 0));
}

static void an_access_list_that_the_kernel_refuses_closes_its_unit(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\nTriremeAcceptFrom=192.0.2.0/24 tcp/80\n";
        w->results[HELPER_ACL_ADD] = -ENOSPC;
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_DENIED);
        assert_int_equal(w->asked[w->n_asked - 1].header.type == HELPER_ENFORCE_UNIT || world_asked(w, HELPER_ENFORCE_UNIT, 1) != NULL, 1);
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 1)->unit.flags, REQUEST_UNIT_CLOSED);
}

static void what_units_left_while_there_was_no_enforcer_is_released_and_its_index_not_used(void **state) {
        World *w = *state;
        const HelperMessage *release;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[w->n_listed++] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->cgroups[w->n_cgroups++] = (HelperCgroup) { .cgroup_id = 66, .index = 5 };
        w->cgroups[w->n_cgroups++] = (HelperCgroup) { .cgroup_id = 77, .index = 0 };
        w->n_busy = 1;
        world_start(w, WORLD_PSK);
        assert_int_equal(index_reserve(&w->m->units.pool, 5), -EBUSY);
        world_wait(w, 1500);
        release = world_asked(w, HELPER_RELEASE_UNIT, 1); /* the first was answered: a socket bears it */
        assert_non_null(release);
        assert_int_equal(release->release.cgroup_id, 66);
        assert_int_equal(release->release.flags, HELPER_RELEASE_TREE); /* as nobody knows whether there were groups below it */
        assert_null(world_asked(w, HELPER_RELEASE_UNIT, 2)); /* not the living unit's */
        assert_int_equal(w->m->strays.n, 0);
        assert_int_equal(index_reserve(&w->m->units.pool, 5), 0);
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_ENFORCING);
}

static void an_ended_unit_is_closed_at_once_and_released_when_its_last_socket_is_gone(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), ended = make_unit("a.service", 0, HELPER_INACTIVE, 0);
        HelperUnit about_to_start = make_unit("a.service", 0, HELPER_INACTIVE, HELPER_UNIT_JOB), waiting = make_unit("a.service", 0, HELPER_ACTIVATING, HELPER_UNIT_JOB);
        World *w = *state;
        uint32_t index;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        index = units_find(&w->m->units, "a.service")->index;
        world_forget(w);
        helper_event(w, HELPER_UNIT, &waiting); /* for Restart= to start it anew, which its restart begins by making it inactive */
        helper_event(w, HELPER_UNIT, &about_to_start);
        world_settle(w);
        assert_non_null(units_find(&w->m->units, "a.service"));
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        w->n_busy = 2;
        helper_event(w, HELPER_UNIT, &ended);
        world_settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        assert_int_equal(world_told(w, DATAPATH_UNIT, 0)->unit.flags, REQUEST_UNIT_CLOSED);
        assert_null(world_told(w, DATAPATH_UNIT_GONE, 0));
        assert_non_null(units_find_index(&w->m->units, index)); /* a socket bears its cgroup id */
        world_wait(w, 1200);
        assert_non_null(world_asked(w, HELPER_RELEASE_UNIT, 2));
        assert_int_equal(world_told(w, DATAPATH_UNIT_GONE, 0)->unit.index, index);
        assert_null(units_find_index(&w->m->units, index));
        assert_int_equal(w->m->units.n_units, 0);
        assert_string_equal(units_find_former(&w->m->units, index)->name, "a.service");
}

static void an_attach_whose_start_was_given_up_is_released(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        world_wait(w, 1200); /* PID 1 says that it is yet to start */
        assert_non_null(units_find(&w->m->units, "a.service"));
        assert_null(world_asked(w, HELPER_RELEASE_UNIT, 0));
        w->starting = false; /* now that it is not loaded */
        world_wait(w, 2200);
        assert_null(units_find(&w->m->units, "a.service"));
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.cgroup_id, 77);
}

static void a_unit_that_was_taken_for_ended_is_enforced_when_it_is_active(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), given_up = make_unit("a.service", 0, HELPER_INACTIVE, 0);
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->n_busy = 1; /* PID 1 starts it all the same */
        helper_event(w, HELPER_UNIT, &given_up);
        world_settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        assert_non_null(units_find(&w->m->units, "a.service"));
        assert_int_equal(units_find(&w->m->units, "a.service")->state, UNIT_ENFORCING);
}

static void the_datapath_is_told_that_it_knows_all_units_when_it_does(void **state) {
        World *w = *state;
        const DatapathMessage *unit, *synced;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[w->n_listed++] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        world_start(w, WORLD_PSK);
        unit = world_told(w, DATAPATH_UNIT, 0);
        synced = world_told(w, DATAPATH_SYNCED, 0);
        assert_non_null(unit);
        assert_non_null(synced);
        assert_true(unit < synced);
        assert_null(world_told(w, DATAPATH_SYNCED, 1));
}

static void a_unit_whose_start_was_given_up_is_let_go(void **state) {
        HelperUnit given_up = make_unit("a.service", 77, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        helper_event(w, HELPER_UNIT, &given_up);
        world_settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
        assert_string_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.unit, "a.service");
        assert_string_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.cgroup, "/system.slice/a.service");
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.flags, 0);
}

static void of_a_unit_that_has_groups_below_its_own_more_is_looked_for(void **state) {
        HelperUnit ended = make_unit("a.service", 77, HELPER_INACTIVE, HELPER_UNIT_ATTACHED | HELPER_UNIT_TREE);
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[w->n_listed++] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED | HELPER_UNIT_TREE);
        world_start(w, WORLD_PSK);
        helper_event(w, HELPER_UNIT, &ended);
        world_settle(w);
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.flags, HELPER_RELEASE_TREE);
}

/* A listener that PID 1 made outside of the unit's control group is nobody's to the table, as is what has a network of its own or lies too deep. */
static void a_unit_that_the_table_cannot_see_is_denied_for_that_as_soon_as_it_shows(void **state) {
        static const struct {
                HelperUnitFlags flag;
                Reason reason;
        } rows[] = { { HELPER_UNIT_FOREIGN_LISTENER, REASON_FOREIGN_LISTENER }, { HELPER_UNIT_OWN_NETWORK, REASON_OWN_NETWORK }, { HELPER_UNIT_TOO_DEEP, REASON_TOO_DEEP } };
        World *w = *state;
        const Unit *u;

        w->texts[0][0] = "a.socket";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.socket", 77);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                HelperUnit active = make_unit("a.socket", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), hidden = active;

                hidden.flags |= rows[i].flag;
                helper_event(w, HELPER_UNIT, &active);
                world_settle(w);
                u = units_find(&w->m->units, "a.socket");
                assert_int_equal(u->state, UNIT_ENFORCING);
                helper_event(w, HELPER_UNIT, &hidden);
                world_settle(w);
                u = units_find(&w->m->units, "a.socket");
                assert_int_equal(u->state, UNIT_DENIED);
                assert_int_equal(u->reason, rows[i].reason);
        }
}

static void what_an_earlier_life_left_is_judged_again_when_the_unit_lives_again(void **state) {
        HelperUnit active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED), ended = make_unit("a.service", 0, HELPER_INACTIVE, 0);
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        w->n_busy = 1000;
        helper_event(w, HELPER_UNIT, &ended);
        world_settle(w);
        world_forget(w);
        world_attach(w, "a.service", 78);
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.cgroup_id, 77); /* a listener in its file descriptor store */
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.flags, 0);
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 1)->unit.cgroup_id, 78);
        assert_int_equal(world_asked(w, HELPER_ENFORCE_UNIT, 1)->unit.flags, 0);
        assert_int_not_equal(world_asked(w, HELPER_ENFORCE_UNIT, 0)->unit.index, world_asked(w, HELPER_ENFORCE_UNIT, 1)->unit.index);
}

static void changed_labels_make_a_new_token_and_everything_decided_is_forgotten(void **state) {
        World *w = *state;
        HelperReply reloaded = { .header.type = HELPER_RELOADED };

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        world_start(w, WORLD_PSK);
        world_forget(w);
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1); /* nothing changed */
        world_settle(w);
        assert_null(world_told(w, DATAPATH_FORGET, 0));
        assert_null(world_asked(w, HELPER_LIST_SOCKETS, 0));
        world_forget(w);
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=db\n";
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1);
        world_settle(w);
        assert_non_null(world_told(w, DATAPATH_UNIT, 0));
        assert_non_null(memmem(world_told(w, DATAPATH_UNIT, 0)->unit.token, world_told(w, DATAPATH_UNIT, 0)->unit.token_len, "db", 2));
        assert_int_equal(world_told(w, DATAPATH_FORGET, 0)->forget.flags, DATAPATH_FORGET_DECISIONS);
        assert_non_null(world_asked(w, HELPER_LOCAL_FORGET, 0));
        assert_non_null(world_asked(w, HELPER_LIST_SOCKETS, 0)); /* live connections are judged again */
        assert_null(world_asked(w, HELPER_CLOSE_UNIT, 0));
        world_forget(w);
        w->n_listed = 0;
        w->texts[0][1] = "";
        w->listed[0].active = HELPER_ACTIVE;
        w->n_listed = 1;
        helper_send(w, &reloaded, sizeof(reloaded), 0, -1); /* no longer labelled */
        world_settle(w);
        assert_int_equal(world_asked(w, HELPER_RELEASE_UNIT, 0)->release.flags, HELPER_RELEASE_UNLABELLED);
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_reload_that_says_removed_ends_nothing(void **state) {
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        world_start(w, WORLD_PSK);
        world_forget(w);
        helper_event(w, HELPER_UNIT_GONE, &w->listed[0]);
        world_settle(w);
        assert_non_null(units_find(&w->m->units, "a.service"));
        assert_null(world_asked(w, HELPER_ENFORCE_UNIT, 0));
        w->n_listed = 0; /* really gone */
        w->starting = false;
        helper_event(w, HELPER_UNIT_GONE, &w->listed[0]);
        world_settle(w);
        assert_null(units_find(&w->m->units, "a.service"));
}

static void a_socket_inherits_from_its_service_and_labels_from_the_slices_above(void **state) {
        HelperUnit u = make_unit("a.socket", 77, HELPER_INACTIVE, HELPER_UNIT_ATTACHED);
        World *w = *state;
        const Unit *unit;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web name=%n\n";
        w->texts[1][0] = "x-y.slice";
        w->texts[1][1] = "[X-Trireme]\nTriremeLabels=tier=front\n";
        w->texts[2][0] = "x.slice";
        w->texts[2][1] = "[X-Trireme]\nTriremeLabels=env=prod\n";
        strcpy(u.triggers, "a.service");
        strcpy(u.slice, "x-y.slice");
        world_start(w, WORLD_PSK);
        helper_event(w, HELPER_ATTACH, &u);
        world_settle(w);
        unit = units_find(&w->m->units, "a.socket");
        assert_non_null(unit);
        assert_true(tag_set_has(&unit->policy->labels, "@usr:app", "web"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:name", "a.service"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:tier", "front"));
        assert_true(tag_set_has(&unit->policy->labels, "@usr:env", "prod"));
        assert_true(tag_set_has(&unit->policy->tags, "@sys:unit", "a.socket"));
        assert_true(tag_set_has(&unit->policy->tags, "@sys:unit", "a.service"));
        assert_string_equal(world_asked(w, HELPER_OPEN_UNIT_FILES, 4)->request.unit, "-.slice");
}

static void a_denial_is_remembered_and_told_to_the_journal_but_a_flood_is_counted(void **state) {
        DatapathFlows flows = { .header.type = DATAPATH_FLOWS, .n_flows = 20 };
        const HelperMessage *record;
        World *w = *state;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        world_forget(w);
        for (unsigned i = 0; i < flows.n_flows; i++)
                flows.flows[i] = (DatapathFlow) {
                        .unit = units_find(&w->m->units, "a.service")->index, .verdict = DATAPATH_FLOW_REJECT, .direction = DATAPATH_ACCEPT,
                        .family = AF_INET, .protocol = IPPROTO_TCP, .sport = (uint16_t) (1000 + i), .dport = 80, .reason = REASON_NO_IDENTITY,
                };
        assert_int_equal(send(w->datapath, &flows, offsetof(DatapathFlows, flows) + flows.n_flows * sizeof(DatapathFlow), 0),
                         offsetof(DatapathFlows, flows) + flows.n_flows * sizeof(DatapathFlow));
        world_settle(w);
        assert_int_equal(w->m->flows.last_serial, 20);
        assert_string_equal(flow_log_get(&w->m->flows, 20)->unit, "a.service");
        record = world_asked(w, HELPER_RECORD, 0);
        assert_non_null(record);
        assert_string_equal(record->record.reason, "no-identity");
        assert_int_equal(record->record.dport, 80);
        assert_non_null(world_asked(w, HELPER_RECORD, 9));
        assert_null(world_asked(w, HELPER_RECORD, 10));
        assert_int_equal(units_find(&w->m->units, "a.service")->n_suppressed, 10);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                TEST(an_attached_unit_is_enforced_and_only_then_let_go),
                TEST(a_local_question_is_answered_and_the_kernel_is_told),
                TEST(a_unit_with_bad_settings_starts_but_is_denied_everything_and_says_why),
                TEST(without_a_key_every_unit_is_denied_with_that_reason),
                TEST(a_unit_that_is_not_labelled_is_let_go),
                TEST(a_unit_that_cannot_be_enforced_does_not_start),
                TEST(a_unit_found_running_is_closed_then_enforced_and_its_strangers_are_cut),
                TEST(a_unit_whose_settings_could_not_be_read_is_looked_at_again),
                TEST(lists_of_units_that_overlap_end_no_unit),
                TEST(an_attached_unit_keeps_its_index_over_a_restart_of_the_enforcer),
                TEST(a_profile_number_that_another_unit_uses_is_not_added_to),
                TEST(an_access_list_that_the_kernel_refuses_closes_its_unit),
                TEST(what_units_left_while_there_was_no_enforcer_is_released_and_its_index_not_used),
                TEST(the_datapath_is_told_that_it_knows_all_units_when_it_does),
                TEST(a_unit_whose_start_was_given_up_is_let_go),
                TEST(of_a_unit_that_has_groups_below_its_own_more_is_looked_for),
                TEST(a_unit_that_the_table_cannot_see_is_denied_for_that_as_soon_as_it_shows),
                TEST(an_attach_whose_start_was_given_up_is_released),
                TEST(a_unit_that_was_taken_for_ended_is_enforced_when_it_is_active),
                TEST(an_ended_unit_is_closed_at_once_and_released_when_its_last_socket_is_gone),
                TEST(what_an_earlier_life_left_is_judged_again_when_the_unit_lives_again),
                TEST(changed_labels_make_a_new_token_and_everything_decided_is_forgotten),
                TEST(a_reload_that_says_removed_ends_nothing),
                TEST(a_socket_inherits_from_its_service_and_labels_from_the_slices_above),
                TEST(a_denial_is_remembered_and_told_to_the_journal_but_a_flood_is_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
