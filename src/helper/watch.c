/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/watch.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "helper/cgroup.h"
#include "helper/pid1.h"
#include "util/log.h"

#define READING_MAX 64u
#define ATTACH_PREFIX "trireme-attach" /* our own, which come and go with each start */

/* A change signal says neither the cgroup nor anything about it (they emit none), so a unit that changed is read. One reading at a time for each unit: a signal that
 * comes meanwhile causes another. And not all at once: when thousands of units change, each question under way takes some 20 KiB of messages. */
struct UnitWatch {
        Pid1 *pid1;
        UnitWatch *next;          /* in turn */
        bool waiting, reading, again, unloaded;
        UnitState state;
        char unit[];
};

/* ---- signals ---- */

static int read_text(sd_bus_message *m, char *ret, size_t size) {
        const char *text;
        int k = sd_bus_message_read(m, "v", "s", &text);

        if (k >= 0)
                (void) snprintf(ret, size, "%s", text);
        return k;
}

static int read_invocation(sd_bus_message *m, UnitState *state) {
        const void *id;
        size_t n = 0;
        int k = sd_bus_message_enter_container(m, 'v', "ay");

        if (k >= 0)
                k = sd_bus_message_read_array(m, 'y', &id, &n);
        if (k < 0)
                return k;
        memset(state->invocation_id, 0, sizeof(state->invocation_id));
        memcpy(state->invocation_id, id, MIN(n, sizeof(state->invocation_id)));
        return sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, UnitState *state) {
        const char *name;
        int k = sd_bus_message_read(m, "s", &name);

        if (k < 0)
                return k;
        if (streq(name, "ActiveState"))
                return read_text(m, state->active, sizeof(state->active));
        if (streq(name, "Result"))
                return read_text(m, state->result, sizeof(state->result));
        if (streq(name, "InvocationID"))
                return read_invocation(m, state);
        if (streq(name, "MainPID"))
                return sd_bus_message_read(m, "v", "u", &state->main_pid);
        if (streq(name, "Job"))
                return sd_bus_message_read(m, "v", "(uo)", &state->job, NULL);
        return sd_bus_message_skip(m, "v");
}

int unit_state_read(sd_bus_message *m, UnitState *state) {
        const char *interface;
        int k = sd_bus_message_read(m, "s", &interface);

        if (k < 0)
                return k;
        if (!streq(interface, "org.freedesktop.systemd1.Unit") && !streq(interface, "org.freedesktop.systemd1.Service"))
                return 0;
        k = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (k >= 0 && (k = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                k = read_property(m, state);
                if (k >= 0)
                        k = sd_bus_message_exit_container(m);
        }
        return k < 0 ? k : 1;
}

bool unit_state_differs(const UnitState *a, const UnitState *b) {
        return !streq(a->active, b->active) || memcmp(a->invocation_id, b->invocation_id, sizeof(a->invocation_id)) != 0 || a->main_pid != b->main_pid ||
               (a->job != 0 && b->job == 0 && !streq(b->active, "active"));
}

bool unit_state_is_blank(const UnitState *state) {
        static const uint8_t none[sizeof(state->invocation_id)];

        return (!state->active[0] || streq(state->active, "inactive")) && memcmp(state->invocation_id, none, sizeof(none)) == 0 && state->main_pid == 0;
}

/* ---- units ---- */

static int watch_compare(const void *a, const void *b) {
        const UnitWatch *x = a, *y = b;

        return strcmp(x->unit, y->unit);
}

static UnitWatch *watch_new(Pid1 *p, const char *unit) {
        UnitWatch *w = calloc(1, sizeof(*w) + strlen(unit) + 1);

        if (w) {
                w->pid1 = p;
                memcpy(w->unit, unit, strlen(unit) + 1);
        }
        return w;
}

/* The one of that name, a new one if there is none; NULL: no memory. */
static UnitWatch *watch_get(Pid1 *p, const char *unit, bool *ret_is_new) {
        UnitWatch *w = watch_new(p, unit), **found = w ? tsearch(w, &p->watches, watch_compare) : NULL;

        if (!found || *found != w)
                free(w);
        *ret_is_new = found && *found == w;
        return found ? *found : NULL;
}

static void watch_free(UnitWatch *w) {
        (void) tdelete(w, &w->pid1->watches, watch_compare);
        free(w);
}

void watches_forget(Pid1 *p, const char *unit, char ret_result[static HELPER_RESULT_MAX]) {
        _cleanup_free_ UnitWatch *key = watch_new(p, unit);
        UnitWatch **found = key ? tfind(key, &p->watches, watch_compare) : NULL;

        ret_result[0] = '\0';
        if (!found)
                return;
        (void) snprintf(ret_result, HELPER_RESULT_MAX, "%s", (*found)->state.result);
        (*found)->unloaded = true;
        if (!(*found)->waiting && !(*found)->reading)
                watch_free(*found);
}

static void watch_free_node(void *watch) {
        free(watch);
}

void watches_free(Pid1 *p) {
        p->next_watch = NULL;
        tdestroy(p->watches, watch_free_node);
        p->watches = NULL;
}

/* ---- reading ---- */

static void watch_read_later(UnitWatch *w) {
        Pid1 *p = w->pid1;

        w->waiting = true;
        w->next = NULL;
        *(p->next_watch ? p->last_watch : &p->next_watch) = w;
        p->last_watch = &w->next;
}

static void watch_done(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata);

static void watches_read(Pid1 *p) {
        while (p->next_watch && p->n_watching < READING_MAX) {
                UnitWatch *w = p->next_watch;
                int k;

                p->next_watch = w->next;
                w->waiting = false;
                if (w->unloaded) { /* and so told as gone */
                        watch_free(w);
                        continue;
                }
                k = pid1_get_unit(p, w->unit, watch_done, w);
                if (k < 0) {
                        log_warning_errno(k, "Cannot read the state of %s", w->unit);
                        watch_free(w);
                        continue;
                }
                w->reading = true;
                p->n_watching++;
        }
}

static void watch_done(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        UnitWatch *w = userdata;
        Pid1 *p = w->pid1;
        bool again = w->again;

        p->n_watching--;
        w->reading = w->again = false;
        if (error >= 0)
                p->callbacks.changed(unit, p->callbacks.userdata);
        if (again && error != -ECONNRESET)
                watch_read_later(w);
        else if (error < 0 || w->unloaded) /* the next signal counts, whatever it says */
                watch_free(w);
        watches_read(p);
}

int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *unit = NULL;
        UnitState state = {};
        Pid1 *p = userdata;
        UnitWatch *w;
        bool is_new;
        int k;

        if (sd_bus_path_decode(sd_bus_message_get_path(m), PID1_PATH "/unit", &unit) <= 0 || !unit_name_is_valid(unit) || startswith(unit, ATTACH_PREFIX))
                return 0;
        w = watch_get(p, unit, &is_new);
        if (!w) {
                log_warning_errno(-ENOMEM, "Cannot follow a change of %s", unit);
                return 0;
        }
        state = w->state;
        k = unit_state_read(m, &state);
        if (k < 0)
                log_warning_errno(k, "Cannot read a change of %s", unit);
        if (k == 0 || (k > 0 && ((is_new || w->unloaded) ? unit_state_is_blank(&state) : !unit_state_differs(&w->state, &state)))) {
                if (k > 0)
                        w->state = state;
                if (is_new && state.job == 0)
                        watch_free(w);
                return 0;
        }
        w->state = state;
        w->unloaded = false;
        if (w->reading)
                w->again = true;
        else if (!w->waiting)
                watch_read_later(w);
        watches_read(p);
        return 0;
}
