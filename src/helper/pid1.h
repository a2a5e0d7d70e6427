/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The connection to PID 1: shared by unit.c (questions about units), pid1.c (events, connection) and scope.c (new scopes). */

#include <stdbool.h>

#include "helper/unit.h"

#define PID1_NAME "org.freedesktop.systemd1"
#define PID1_PATH "/org/freedesktop/systemd1"
#define PID1_MANAGER "org.freedesktop.systemd1.Manager"

typedef struct KnownUnit KnownUnit;
typedef struct ScopeStart ScopeStart;
typedef struct UnitQuery UnitQuery;
typedef struct UnitRemoved UnitRemoved;
typedef struct UnitWatch UnitWatch;
typedef struct UnitListQuery UnitListQuery;

struct UnitRemoved {
        UnitRemoved *next;
        char unit[HELPER_UNIT_NAME_MAX], result[HELPER_RESULT_MAX];
};

struct Pid1 {
        sd_event *event;
        sd_bus *bus;                 /* NULL while there is no connection */
        sd_event_source *reconnect;
        int cgroup_root_fd;          /* borrowed */
        Pid1Callbacks callbacks;
        UnitQuery *queries;          /* in turn; owned */
        unsigned n_queries;          /* of these, under way */
        void *watches;               /* what was heard of units: a tree (tsearch(3)) of UnitWatch by name; owned */
        UnitWatch *next_watch, **last_watch; /* of those, units that are to be read, in turn */
        unsigned n_watching;         /* that are being read */
        void *known;                 /* tree of KnownUnit by name; owned */
        uint64_t n_loads;            /* how often units, or a slice, were loaded anew */
        UnitRemoved *removed;        /* unloaded, not told yet; owned */
        sd_event_source *removed_timer;
        bool reloading;
        UnitListQuery *lists;
        sd_event_source *trim;       /* NULL: not yet */
        ScopeStart *scopes;
        struct ScopeResult *scope_results; /* of scopes, as last heard; owned */
};

void pid1_queries_lose(Pid1 *p);   /* the connection ended */
void pid1_queries_repeat(Pid1 *p); /* there is a new one */
void pid1_queries_fail(Pid1 *p, int error);
void pid1_scopes_lose(Pid1 *p);    /* fails those that were sent, the others wait for the next one */
void pid1_scopes_repeat(Pid1 *p);
void pid1_scopes_fail(Pid1 *p);
/* What PID 1 said of a unit, for the next who asks for its files or its program, as long as it cannot have changed: of a slice until it is loaded anew, of a unit
 * that is being attached until it goes on. */
bool unit_is_slice(const char *name);
void pid1_know(Pid1 *p, const char *name, const HelperUnit *unit, const UnitPaths *paths);
void pid1_forget_all(Pid1 *p);
bool pid1_answer_known(Pid1 *p, const char *name, bool exec, UnitCallback callback, void *userdata); /* false: not known */

int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
void watches_forget(Pid1 *p, const char *unit, char ret_result[static HELPER_RESULT_MAX]); /* it was unloaded; "": how it ended was not heard */
void watches_free(Pid1 *p);
int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int on_scope_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
void scope_results_free(Pid1 *p);
