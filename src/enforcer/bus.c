/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection. We are up before the bus is: sd_bus_set_watch_bind(3) waits for its socket, everything else is asked asynchronously. When the bus goes away, units stay
 * enforced and a new connection is made. */
#include "enforcer/bus.h"

#include <errno.h>

#include "enforcer/polkit.h"
#include "util/log.h"

#define BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define BUS_RETRY_USEC (1 * USEC_PER_SEC)

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                log_error("Cannot own %s on the bus: %s", BUS_NAME, sd_bus_message_get_error(reply)->message);
        return 0;
}

static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        log_info("Connected to the bus");
        manager_set_ready(userdata);
        return 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        int r = bus_start(userdata);

        if (r < 0)
                log_error_errno(r, "Cannot connect to the bus again");
        return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        int r;

        log_notice("Connection to the bus lost, trying again");
        m->bus_timer = sd_event_source_disable_unref(m->bus_timer);
        r = sd_event_add_time_relative(m->event, &m->bus_timer, CLOCK_BOOTTIME, BUS_RETRY_USEC, 0, on_retry, m);
        if (r < 0)
                log_error_errno(r, "Cannot arm the timer to connect to the bus again");
        return 0;
}

/* Property getters have no place to wait for polkit, so their call waits before it gets to them; with the methods of unit objects it is the same. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *path = sd_bus_message_get_path(call), *below = path ? startswith(path, BUS_PATH) : NULL;
        Manager *m = userdata;
        int r;

        if (!below || (*below && *below != '/'))
                return 0;
        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", NULL) && !sd_bus_message_is_method_call(call, BUS_UNIT_INTERFACE, NULL))
                return 0;
        r = polkit_check(m, call, POLKIT_INSPECT, NULL, error);
        if (r < 0) {
                r = sd_bus_reply_method_errno(call, r, error);
                return r < 0 ? r : 1;
        }
        return r == 0; /* asked: the call is ours for now */
}

static int add_objects(Manager *m) {
        int r;

        r = sd_bus_add_filter(m->bus, NULL, on_call, m);
        if (r >= 0)
                r = sd_bus_add_object_vtable(m->bus, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, bus_manager_vtable, m);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(m->bus, NULL, BUS_UNIT_PATH, BUS_UNIT_INTERFACE, bus_unit_vtable, bus_unit_find, m);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(m->bus, NULL, BUS_UNIT_PATH, bus_unit_enumerate, m);
        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local", "Connected", on_connected, NULL, m);
        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, m);
        return r;
}

static int bus_open(Manager *m) {
        const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
        int r;

        r = sd_bus_new(&m->bus);
        if (r >= 0)
                r = sd_bus_set_address(m->bus, address ?: BUS_ADDRESS);
        if (r >= 0)
                r = sd_bus_set_bus_client(m->bus, true);
        if (r >= 0)
                r = sd_bus_set_watch_bind(m->bus, true);
        if (r >= 0)
                r = sd_bus_set_connected_signal(m->bus, true);
        if (r >= 0)
                r = sd_bus_start(m->bus);
        return r;
}

int bus_start(Manager *m) {
        int r;

        bus_stop(m);
        r = bus_open(m);
        if (r >= 0)
                r = add_objects(m);
        if (r >= 0)
                r = sd_bus_attach_event(m->bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                bus_stop(m);
                return log_error_errno(r, "Cannot prepare the connection to the bus");
        }
        if (m->settled)
                bus_request_name(m);
        return 0;
}

void bus_request_name(Manager *m) {
        int r = m->bus ? sd_bus_request_name_async(m->bus, NULL, BUS_NAME, 0, on_name, m) : 0;

        if (r < 0)
                log_error_errno(r, "Cannot ask for %s on the bus", BUS_NAME);
}

void bus_stop(Manager *m) {
        m->bus_timer = sd_event_source_disable_unref(m->bus_timer);
        polkit_done(m);
        m->bus = sd_bus_close_unref(m->bus);
}

static void log_signal_error(int r) {
        if (r < 0 && r != -ENOTCONN)
                log_debug_errno(r, "Cannot send a signal");
}

void bus_emit_changed(Manager *m, const char *property) {
        if (m->bus && sd_bus_is_ready(m->bus) > 0)
                log_signal_error(sd_bus_emit_properties_changed(m->bus, BUS_PATH, BUS_MANAGER_INTERFACE, property, NULL));
}

void bus_emit_attached(Manager *m, const Unit *u) {
        if (m->bus && sd_bus_is_ready(m->bus) > 0)
                log_signal_error(sd_bus_emit_signal(m->bus, BUS_PATH, BUS_MANAGER_INTERFACE, "UnitAttached", "so", u->name, u->path));
}

void bus_emit_detached(Manager *m, const char *unit, const char *cause) {
        if (m->bus && sd_bus_is_ready(m->bus) > 0)
                log_signal_error(sd_bus_emit_signal(m->bus, BUS_PATH, BUS_MANAGER_INTERFACE, "UnitDetached", "ss", unit, cause));
}

void bus_emit_denied(Manager *m, const Flow *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        if (!m->bus || sd_bus_is_ready(m->bus) <= 0)
                return;
        r = sd_bus_message_new_signal(m->bus, &signal, BUS_PATH, BUS_MANAGER_INTERFACE, "FlowDenied");
        if (r >= 0)
                r = bus_append_flow(signal, f, m->rules);
        if (r >= 0)
                r = sd_bus_send(m->bus, signal, NULL);
        log_signal_error(r);
}
