/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What PID 1 knows of units, over its private bus (/run/systemd/private: root only, there before any bus daemon). Calls are asynchronous,
 * because PID 1 does not answer while it reloads. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "helper/unit-exec.h"
#include "ipc/helper-protocol.h"
#include "util/macro.h"

typedef struct UnitPaths { /* of one unit */
        char *paths[HELPER_DROPINS_MAX]; /* fragment first, then the drop-ins as PID 1 applies them */
        size_t n;
        int overflow;                    /* there are more */
        UnitExec *exec;                  /* NULL unless asked for */
} UnitPaths;

typedef struct Pid1 Pid1;

/* Events. A unit is told of after it was read. */
typedef struct Pid1Callbacks {
        void (*changed)(const HelperUnit *unit, void *userdata);  /* ActiveState or InvocationID changed */
        void (*gone)(const char *unit, const char *result, void *userdata); /* unloaded; of a scope, with the Result= it had at last, else "" */
        void (*reloaded)(void *userdata);                         /* daemon-reload has finished, or PID 1 was executed anew */
        int (*has_listener)(uint64_t cgroup_id, void *userdata);  /* is there a listening socket of this cgroup? */
        void *userdata;
} Pid1Callbacks;

/* Called once for each query: error 0, -ENOENT (PID 1 does not know it), or another negative errno. paths is borrowed. */
typedef void (*UnitCallback)(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata);
typedef void (*UnitListCallback)(int error, const char *const *units, size_t n, void *userdata);
typedef void (*ScopeCallback)(int error, void *userdata);

_must_use_ int pid1_new(sd_event *event, int cgroup_root_fd, const Pid1Callbacks *callbacks, Pid1 **ret);
void pid1_free(Pid1 *p);
DEFINE_CLEANUP(Pid1 *, pid1_free);

/* Each returns 0 and calls back, later or at once, or a negative errno and never does. A query whose connection is lost is asked again on the next; a list or a
 * scope is answered with -ECONNRESET. */
_must_use_ int pid1_get_unit(Pid1 *p, const char *unit, UnitCallback callback, void *userdata);
/* With paths->exec. What is asked of its files and program from now on is answered by it, until pid1_forget(). */
_must_use_ int pid1_get_unit_to_attach(Pid1 *p, const char *unit, UnitCallback callback, void *userdata);
void pid1_forget(Pid1 *p, const char *unit);
_must_use_ int pid1_get_unit_files(Pid1 *p, const char *unit, UnitCallback callback, void *userdata); /* only paths is filled in: a quarter of PID 1's work */
/* With paths->exec; of the unit only the name, its activity, its cgroup and its main process. */
_must_use_ int pid1_get_unit_exec(Pid1 *p, const char *unit, UnitCallback callback, void *userdata);
_must_use_ int pid1_list_units(Pid1 *p, UnitListCallback callback, void *userdata); /* of the types that can be a processing unit */
/* A transient scope in trireme.slice with one process, which pidfd names. */
_must_use_ int pid1_start_scope(Pid1 *p, const char *scope, int pidfd, uint32_t pid, ScopeCallback callback, void *userdata);
/* How a scope ended that is unloaded: its Result=, told once; empty: nothing was heard. */
void pid1_take_result(Pid1 *p, const char *unit, char ret[static HELPER_RESULT_MAX]);
/* Called back when its start is queued. */
_must_use_ int pid1_queue_start(Pid1 *p, const char *unit, ScopeCallback callback, void *userdata);

#define PLUGIN_TIMEOUT_USEC UINT64_C(10000000)
typedef struct PluginStart {
        const char *path;
        const char *unit, *cgroup, *main_pid; /* "TRIREME_UNIT=..." and so on: its environment */
        int stdout_fd;
} PluginStart;
/* A transient service; called back when it has ended: 0, or -ECANCELED (failed, or not in time). plugin is borrowed for the call. */
_must_use_ int pid1_start_plugin(Pid1 *p, const char *service, const PluginStart *plugin, ScopeCallback callback, void *userdata);
