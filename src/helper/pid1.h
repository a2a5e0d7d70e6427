/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The connection to PID 1: shared by unit.c (questions about units), pid1.c (events, connection) and scope.c (new scopes). */

#include <stdbool.h>

#include "helper/unit.h"

#define PID1_NAME "org.freedesktop.systemd1"
#define PID1_PATH "/org/freedesktop/systemd1"
#define PID1_MANAGER "org.freedesktop.systemd1.Manager"

typedef struct ScopeStart ScopeStart;
typedef struct UnitQuery UnitQuery;
typedef struct UnitRemoved UnitRemoved;
typedef struct UnitWatch UnitWatch;
typedef struct UnitListQuery UnitListQuery;

struct Pid1 {
        sd_event *event;
        sd_bus *bus;                 /* NULL while there is no connection */
        sd_event_source *reconnect;
        int cgroup_root_fd;          /* borrowed */
        Pid1Callbacks callbacks;
        UnitQuery *queries;          /* under way; owned */
        UnitWatch *watches;          /* units whose change is being read; owned */
        UnitRemoved *removed;        /* unloaded, not told yet; owned */
        sd_event_source *removed_timer;
        bool reloading;
        UnitListQuery *lists;
        ScopeStart *scopes;
        struct ScopeResult *scope_results; /* of scopes, as last heard; owned */
};

void pid1_queries_lose(Pid1 *p);   /* the connection ended */
void pid1_queries_repeat(Pid1 *p); /* there is a new one */
void pid1_queries_fail(Pid1 *p, int error);
void pid1_scopes_fail(Pid1 *p, int error);
int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int on_scope_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
void scope_results_free(Pid1 *p);
