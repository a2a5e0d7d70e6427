/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The helper as a whole: the table, PID 1, the one enforcer that is connected, the attach clients that wait. */

#include <stdbool.h>
#include <systemd/sd-event.h>
#include <sys/types.h>

#include "helper/table.h"
#include "helper/unit-sockets.h"
#include "helper/unit.h"
#include "ipc/helper-protocol.h"
#include "util/clock.h"

typedef struct Attach Attach;
typedef struct Connection Connection;

typedef struct ManagerOptions {
        int table_fd, helper_fd, attach_fd; /* the netlink socket, the two listeners; borrowed */
        uid_t enforcer_uid;
        const char *enforcer_unit;          /* the peer must be in this unit's cgroup; NULL: not looked at */
        const char *attached_dir;           /* where the files are that say "attached" */
} ManagerOptions;

typedef struct Manager {
        ManagerOptions options;
        sd_event *event;
        int cgroup_root_fd;
        Table *table;
        Pid1 *pid1;
        SocketOwners owners;
        sd_event_source *helper_source, *attach_source;
        Connection *enforcer;               /* NULL: none is connected */
        uint64_t n_connections;             /* made so far: tells the present one from those before */
        Attach *attaches;                   /* the newest first */
        unsigned n_attaching;               /* of these, not waiting for their turn */
        sd_event_source *attach_next;       /* somebody's turn has come */
        usec_t attached_usec;               /* when an attach was last answered */
        BoxList networks;                   /* added by the enforcer, not set yet */
        sd_event_source *disarm_timer;
        sd_event_source *absence_timer;     /* FailureMode=open: runs while there is no enforcer */
        HelperState last_state;             /* as last told */
} Manager;

_must_use_ int manager_new(sd_event *event, const ManagerOptions *options, Manager **ret);
void manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free);

/* What the table knows of a unit that PID 1 described. */
void manager_complete_unit(const Manager *m, HelperUnit *unit);
/* Puts a cgroup into the table as closed; one that is there already keeps what it has. index 0: as it was. */
_must_use_ int manager_close_cgroup(Manager *m, uint64_t cgroup_id, uint32_t level, uint32_t index, bool again);
/* Disarmed, or abandoned by its enforcer and FailureMode=open. */
bool manager_is_open(const Manager *m);
void manager_enforcer_changed(Manager *m);              /* it came, went, or said what to do without it */
_must_use_ int manager_disarm(Manager *m, usec_t usec); /* 0: arm; USEC_INFINITY: until then */
void manager_fill_state(const Manager *m, HelperState *ret);
void manager_tell_state(Manager *m);                    /* an event, if it changed */
void manager_tell_result(Manager *m, const char *unit); /* an event, if it is known how this unit ended, which PID 1 has unloaded */

/* ---- connection.c: the enforcer ---- */

_must_use_ int connection_listen(Manager *m);
void connection_close(Manager *m);
bool connection_ready(const Manager *m); /* said HELLO */
/* Sends, or keeps until there is room; fds are duplicated. A connection that cannot be served is closed. serial in the message says to what it belongs. */
void connection_send(Manager *m, const void *message, size_t size, const int *fds, size_t n_fds);
void connection_reply(Manager *m, uint32_t serial, int result);

/* ---- attach.c ---- */

_must_use_ int attach_listen(Manager *m);
void attach_announce(Manager *m);        /* a new enforcer: tell it of all that wait */
_must_use_ int attach_done(Manager *m, const char *unit, int result, const char *reason); /* -ENOENT: nobody waits */
bool attach_waits(const Manager *m, uint64_t cgroup_id); /* closed for a client that was not answered yet */
void attach_let_all_go(Manager *m);       /* everything passes: nobody needs to wait for an enforcer */
void attach_free_all(Manager *m);
