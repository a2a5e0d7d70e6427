/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/pid1.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "helper/cgroup.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/log.h"

#define CALL_TIMEOUT (60 * USEC_PER_SEC) /* a PID 1 that starts a thousand units does not look up for half a minute */
#define RECONNECT_USEC (100 * USEC_PER_MSEC)
#define REMOVED_USEC (200 * USEC_PER_MSEC)

struct UnitListQuery {
        Pid1 *pid1;
        UnitListQuery *next;
        sd_bus_slot *slot;
        UnitListCallback callback;
        void *userdata;
};

static int pid1_connect(Pid1 *p);

/* ---- unloaded units ----
 *
 * PID 1 unloads every unit when it reloads or executes itself anew, and loads it again. So a removal is told only when nothing of that kind follows. */

static void removed_clear(Pid1 *p) {
        while (p->removed) {
                UnitRemoved *r = p->removed;

                p->removed = r->next;
                free(r);
        }
        (void) sd_event_source_set_enabled(p->removed_timer, SD_EVENT_OFF);
}

/* Tells of one, or of all (unit NULL). */
static void removed_tell(Pid1 *p, const char *unit) {
        char result[HELPER_RESULT_MAX];

        for (UnitRemoved **i = &p->removed; *i;) {
                UnitRemoved *r = *i;

                if (unit && !streq(r->unit, unit)) {
                        i = &r->next;
                        continue;
                }
                pid1_take_result(p, r->unit, result);
                *i = r->next;
                p->callbacks.gone(r->unit, result, p->callbacks.userdata);
                free(r);
        }
}

static int on_removed_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        removed_tell(userdata, NULL);
        return 0;
}

static void loaded_anew(Pid1 *p, const char *unit) {
        pid1_forget(p, unit);
        if (unit_is_slice(unit))
                p->n_loads++;
}

static int on_unit_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Pid1 *p = userdata;
        const char *unit;
        char result[HELPER_RESULT_MAX];
        UnitRemoved *r;

        if (sd_bus_message_read(m, "s", &unit) < 0 || !unit_name_is_valid(unit))
                return 0;
        watches_forget(p, unit, result);
        loaded_anew(p, unit);
        if (p->reloading)
                return 0;
        r = calloc(1, sizeof(*r));
        if (!r)
                return log_error_errno(-ENOMEM, "Cannot remember that %s was unloaded", unit);
        memcpy(r->result, result, sizeof(result));
        (void) snprintf(r->unit, sizeof(r->unit), "%s", unit);
        r->next = p->removed;
        p->removed = r;
        if (sd_event_source_set_time_relative(p->removed_timer, REMOVED_USEC) < 0 ||
            sd_event_source_set_enabled(p->removed_timer, SD_EVENT_ONESHOT) < 0)
                removed_tell(p, NULL);
        return 0;
}

/* Another unit of the same name: what came before it must be told before it. */
static int on_unit_new(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *unit;

        if (sd_bus_message_read(m, "s", &unit) < 0)
                return 0;
        loaded_anew(userdata, unit);
        removed_tell(userdata, unit);
        return 0;
}

static int on_reloading(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Pid1 *p = userdata;
        int starting;

        if (sd_bus_message_read(m, "b", &starting) < 0)
                return 0;
        pid1_forget_all(p);
        p->reloading = starting;
        if (!starting)
                p->callbacks.reloaded(p->callbacks.userdata);
        return 0;
}

/* ---- list ---- */

static void list_finish(UnitListQuery *q, int error, const char *const *units, size_t n) {
        for (UnitListQuery **i = &q->pid1->lists; *i; i = &(*i)->next)
                if (*i == q) {
                        *i = q->next;
                        break;
                }
        q->callback(error, units, n, q->userdata);
        sd_bus_slot_unref(q->slot);
        free(q);
}

static int on_units(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ const char **units = NULL;
        UnitListQuery *q = userdata;
        const char *unit;
        size_t n = 0;
        int k;

        if (sd_bus_message_is_method_error(m, NULL)) {
                list_finish(q, -sd_bus_message_get_errno(m), NULL, 0);
                return 0;
        }
        k = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        while (k >= 0 && (k = sd_bus_message_enter_container(m, 'r', "ssssssouso")) > 0) {
                k = sd_bus_message_read(m, "s", &unit);
                if (k >= 0 && unit_name_is_valid(unit)) {
                        if (ARRAY_GROW(units, n))
                                units[n++] = unit;
                        else
                                k = -ENOMEM;
                }
                if (k >= 0)
                        k = sd_bus_message_skip(m, "sssssouso");
                if (k >= 0)
                        k = sd_bus_message_exit_container(m);
        }
        list_finish(q, k < 0 ? k : 0, units, n);
        return 0;
}

int pid1_list_units(Pid1 *p, UnitListCallback callback, void *userdata) {
        UnitListQuery *q;
        int k;

        if (!p->bus)
                return -ENOTCONN;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (UnitListQuery) { .pid1 = p, .callback = callback, .userdata = userdata };
        k = sd_bus_call_method_async(p->bus, &q->slot, PID1_NAME, PID1_PATH, PID1_MANAGER, "ListUnits", on_units, q, NULL);
        if (k < 0) {
                free(q);
                return k;
        }
        q->next = p->lists;
        p->lists = q;
        return 0;
}

/* ---- connection ---- */

static void pid1_disconnect(Pid1 *p) {
        sd_bus *bus = TAKE_PTR(p->bus);

        removed_clear(p);
        pid1_forget_all(p);
        p->reloading = false;
        pid1_queries_lose(p);
        pid1_scopes_lose(p);
        scope_results_free(p);
        while (p->lists)
                list_finish(p->lists, -ECONNRESET, NULL, 0);
        sd_bus_close_unref(bus);
}

static int on_reconnect(sd_event_source *s, uint64_t usec, void *userdata) {
        Pid1 *p = userdata;

        pid1_disconnect(p);
        if (pid1_connect(p) < 0) {
                (void) sd_event_source_set_time_relative(s, RECONNECT_USEC);
                return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        log_info("Connected to PID 1 again");
        pid1_queries_repeat(p);
        pid1_scopes_repeat(p);
        p->callbacks.reloaded(p->callbacks.userdata);
        return 0;
}

/* Not from within the callback of the bus that is to go. */
static int reconnect_later(Pid1 *p) {
        if (sd_event_source_set_time_relative(p->reconnect, RECONNECT_USEC) < 0)
                return -EIO;
        return sd_event_source_set_enabled(p->reconnect, SD_EVENT_ONESHOT);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        log_notice("PID 1 closed the connection");
        removed_clear(userdata);
        return reconnect_later(userdata);
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(m, NULL))
                log_warning_errno(sd_bus_message_get_errno(m), "PID 1 refuses to tell of changes");
        return 0;
}

static int pid1_match(Pid1 *p, sd_bus *bus) {
        static const struct {
                const char *rule;
                sd_bus_message_handler_t handler;
        } matches[] = {
                { "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='" PID1_PATH "/unit'",
                  on_properties_changed },
                { "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',arg0='org.freedesktop.systemd1.Scope'", on_scope_changed },
                { "type='signal',interface='" PID1_MANAGER "',member='UnitRemoved'", on_unit_removed },
                { "type='signal',interface='" PID1_MANAGER "',member='UnitNew'", on_unit_new },
                { "type='signal',interface='" PID1_MANAGER "',member='Reloading'", on_reloading },
                { "type='signal',interface='" PID1_MANAGER "',member='JobRemoved'", on_job_removed },
                { "type='signal',sender='org.freedesktop.DBus.Local',interface='org.freedesktop.DBus.Local',member='Disconnected'", on_disconnected },
        };

        for (size_t i = 0; i < ELEMENTSOF(matches); i++) {
                int k = sd_bus_add_match(bus, NULL, matches[i].rule, matches[i].handler, p);

                if (k < 0)
                        return k;
        }
        return 0;
}

static int pid1_connect(Pid1 *p) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int k = sd_bus_new(&bus);

        if (k >= 0)
                k = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
        if (k >= 0)
                k = sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT);
        if (k >= 0)
                k = sd_bus_start(bus);
        if (k >= 0)
                k = sd_bus_attach_event(bus, p->event, SD_EVENT_PRIORITY_NORMAL);
        if (k >= 0)
                k = pid1_match(p, bus);
        if (k >= 0)
                k = sd_bus_call_method_async(bus, NULL, PID1_NAME, PID1_PATH, PID1_MANAGER, "Subscribe", on_subscribed, p, NULL);
        if (k < 0)
                return k;
        p->bus = TAKE_PTR(bus);
        return 0;
}

int pid1_new(sd_event *event, int cgroup_root_fd, const Pid1Callbacks *callbacks, Pid1 **ret) {
        _cleanup_(pid1_freep) Pid1 *p = calloc(1, sizeof(*p));
        int k;

        if (!p)
                return -ENOMEM;
        *p = (Pid1) { .event = event, .cgroup_root_fd = cgroup_root_fd, .callbacks = *callbacks };
        k = sd_event_add_time_relative(event, &p->reconnect, CLOCK_MONOTONIC, 0, 0, on_reconnect, p);
        if (k >= 0)
                k = sd_event_source_set_enabled(p->reconnect, SD_EVENT_OFF);
        if (k >= 0)
                k = sd_event_add_time_relative(event, &p->removed_timer, CLOCK_MONOTONIC, 0, 0, on_removed_timer, p);
        if (k >= 0)
                k = sd_event_source_set_enabled(p->removed_timer, SD_EVENT_OFF);
        if (k < 0)
                return k;
        k = pid1_connect(p);
        if (k < 0) {
                log_warning_errno(k, "Cannot reach PID 1 yet");
                k = reconnect_later(p);
        }
        if (k < 0)
                return k;
        *ret = TAKE_PTR(p);
        return 0;
}

void pid1_free(Pid1 *p) {
        if (!p)
                return;
        pid1_disconnect(p);
        pid1_queries_fail(p, -ECONNRESET);
        pid1_scopes_fail(p);
        watches_free(p);
        pid1_forget_all(p);
        sd_event_source_disable_unref(p->reconnect);
        sd_event_source_disable_unref(p->removed_timer);
        sd_event_source_disable_unref(p->trim);
        free(p);
}
