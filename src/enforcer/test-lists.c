/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of units and of plug-ins: what follows from them, what from units that cannot be read, and who waits for their end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "enforcer/helper-client.h"
#include "enforcer/identity-plugins.h"
#include "enforcer/settle.h"
#include "enforcer/test-world.h"

typedef struct Settled {
        World *world;
        unsigned n_calls;
        bool in_force;
} Settled;

static void on_settled(int result, void *userdata) {
        Settled *s = userdata;
        const Unit *u = units_find(&s->world->m->units, "a.service");
        const HelperMessage *enforce = world_asked(s->world, HELPER_ENFORCE_UNIT, 0), *last = world_asked(s->world, HELPER_GET_STATE, 0);

        assert_int_equal(result, 0);
        s->n_calls++;
        s->in_force = u && tag_set_has(&u->policy->labels, "@usr:app", "db") && enforce && last && enforce < last;
}

static void who_waits_for_a_change_is_told_when_the_table_has_it(void **state) {
        World *w = *state;
        Settled settled = { .world = w };

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=db\n";
        world_forget(w);
        helper_list_units(w->m); /* as when PID 1 tells of its reload: this list may have the old settings */
        settle_start(w->m, on_settled, &settled);
        while (sd_event_run(w->m->event, 2000) > 0)
                ;
        assert_int_equal(settled.n_calls, 0); /* the helper has not said anything */
        world_settle(w);
        assert_int_equal(settled.n_calls, 1);
        assert_true(settled.in_force);
        assert_non_null(world_asked(w, HELPER_LIST_UNITS, 1));
        world_settle(w);
        assert_int_equal(settled.n_calls, 1);
}

static void a_unit_that_is_unloaded_before_it_was_read_is_no_reason_to_list_all_again(void **state) {
        HelperUnit started = make_unit("run-1.service", 78, HELPER_ACTIVE, 0);
        World *w = *state;

        world_start(w, WORLD_PSK);
        w->results[HELPER_OPEN_UNIT_FILES] = -ENOENT;
        world_forget(w);
        helper_event(w, HELPER_UNIT, &started);
        world_settle(w);
        world_wait(w, 1200); /* longer than it takes until all units are listed again */
        assert_non_null(world_asked(w, HELPER_OPEN_UNIT_FILES, 0));
        assert_null(world_asked(w, HELPER_LIST_UNITS, 0));
}

static void what_cannot_be_read_leaves_in_force_what_is_and_denies_who_is_not_known(void **state) {
        World *w = *state;
        const Unit *u;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->listed[1] = make_unit("b.service", 78, HELPER_ACTIVE, HELPER_UNIT_ATTACHED); /* by an enforcer before this one */
        w->n_listed = 2;
        w->results[HELPER_OPEN_UNIT_FILES] = -ERFKILL; /* both are masked */
        helper_list_units(w->m);
        world_settle(w);
        world_forget(w);
        world_wait(w, 1200);
        assert_null(world_asked(w, HELPER_LIST_UNITS, 0)); /* that does not change by itself */
        u = units_find(&w->m->units, "a.service");
        assert_non_null(u);
        assert_int_equal(u->state, UNIT_ENFORCING);
        u = units_find(&w->m->units, "b.service");
        assert_non_null(u);
        assert_int_equal(u->state, UNIT_DENIED);
        assert_non_null(strstr(u->reason_text, "masked"));
}

static void what_is_left_is_not_released_while_a_unit_may_turn_up_that_it_is_of(void **state) {
        World *w = *state;

        w->listed[0] = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        w->n_listed = 1;
        w->cgroups[0] = (HelperCgroup) { .cgroup_id = 77, .index = 9 };
        w->n_cgroups = 1;
        w->results[HELPER_OPEN_UNIT_FILES] = -ETIMEDOUT;
        world_start(w, WORLD_PSK);
        world_wait(w, 2400); /* it is looked at again each second, and what is left each half */
        assert_null(world_asked(w, HELPER_RELEASE_UNIT, 0));
}

/* How it ended is the helper's to say, which may have heard it. */
static void what_is_not_listed_is_asked_about_until_there_is_an_answer(void **state) {
        World *w = *state;
        HelperUnit active;

        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        world_forget(w);
        w->results[HELPER_GET_UNIT] = -ETIMEDOUT;
        helper_list_units(w->m);
        world_settle(w);
        assert_non_null(world_asked(w, HELPER_GET_UNIT, 0));
        assert_non_null(units_find(&w->m->units, "a.service"));
        w->results[HELPER_GET_UNIT] = 0; /* and there is no such unit */
        world_wait(w, 1500);
        assert_null(units_find(&w->m->units, "a.service"));
        assert_non_null(world_asked(w, HELPER_RELEASE_UNIT, 0));
}

static void lists_of_plug_ins_that_overlap_run_none_twice(void **state) {
        World *w = *state;
        HelperUnit active;
        unsigned n = 0;

        w->plugin = "dmi";
        w->texts[0][0] = "a.service";
        w->texts[0][1] = "[X-Trireme]\nTriremeLabels=app=web\n";
        world_start(w, WORLD_PSK);
        world_attach(w, "a.service", 77);
        active = make_unit("a.service", 77, HELPER_ACTIVE, HELPER_UNIT_ATTACHED);
        helper_event(w, HELPER_UNIT, &active);
        world_settle(w);
        world_forget(w);
        plugins_list(w->m);
        plugins_list(w->m);
        world_settle(w);
        while (world_asked(w, HELPER_RUN_PLUGIN, n))
                n++;
        assert_int_equal(n, 2); /* once for each list */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(who_waits_for_a_change_is_told_when_the_table_has_it),
                TEST(a_unit_that_is_unloaded_before_it_was_read_is_no_reason_to_list_all_again),
                TEST(what_cannot_be_read_leaves_in_force_what_is_and_denies_who_is_not_known),
                TEST(what_is_left_is_not_released_while_a_unit_may_turn_up_that_it_is_of),
                TEST(what_is_not_listed_is_asked_about_until_there_is_an_answer),
                TEST(lists_of_plug_ins_that_overlap_run_none_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
