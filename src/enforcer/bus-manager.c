/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.trireme.Manager. The first statement of each method asks whether the caller may. */
#include <errno.h>

#include "enforcer/bus.h"
#include "enforcer/describe.h"
#include "enforcer/enforce.h"
#include "enforcer/explain.h"
#include "enforcer/helper-client.h"
#include "enforcer/key-change.h"
#include "enforcer/polkit.h"
#include "enforcer/run.h"
#include "enforcer/settle.h"
#include "util/log.h"

#define FLOWS_REPLY_MAX 4096u

static int bus_fault(sd_bus_error *error, const char *text) {
        return sd_bus_error_set(error, "org.trireme.Error.Failed", text);
}

static int append_unit(sd_bus_message *reply, const Unit *u) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sasssssto");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", u->name);
        if (r >= 0)
                r = bus_append_labels(reply, u->policy ? &u->policy->labels : NULL);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ssssto", unit_mode_in_force(u), unit_state_to_string(u->state), u->reason_text ?: "", u->info.cgroup,
                                          u->info.cgroup_id, u->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_units(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = userdata;
        int r;

        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sasssssto)");
        for (const Unit *u = m->units.first; r >= 0 && u; u = u->next)
                if (!u->remnant)
                        r = append_unit(reply, u);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int no_such_unit(const char *name, sd_bus_error *error) {
        return sd_bus_error_setf(error, "org.trireme.NoSuchUnit", "%s is not labelled, or not running", name);
}

static int method_get_unit(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        const char *name;
        const Unit *u;
        int r;

        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(call, "s", &name);
        if (r < 0)
                return r;
        u = units_find(&m->units, name);
        return u ? sd_bus_reply_method_return(call, "o", u->path) : no_such_unit(name, error);
}

static int method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        const char *from, *to, *port;
        int r;

        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(call, "sss", &from, &to, &port);
        if (r < 0)
                return r;
        r = explain_start(m, call, from, to, port, error);
        return r < 0 ? r : 1; /* the answer comes when the settings of units that do not run were read */
}

static int append_flows(Manager *m, sd_bus_message *reply, uint32_t max, bool denied_only) {
        uint64_t serial, n = 0;
        int r = 0;

        /* back to the oldest that is wanted, then forward, so that the newest comes last */
        for (serial = m->flows.last_serial; serial >= flow_log_first(&m->flows) && serial > 0 && n < max; serial--) {
                const Flow *f = flow_log_get(&m->flows, serial);

                n += f && !(denied_only && f->record.verdict == DATAPATH_FLOW_ACCEPT);
        }
        for (serial++; r >= 0 && serial <= m->flows.last_serial; serial++) {
                const Flow *f = flow_log_get(&m->flows, serial);

                if (f && !(denied_only && f->record.verdict == DATAPATH_FLOW_ACCEPT))
                        r = bus_append_flow(reply, f, m->rules);
        }
        return r;
}

static int method_list_flows(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = userdata;
        int r, denied_only;
        uint32_t max;

        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(call, "ub", &max, &denied_only);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = append_flows(m, reply, max ? MIN(max, FLOWS_REPLY_MAX) : FLOWS_REPLY_MAX, denied_only);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_describe(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        Manager *m = userdata;
        int r;

        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = describe_manager(m, &text);
        return r < 0 ? r : sd_bus_reply_method_return(call, "s", text);
}

static void on_settled(int result, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = userdata;
        int r = result < 0 ? sd_bus_reply_method_errnof(call, result, "The units were not read to their end") : sd_bus_reply_method_return(call, NULL);

        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

static int method_settle(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        int r = polkit_check(m, call, POLKIT_MANAGE, NULL, error);

        if (r > 0)
                settle_start(m, on_settled, sd_bus_message_ref(call));
        return r < 0 ? r : 1;
}

/* The caller's call waits for the keys and the units, so that what was told to him holds when it returns. */
static void on_keys(Manager *m, int result, const char *text, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = userdata;
        int r;

        if (result >= 0 && m->helper_ready) {
                settle_start(m, on_settled, TAKE_PTR(call));
                return;
        }
        if (result < 0)
                r = sd_bus_reply_method_errorf(call, SD_BUS_ERROR_FAILED, "The keys in force stay in force. %s", text ?: strerror(-result));
        else
                r = sd_bus_reply_method_return(call, NULL);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        Manager *m = userdata;
        int r;

        r = polkit_check(m, call, POLKIT_MANAGE, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_reload(m, &text);
        if (r < 0)
                return text ? bus_fault(error, text) : r;
        key_change_reload(m, on_keys, sd_bus_message_ref(call));
        return 1;
}

/* The caller's call waits for the helper's word, so that "disarmed" is true when it returns. */
static void on_armed(Link *l, const LinkMessage *msg, int result, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = userdata;
        int r;

        if (msg) {
                TAKE_PTR(call);
                return;
        }
        r = result < 0 ? sd_bus_reply_method_errnof(call, result, "The helper refuses: %s", strerror(-result)) : sd_bus_reply_method_return(call, NULL);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

static int ask_armed(Manager *m, sd_bus_message *call, HelperType type, uint64_t usec, sd_bus_error *error) {
        int r;

        r = m->helper_ready ? helper_request(m, type, "", usec, on_armed, sd_bus_message_ref(call)) : -ENOTCONN;
        if (r >= 0)
                return 1;
        if (m->helper_ready)
                sd_bus_message_unref(call);
        return sd_bus_error_set_errnof(error, r, "The helper does not answer");
}

static int method_disarm(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        uint64_t usec;
        int r;

        r = polkit_check(m, call, POLKIT_MANAGE, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(call, "t", &usec);
        if (r < 0)
                return r;
        log_warning("Disarmed on request of %s: everything passes", sd_bus_message_get_sender(call));
        return ask_armed(m, call, HELPER_DISARM, usec, error);
}

static int method_arm(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        int r;

        r = polkit_check(m, call, POLKIT_MANAGE, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        log_notice("Armed on request of %s", sd_bus_message_get_sender(call));
        return ask_armed(m, call, HELPER_ARM, 0, error);
}

static int method_set_mode(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *name, *mode;
        Manager *m = userdata;
        Unit *u;
        int r, k;

        r = polkit_check(m, call, POLKIT_MANAGE, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_read(call, "ss", &name, &mode);
        if (r < 0)
                return r;
        u = units_find(&m->units, name);
        if (!u)
                return no_such_unit(name, error);
        k = unit_mode_from_string(mode);
        if (k < 0 || k == UNIT_MODE_OFF)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The mode is enforce, observe or empty; off stands in the unit's settings: TriremeMode=off");
        r = enforce_set_mode(m, u, (UnitMode) k);
        if (r == -EINVAL)
                return bus_fault(error, "The unit's settings cannot be used, so no mode can be in force");
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

static int method_start_run(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return run_start(userdata, call, error);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", TRIREME_VERSION);
}

static int get_armed(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "b", m->helper_state.disarmed_until_usec == 0);
}

static int get_disarmed_until(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "t", m->helper_state.disarmed_until_usec);
}

static int get_key_mode(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "s", key_mode_to_string(m->keys->mode));
}

static int get_key_is_group(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "b", m->keys->mode == KEY_PSK);
}

static int get_connected(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "a{sb}", 2, "helper", (int) m->helper_ready, "datapath", (int) m->datapath_ready);
}

static int get_clock_fault(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char text[512];

        wall_clock_text(&((const Manager *) userdata)->clock, clock_boottime_usec(), text);
        return sd_bus_message_append(reply, "s", text);
}

static int get_failure_mode(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "s", m->config.failure_open ? "open" : "closed");
}

static int get_config_fault(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", ((const Manager *) userdata)->config_fault ?: "");
}

static int get_policies_fault(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", ((const Manager *) userdata)->policies_fault ?: "");
}

static int get_n_units(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;
        uint32_t n = 0;

        for (const Unit *u = m->units.first; u; u = u->next)
                n += !u->remnant;
        return sd_bus_message_append(reply, "u", n);
}

static int get_counters(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Counter counters[COUNTERS_MAX];
        size_t n = describe_counters(userdata, counters);
        int r = sd_bus_message_open_container(reply, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "{st}", counters[i].name, counters[i].value);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

const sd_bus_vtable bus_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListUnits", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sasssssto)", units), method_list_units, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetUnit", SD_BUS_ARGS("s", unit), SD_BUS_RESULT("o", path), method_get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("s", from, "s", to, "s", port), SD_BUS_RESULT("b", allowed, "s", json), method_explain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListFlows", SD_BUS_ARGS("u", max, "b", denied_only), SD_BUS_RESULT("aa{sv}", flows), method_list_flows, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), method_describe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Settle", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_settle, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Disarm", SD_BUS_ARGS("t", usec), SD_BUS_NO_RESULT, method_disarm, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Arm", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_arm, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", unit, "s", mode), SD_BUS_NO_RESULT, method_set_mode, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StartRun", SD_BUS_ARGS("as", labels, "h", pidfd), SD_BUS_RESULT("s", unit), method_start_run, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Armed", "b", get_armed, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DisarmedUntil", "t", get_disarmed_until, 0, 0),
        SD_BUS_PROPERTY("KeyMode", "s", get_key_mode, 0, 0),
        SD_BUS_PROPERTY("KeyIsGroupSecret", "b", get_key_is_group, 0, 0),
        SD_BUS_PROPERTY("Connected", "a{sb}", get_connected, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ClockFault", "s", get_clock_fault, 0, 0),
        SD_BUS_PROPERTY("FailureMode", "s", get_failure_mode, 0, 0),
        SD_BUS_PROPERTY("ConfigFault", "s", get_config_fault, 0, 0),
        SD_BUS_PROPERTY("PoliciesFault", "s", get_policies_fault, 0, 0),
        SD_BUS_PROPERTY("NUnits", "u", get_n_units, 0, 0),
        SD_BUS_PROPERTY("Counters", "a{st}", get_counters, 0, 0),
        SD_BUS_SIGNAL_WITH_ARGS("UnitAttached", SD_BUS_ARGS("s", unit, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("UnitDetached", SD_BUS_ARGS("s", unit, "s", cause), 0),
        SD_BUS_SIGNAL_WITH_ARGS("FlowDenied", SD_BUS_ARGS("a{sv}", flow), 0),
        SD_BUS_VTABLE_END,
};
