/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units that are started: scopes around a process that waits to be attached, and services that run a plug-in. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "helper/cgroup.h"
#include "helper/pid1.h"
#include "util/log.h"

struct ScopeStart {
        Pid1 *pid1;
        ScopeStart *next;
        sd_bus_slot *slot;
        char *job;             /* object path, once PID 1 has queued it */
        int pidfd;             /* borrowed */
        uint32_t pid;
        bool by_pid;
        bool unsent;           /* a scope: PID 1 was away, as when it executes itself anew. It is asked when it is back */
        bool queue_only;       /* a unit that there is: over as soon as PID 1 has queued its start */
        const PluginStart *plugin; /* a service instead, borrowed until the start was sent; NULL: a scope */
        ScopeCallback callback;
        void *userdata;
        char name[HELPER_UNIT_NAME_MAX];
};

static int scope_send(ScopeStart *s);

static void scope_finish(ScopeStart *s, int error) {
        for (ScopeStart **i = &s->pid1->scopes; *i; i = &(*i)->next)
                if (*i == s) {
                        *i = s->next;
                        break;
                }
        s->callback(error, s->userdata);
        sd_bus_slot_unref(s->slot);
        free(s->job);
        free(s);
}

static ScopeStart *scope_find(const Pid1 *p, bool unsent) {
        ScopeStart *s = p->scopes;

        while (s && s->unsent != unsent)
                s = s->next;
        return s;
}

void pid1_scopes_lose(Pid1 *p) {
        ScopeStart *s;

        while ((s = scope_find(p, false)))
                scope_finish(s, -ECONNRESET);
}

void pid1_scopes_fail(Pid1 *p) {
        while (p->scopes)
                scope_finish(p->scopes, -ECONNRESET);
}

void pid1_scopes_repeat(Pid1 *p) {
        ScopeStart *s;
        int k;

        while ((s = scope_find(p, true))) {
                s->unsent = false;
                k = scope_send(s);
                if (k < 0)
                        scope_finish(s, k);
        }
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        ScopeStart *s = userdata;
        const char *job;
        int k;

        s->slot = sd_bus_slot_unref(s->slot);
        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_PROPERTY_READ_ONLY) && !s->by_pid && s->pidfd >= 0) { /* PIDFDs= came with systemd 255 */
                s->by_pid = true;
                k = scope_send(s);
        } else if (sd_bus_message_is_method_error(m, NULL)) {
                k = -sd_bus_message_get_errno(m);
                log_warning("PID 1 refuses %s: %s", s->name, sd_bus_message_get_error(m)->message);
        } else {
                k = sd_bus_message_read(m, "o", &job);
                if (k >= 0) {
                        s->job = strdup(job);
                        k = s->job ? 0 : -ENOMEM;
                }
        }
        if (k < 0 || (s->job && s->queue_only))
                scope_finish(s, k);
        return 0;
}

int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *job, *unit, *result;
        Pid1 *p = userdata;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0)
                return 0;
        for (ScopeStart *s = p->scopes; s; s = s->next)
                if (s->job && streq(s->job, job)) {
                        scope_finish(s, streq(result, "done") ? 0 : -ECANCELED);
                        break;
                }
        return 0;
}

static int scope_properties(const ScopeStart *s, sd_bus_message *m) {
        int k = sd_bus_message_append(m, "(sv)(sv)(sv)", "Description", "s", "Command run with Trireme labels", "Slice", "s", "trireme.slice", "CollectMode", "s",
                                      "inactive-or-failed");

        if (k < 0)
                return k;
        return s->by_pid ? sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, s->pid) : sd_bus_message_append(m, "(sv)", "PIDFDs", "ah", 1, s->pidfd);
}

static int append_true(sd_bus_message *m, const char *const *names, size_t n) {
        int k = 0;

        for (size_t i = 0; k >= 0 && i < n; i++)
                k = sd_bus_message_append(m, "(sv)", names[i], "b", true);
        return k;
}

/* A plug-in is anybody's program: no right, no network, nothing to write to, a user of its own, and not for long. */
static int plugin_properties(const PluginStart *p, sd_bus_message *m) {
        static const char *const flags[] = { "DynamicUser", "PrivateNetwork", "PrivateDevices", "PrivateTmp", "NoNewPrivileges", "ProtectKernelTunables",
                                             "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
                                             "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality" };
        int k = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", "Trireme plug-in", "Type", "s", "oneshot", "CollectMode", "s", "inactive-or-failed",
                                      "ProtectSystem", "s", "strict", "ProtectHome", "s", "yes", "StandardInput", "s", "null");

        if (k >= 0)
                k = append_true(m, flags, ELEMENTSOF(flags));
        if (k >= 0)
                k = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "CapabilityBoundingSet", "t", UINT64_C(0), "TasksMax", "t", UINT64_C(32), "MemoryMax", "t",
                                          UINT64_C(128) << 20, "LimitCORE", "t", UINT64_C(0), "TimeoutStartUSec", "t", PLUGIN_TIMEOUT_USEC, "RestrictNamespaces", "t", UINT64_C(0));
        if (k >= 0)
                k = sd_bus_message_append(m, "(sv)(sv)", "RestrictAddressFamilies", "(bas)", true, 1, "AF_UNIX", "SystemCallFilter", "(bas)", true, 1, "@system-service");
        if (k >= 0)
                k = sd_bus_message_append(m, "(sv)", "Environment", "as", 3, p->unit, p->cgroup, p->main_pid);
        if (k >= 0)
                k = sd_bus_message_append(m, "(sv)", "StandardOutputFileDescriptor", "h", p->stdout_fd);
        return k < 0 ? k : sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, p->path, 1, p->path, false);
}

static int transient_properties(const ScopeStart *s, sd_bus_message *m) {
        int k = sd_bus_message_open_container(m, 'a', "(sv)");

        if (k >= 0)
                k = s->plugin ? plugin_properties(s->plugin, m) : scope_properties(s, m);
        if (k >= 0)
                k = sd_bus_message_close_container(m);
        return k < 0 ? k : sd_bus_message_append(m, "a(sa(sv))", 0);
}

static int scope_send(ScopeStart *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int k = sd_bus_message_new_method_call(s->pid1->bus, &m, PID1_NAME, PID1_PATH, PID1_MANAGER, s->queue_only ? "StartUnit" : "StartTransientUnit");

        if (k >= 0)
                k = sd_bus_message_append(m, "ss", s->name, "fail");
        if (k >= 0 && !s->queue_only)
                k = transient_properties(s, m);
        if (k >= 0)
                k = sd_bus_call_async(s->pid1->bus, &s->slot, m, on_started, s, 0);
        return k;
}

static int unit_start(Pid1 *p, const char *name, const ScopeStart *how) {
        ScopeStart *s;
        int k;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = *how;
        s->pid1 = p;
        (void) snprintf(s->name, sizeof(s->name), "%s", name);
        k = p->bus ? scope_send(s) : -ENOTCONN;
        s->unsent = k == -ENOTCONN && !s->plugin && !s->queue_only;
        if (k < 0 && !s->unsent) {
                free(s);
                return k;
        }
        s->next = p->scopes;
        p->scopes = s;
        return 0;
}

int pid1_start_scope(Pid1 *p, const char *scope, int pidfd, uint32_t pid, ScopeCallback callback, void *userdata) {
        return unit_start(p, scope, &(ScopeStart) { .pidfd = pidfd, .pid = pid, .callback = callback, .userdata = userdata });
}

int pid1_start_plugin(Pid1 *p, const char *service, const PluginStart *plugin, ScopeCallback callback, void *userdata) {
        return unit_start(p, service, &(ScopeStart) { .pidfd = -1, .plugin = plugin, .callback = callback, .userdata = userdata });
}

int pid1_queue_start(Pid1 *p, const char *unit, ScopeCallback callback, void *userdata) {
        return unit_start(p, unit, &(ScopeStart) { .pidfd = -1, .queue_only = true, .callback = callback, .userdata = userdata });
}

/* ---- how scopes end ----
 *
 * Most are unloaded as soon as they have ended, before anybody can ask. The signal of their end says it. */

struct ScopeResult {
        struct ScopeResult *next;
        char unit[HELPER_UNIT_NAME_MAX], result[HELPER_RESULT_MAX];
};

static int scope_result_set(Pid1 *p, const char *unit, const char *result) {
        struct ScopeResult *r = p->scope_results;

        while (r && !streq(r->unit, unit))
                r = r->next;
        if (!r) {
                r = calloc(1, sizeof(*r));
                if (!r)
                        return -ENOMEM;
                (void) snprintf(r->unit, sizeof(r->unit), "%s", unit);
                r->next = p->scope_results;
                p->scope_results = r;
        }
        (void) snprintf(r->result, sizeof(r->result), "%s", result);
        return 0;
}

void pid1_take_result(Pid1 *p, const char *unit, char ret[static HELPER_RESULT_MAX]) {
        ret[0] = '\0';
        for (struct ScopeResult **i = &p->scope_results; *i; i = &(*i)->next) {
                struct ScopeResult *r = *i;

                if (!streq(r->unit, unit))
                        continue;
                memcpy(ret, r->result, sizeof(r->result));
                *i = r->next;
                free(r);
                return;
        }
        for (const UnitRemoved *r = p->removed; r; r = r->next)
                if (streq(r->unit, unit))
                        memcpy(ret, r->result, sizeof(r->result));
}

void scope_results_free(Pid1 *p) {
        while (p->scope_results) {
                struct ScopeResult *r = p->scope_results;

                p->scope_results = r->next;
                free(r);
        }
}

/* 1 and the value, 0: not in this message, or a negative errno. */
static int read_result(sd_bus_message *m, const char **ret) {
        const char *name;
        int k = sd_bus_message_skip(m, "s");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (k >= 0 && (k = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                k = sd_bus_message_read(m, "s", &name);
                if (k >= 0 && streq(name, "Result")) {
                        k = sd_bus_message_read(m, "v", "s", ret);
                        return k < 0 ? k : 1;
                }
                if (k >= 0)
                        k = sd_bus_message_skip(m, "v");
                if (k >= 0)
                        k = sd_bus_message_exit_container(m);
        }
        return k;
}

int on_scope_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *unit = NULL;
        const char *result;
        int k;

        if (sd_bus_path_decode(sd_bus_message_get_path(m), PID1_PATH "/unit", &unit) <= 0 || !unit_name_is_valid(unit))
                return 0;
        k = read_result(m, &result);
        if (k > 0)
                k = scope_result_set(userdata, unit, result);
        if (k < 0)
                log_warning_errno(k, "Cannot read how %s ended", unit);
        return 0;
}
