/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/manager.h"

#include <errno.h>

#include "helper/cgroup.h"
#include "helper/sockets.h"
#include "util/fd.h"
#include "util/log.h"

#define ABSENCE_USEC (3 * USEC_PER_SEC) /* a restart is no absence */

void manager_free(Manager *m) {
        if (!m)
                return;
        connection_close(m);
        pid1_free(m->pid1);
        attach_free_all(m); /* PID 1's answers to them came with the end of its connection */
        sd_event_source_disable_unref(m->helper_source);
        sd_event_source_disable_unref(m->attach_source);
        sd_event_source_disable_unref(m->disarm_timer);
        sd_event_source_disable_unref(m->absence_timer);
        box_list_done(&m->networks);
        table_free(m->table);
        socket_owners_done(&m->owners);
        closep(&m->cgroup_root_fd);
        free(m);
}

void manager_complete_unit(const Manager *m, HelperUnit *unit) {
        const TableUnit *u = unit->cgroup_id != 0 ? table_find(m->table, unit->cgroup_id) : NULL;

        unit->index = u ? u->index : 0;
        if (u)
                unit->flags |= HELPER_UNIT_ATTACHED;
}

int manager_close_cgroup(Manager *m, uint64_t cgroup_id, uint32_t level, uint32_t index, bool again) {
        const TableUnit *old = table_find(m->table, cgroup_id);
        TableUnit unit = { .cgroup_id = cgroup_id, .level = level, .flags = REQUEST_UNIT_CLOSED };

        if (old && !again)
                return 0;
        if (old)
                unit = *old;
        unit.flags |= REQUEST_UNIT_CLOSED;
        if (index != 0)
                unit.index = index;
        return table_set_unit(m->table, &unit);
}

/* ---- state ---- */

void manager_fill_state(const Manager *m, HelperState *ret) {
        *ret = (HelperState) {
                .header.type = HELPER_STATE,
                .disarmed_until_usec = m->table->options.disarmed_until_usec,
                .n_units = (uint32_t) m->table->n_units,
                .n_closed = (uint32_t) table_count_closed(m->table),
                .native_queue = m->table->native_queue,
                .table_lost = m->table->n_lost,
        };
}

void manager_tell_state(Manager *m) {
        HelperState state;

        if (!connection_ready(m))
                return;
        manager_fill_state(m, &state);
        if (memcmp(&state, &m->last_state, sizeof(state)) == 0)
                return;
        m->last_state = state;
        connection_send(m, &state, sizeof(state), NULL, 0);
}

static int on_disarm_over(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        int k = manager_disarm(m, 0);

        if (k < 0) { /* stay open as short as can be */
                log_error_errno(k, "Cannot arm again, trying once more");
                (void) sd_event_source_set_time_relative(s, USEC_PER_SEC);
                return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        return 0;
}

/* Before the table is opened: without its timer that would never end. */
static int disarm_arm_timer(Manager *m, usec_t until_usec) {
        int k;

        if (until_usec == 0 || until_usec == USEC_INFINITY)
                return sd_event_source_set_enabled(m->disarm_timer, SD_EVENT_OFF);
        k = sd_event_source_set_time(m->disarm_timer, until_usec);
        return k < 0 ? k : sd_event_source_set_enabled(m->disarm_timer, SD_EVENT_ONESHOT);
}

int manager_disarm(Manager *m, usec_t usec) {
        const usec_t now = clock_boottime_usec();
        TableOptions options = m->table->options;
        int k;

        if (usec == 0 || usec >= USEC_INFINITY - now)
                options.disarmed_until_usec = usec == 0 ? 0 : USEC_INFINITY;
        else
                options.disarmed_until_usec = now + usec;
        k = disarm_arm_timer(m, options.disarmed_until_usec);
        if (k >= 0)
                k = table_set_options(m->table, &options);
        if (k < 0) {
                (void) disarm_arm_timer(m, m->table->options.disarmed_until_usec);
                return k;
        }
        if (usec == 0)
                log_notice("Armed: units are protected");
        else
                log_full(LOG_ALERT, 0, "DISARMED: every packet passes, no unit is protected");
        manager_tell_state(m);
        if (usec != 0)
                attach_let_all_go(m);
        return 0;
}

/* ---- FailureMode=open ---- */

bool manager_is_open(const Manager *m) {
        return m->table->options.disarmed_until_usec != 0 || m->table->options.abandoned;
}

static int abandoned_set(Manager *m, bool abandoned) {
        TableOptions options = m->table->options;
        int k;

        if (options.abandoned == abandoned)
                return 0;
        options.abandoned = abandoned;
        k = table_set_options(m->table, &options);
        if (k >= 0 && abandoned)
                log_full(LOG_ALERT, 0, "FailureMode=open: there is no enforcer, EVERY PACKET PASSES, no unit is protected");
        else if (k >= 0)
                log_notice("The enforcer is back, units are protected");
        return k;
}

static int on_absent(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        int k = abandoned_set(m, true);

        if (k < 0)
                return log_error_errno(k, "FailureMode=open: cannot open, everything stays closed");
        attach_let_all_go(m);
        return 0;
}

void manager_enforcer_changed(Manager *m) {
        bool absent = m->table->options.failure_open && !connection_ready(m);
        int k;

        if (!absent) {
                k = abandoned_set(m, false);
                if (k >= 0)
                        k = sd_event_source_set_enabled(m->absence_timer, SD_EVENT_OFF);
        } else {
                k = sd_event_source_set_time_relative(m->absence_timer, ABSENCE_USEC);
                if (k >= 0)
                        k = sd_event_source_set_enabled(m->absence_timer, SD_EVENT_ONESHOT);
        }
        if (k < 0)
                log_error_errno(k, "Cannot follow whether there is an enforcer");
}

/* ---- what PID 1 tells ---- */

static void on_unit_changed(const HelperUnit *unit, void *userdata) {
        Manager *m = userdata;
        HelperUnit event = *unit;

        event.header = (HelperHeader) { .type = HELPER_UNIT };
        manager_complete_unit(m, &event);
        if (connection_ready(m))
                connection_send(m, &event, sizeof(event), NULL, 0);
}

static void on_unit_gone(const char *unit, const char *result, void *userdata) {
        HelperUnit event = { .header.type = HELPER_UNIT_GONE };
        Manager *m = userdata;

        memcpy(event.unit, unit, strnlen(unit, sizeof(event.unit) - 1));
        memcpy(event.result, result, strnlen(result, sizeof(event.result) - 1));
        if (connection_ready(m))
                connection_send(m, &event, sizeof(event), NULL, 0);
}

void manager_tell_result(Manager *m, const char *unit) {
        char result[HELPER_RESULT_MAX];

        pid1_take_result(m->pid1, unit, result);
        if (result[0])
                on_unit_gone(unit, result, m);
}

static void on_reloaded(void *userdata) {
        const HelperReply event = { .header.type = HELPER_RELOADED };
        Manager *m = userdata;

        if (connection_ready(m))
                connection_send(m, &event, sizeof(event), NULL, 0);
}

static int on_has_listener(uint64_t id, void *userdata) {
        int k = id != 0 ? sockets_any_listener(id) : 0;

        if (k < 0)
                log_warning_errno(k, "Cannot list the sockets of a control group");
        return k > 0;
}

int manager_new(sd_event *event, const ManagerOptions *options, Manager **ret) {
        const Pid1Callbacks callbacks = { .changed = on_unit_changed, .gone = on_unit_gone, .reloaded = on_reloaded, .has_listener = on_has_listener };
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(*m));
        Pid1Callbacks with_self = callbacks;
        int k;

        if (!m)
                return -ENOMEM;
        m->options = *options;
        m->event = event;
        m->owners.conntrack_fd = -1;
        m->cgroup_root_fd = cgroup_root_open();
        if (m->cgroup_root_fd < 0)
                return log_error_errno(m->cgroup_root_fd, "No cgroup2 hierarchy");
        k = table_new(options->table_fd, &m->table);
        if (k < 0)
                return k;
        m->owners.table = m->table;
        m->owners.cgroup_root_fd = m->cgroup_root_fd;
        with_self.userdata = m;
        k = pid1_new(event, m->cgroup_root_fd, &with_self, &m->pid1);
        if (k >= 0)
                k = sd_event_add_time(event, &m->disarm_timer, CLOCK_BOOTTIME, USEC_INFINITY, 0, on_disarm_over, m);
        if (k >= 0)
                k = disarm_arm_timer(m, m->table->options.disarmed_until_usec); /* a former process may have disarmed */
        if (k >= 0)
                k = sd_event_add_time(event, &m->absence_timer, CLOCK_BOOTTIME, USEC_INFINITY, 0, on_absent, m);
        if (k >= 0)
                manager_enforcer_changed(m);
        if (k >= 0)
                k = connection_listen(m);
        if (k >= 0)
                k = attach_listen(m);
        if (k < 0)
                return log_error_errno(k, "Cannot set up");
        *ret = TAKE_PTR(m);
        return 0;
}
