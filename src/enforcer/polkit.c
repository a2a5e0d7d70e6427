/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way systemd does it: the answer is kept beside the call, the call is put back into the queue with sd_bus_enqueue_for_read(3), and its method finds the answer when it
 * runs again. A query lives until then, or until its caller is gone. */
#include "enforcer/polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "util/log.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define QUERY_ID_SIZE 280u

struct PolkitQuery {
        PolkitQuery *next;
        Manager *manager;
        sd_bus_message *call;
        const char *action;      /* static */
        sd_bus_slot *slot;
        sd_bus_track *track;     /* of the caller: who is gone needs no answer, and takes no room */
        bool answered, authorized;
};

static void query_free(PolkitQuery *q) {
        for (PolkitQuery **p = &q->manager->polkit_queries; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        break;
                }
        sd_bus_slot_unref(q->slot);
        sd_bus_track_unref(q->track);
        sd_bus_message_unref(q->call);
        free(q);
}

void polkit_done(Manager *m) {
        while (m->polkit_queries)
                query_free(m->polkit_queries);
}

static PolkitQuery *query_find(Manager *m, sd_bus_message *call) {
        for (PolkitQuery *q = m->polkit_queries; q; q = q->next)
                if (q->call == call)
                        return q;
        return NULL;
}

static int query_room(Manager *m, const char *sender) {
        unsigned n = 0, n_sender = 0;

        for (PolkitQuery *q = m->polkit_queries; q; q = q->next) {
                n++;
                n_sender += streq(sd_bus_message_get_sender(q->call), sender);
        }
        return n >= POLKIT_QUERIES_MAX || n_sender >= POLKIT_QUERIES_PER_SENDER ? -ENOBUFS : 0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PolkitQuery *q = userdata;
        int authorized = 0, challenge, r;

        q->answered = true;
        if (!sd_bus_message_is_method_error(reply, NULL)) {
                r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
                if (r >= 0)
                        r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
                q->authorized = r >= 0 && authorized;
        }
        r = sd_bus_enqueue_for_read(q->manager->bus, q->call);
        if (r < 0) {
                log_error_errno(r, "Cannot take up a call again after polkit's answer");
                query_free(q);
        }
        return 0;
}

static int append_details(sd_bus_message *ask, const char *const *details) {
        int r;

        r = sd_bus_message_open_container(ask, 'a', "{ss}");
        for (; r >= 0 && details && details[0]; details += 2)
                r = sd_bus_message_append(ask, "{ss}", details[0], details[1]);
        return r < 0 ? r : sd_bus_message_close_container(ask);
}

/* By it polkit knows which question is taken back. Bus names are at most 255 long. */
static void query_id(const PolkitQuery *q, char ret[static QUERY_ID_SIZE]) {
        uint64_t cookie = 0;

        (void) sd_bus_message_get_cookie(q->call, &cookie);
        (void) snprintf(ret, QUERY_ID_SIZE, "%s %" PRIu64, sd_bus_message_get_sender(q->call), cookie);
}

static int query_send(PolkitQuery *q, const char *const *details) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
        char id[QUERY_ID_SIZE];
        uint32_t flags = sd_bus_message_get_allow_interactive_authorization(q->call) > 0 ? 1 : 0; /* 1: AllowUserInteraction */
        int r;

        query_id(q, id);
        r = sd_bus_message_new_method_call(q->manager->bus, &ask, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(ask, "(sa{sv})s", "system-bus-name", 1, "name", "s", sd_bus_message_get_sender(q->call), q->action);
        if (r >= 0)
                r = append_details(ask, details);
        if (r >= 0)
                r = sd_bus_message_append(ask, "us", flags, id);
        return r < 0 ? r : sd_bus_call_async(q->manager->bus, &q->slot, ask, on_answer, q, flags ? USEC_INFINITY : 0);
}

/* polkit may be waiting for a password that nobody will type any more. */
static int on_caller_gone(sd_bus_track *track, void *userdata) {
        PolkitQuery *q = userdata;
        char id[QUERY_ID_SIZE];
        int r = 0;

        query_id(q, id);
        if (!q->answered)
                r = sd_bus_call_method_async(q->manager->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL, "s", id);
        if (r < 0)
                log_debug_errno(r, "Cannot take a question to polkit back");
        query_free(q);
        return 0;
}

static int query_track(PolkitQuery *q) {
        int r = sd_bus_track_new(q->manager->bus, &q->track, on_caller_gone, q);

        return r < 0 ? r : sd_bus_track_add_sender(q->track, q->call);
}

static int query_start(Manager *m, sd_bus_message *call, const char *action, const char *const *details) {
        PolkitQuery *q;
        int r;

        r = query_room(m, sd_bus_message_get_sender(call));
        if (r < 0)
                return r;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (PolkitQuery) { .next = m->polkit_queries, .manager = m, .call = sd_bus_message_ref(call), .action = action };
        m->polkit_queries = q;
        r = query_track(q);
        if (r >= 0)
                r = query_send(q, details);
        if (r < 0)
                query_free(q);
        return r;
}

int polkit_check(Manager *m, sd_bus_message *call, const char *action, const char *const *details, sd_bus_error *error) {
        PolkitQuery *q = query_find(m, call);
        bool authorized;
        int r;

        if (q && q->answered && streq(q->action, action)) {
                authorized = q->authorized;
                query_free(q);
                if (authorized)
                        return 1;
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "Not allowed: %s", action);
        }
        r = sd_bus_query_sender_privilege(call, -1);
        if (r != 0)
                return r;
        r = query_start(m, call, action, details);
        return r < 0 ? sd_bus_error_set_errno(error, r) : 0;
}
