/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "helper/watch.h"

static void append(sd_bus_message *m, const char *name, const char *type, const void *value, size_t n) {
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", name) >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', type) >= 0);
        if (streq(type, "ay"))
                assert_true(sd_bus_message_append_array(m, 'y', value, n) >= 0);
        else if (streq(type, "(uo)"))
                assert_true(sd_bus_message_append(m, "(uo)", *(const uint32_t *) value, "/job") >= 0);
        else if (streq(type, "s"))
                assert_true(sd_bus_message_append(m, "s", value) >= 0);
        else
                assert_true(sd_bus_message_append_basic(m, type[0], value) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
}

/* What PID 1 sends of the interface; more than what counts is in it. */
static int read_signal(const char *interface, const UnitState *said, UnitState *state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        const uint64_t other = 1;
        int fds[2], r;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_true(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);
        assert_true(sd_bus_message_new_signal(bus, &m, "/a", "org.freedesktop.DBus.Properties", "PropertiesChanged") >= 0);
        assert_true(sd_bus_message_append(m, "s", interface) >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        append(m, "StateChangeTimestamp", "t", &other, sizeof(other));
        if (streq(interface, "org.freedesktop.systemd1.Service")) {
                append(m, "MainPID", "u", &said->main_pid, sizeof(said->main_pid));
                append(m, "Result", "s", said->result, 0);
        } else {
                append(m, "ActiveState", "s", said->active, 0);
                append(m, "Job", "(uo)", &said->job, 0);
                append(m, "InvocationID", "ay", said->invocation_id, said->invocation_id[0] ? sizeof(said->invocation_id) : 0);
        }
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_append(m, "as", 0) >= 0);
        assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
        r = unit_state_read(m, state);
        sd_bus_close(bus);
        close(fds[1]);
        return r;
}

static void a_signal_changes_what_it_mentions(void **ctx) {
        const UnitState said = { .active = "activating", .result = "oom-kill", .invocation_id = { 1, 2, 3 }, .main_pid = 77, .job = 9 }, none = { .active = "inactive" };
        UnitState state = {};

        assert_int_equal(read_signal("org.freedesktop.systemd1.Unit", &said, &state), 1);
        assert_string_equal(state.active, "activating");
        assert_memory_equal(state.invocation_id, said.invocation_id, sizeof(said.invocation_id));
        assert_int_equal(state.job, 9);
        assert_int_equal(state.main_pid, 0);
        assert_int_equal(read_signal("org.freedesktop.systemd1.Service", &said, &state), 1);
        assert_int_equal(state.main_pid, 77);
        assert_string_equal(state.result, "oom-kill");
        assert_string_equal(state.active, "activating");
        assert_int_equal(read_signal("org.freedesktop.systemd1.Unit", &none, &state), 1);
        assert_int_equal(state.invocation_id[0], 0);
        assert_int_equal(read_signal("org.freedesktop.systemd1.Timer", &said, &state), 0);
        assert_string_equal(state.active, "inactive");
}

static void starts_ends_and_main_processes_are_differences(void **ctx) {
        const UnitState inactive = { .active = "inactive" }, active = { .active = "active", .invocation_id = { 1 }, .main_pid = 7 };
        UnitState other = active;

        assert_false(unit_state_differs(&active, &other));
        assert_true(unit_state_differs(&inactive, &active));
        other.main_pid = 8;
        assert_true(unit_state_differs(&active, &other));
        other = active;
        other.invocation_id[15] = 1;
        assert_true(unit_state_differs(&active, &other));
        other = inactive;
        other.job = 1;
        assert_false(unit_state_differs(&inactive, &other)); /* it is about to start, */
        assert_true(unit_state_differs(&other, &inactive));  /* or will not, after all */
        other = active;
        other.job = 1;
        assert_false(unit_state_differs(&active, &other));
        assert_false(unit_state_differs(&other, &active));
}

static void what_was_only_loaded_says_nothing(void **ctx) {
        const UnitState nothing = {}, loaded = { .active = "inactive" }, wanted = { .active = "inactive", .job = 3 }, ended = { .active = "inactive", .invocation_id = { 1 } },
                        failed = { .active = "failed" }, running = { .main_pid = 7 };

        assert_true(unit_state_is_blank(&nothing)); /* of its service, before that of the unit comes */
        assert_true(unit_state_is_blank(&loaded));
        assert_true(unit_state_is_blank(&wanted));
        assert_false(unit_state_is_blank(&ended));
        assert_false(unit_state_is_blank(&failed));
        assert_false(unit_state_is_blank(&running));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_signal_changes_what_it_mentions),
                cmocka_unit_test(what_was_only_loaded_says_nothing),
                cmocka_unit_test(starts_ends_and_main_processes_are_differences),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
