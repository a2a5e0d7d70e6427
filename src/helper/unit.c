/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/unit.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>

#include "helper/cgroup.h"
#include "helper/pid1.h"
#include "util/clock.h"
#include "util/log.h"

#define PROPERTIES_MAX 25u
/* Questions under way. PID 1 answers one call after the other, between all else that it does, and each has its time limit from when it is sent: what waits here does not
 * time out, and what was asked for an attach need not wait for what was asked for a list. */
#define QUERIES_MAX 32u
#define TRIM_USEC (2 * USEC_PER_SEC)

typedef struct Property Property;

typedef enum Part { WHOLE = 0, FILES = 1 << 0, PROGRAM = 1 << 1 } Part;

#define NO_SUCH_UNIT "org.freedesktop.systemd1.NoSuchUnit"

typedef struct PropertyCall {
        UnitQuery *query;
        const Property *property;
        sd_bus_slot *slot;
} PropertyCall;

/* One question about one unit: a call for each property, all under way at once. Not GetAll(): PID 1 would collect some hundred, several milliseconds
 * of its time. */
struct UnitQuery {
        Pid1 *pid1;
        UnitQuery *next;
        UnitCallback callback;
        void *userdata;
        PropertyCall calls[PROPERTIES_MAX];
        unsigned n_pending;
        int error;
        bool sent;
        bool lost;            /* the connection ended under way: to be asked again on the next */
        bool known;           /* LoadState= says that there is such a unit */
        bool loaded_only;     /* what is not loaded is answered with -ENOENT, instead of being loaded for this question */
        sd_bus_slot *find;    /* PID 1 is asked whether it is */
        Part part;            /* what is asked */
        bool keep;            /* for the next who asks, if nothing was loaded meanwhile: */
        uint64_t n_loads;     /* Pid1's when it was asked */
        bool inet_listener;   /* socket units: at least one listener on an address of the network */
        char name[HELPER_UNIT_NAME_MAX]; /* as asked for; unit.unit is what PID 1 calls it */
        HelperUnit unit;
        UnitPaths paths;
};

static void query_clear(UnitQuery *q) {
        sd_bus_slot_unref(q->find);
        for (size_t i = 0; i < q->paths.n; i++)
                free(q->paths.paths[i]);
        for (size_t i = 0; i < ELEMENTSOF(q->calls); i++)
                sd_bus_slot_unref(q->calls[i].slot);
}

static void query_free(UnitQuery *q) {
        query_clear(q);
        free(q->paths.exec);
        free(q);
}

static void query_unlink(UnitQuery *q) {
        if (q->sent)
                q->pid1->n_queries--;
        for (UnitQuery **p = &q->pid1->queries; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        return;
                }
}

static void queries_send(Pid1 *p);

static int on_trim(sd_event_source *s, uint64_t usec, void *userdata) {
        malloc_trim(0);
        return 0;
}

/* What PID 1 said while a hundred units started at once, or were listed, has taken megabytes, of which the C library gives nothing back by itself. */
static void trim_later(Pid1 *p) {
        int k = 0, enabled = SD_EVENT_OFF;

        if (!p->trim)
                k = sd_event_add_time_relative(p->event, &p->trim, CLOCK_BOOTTIME, TRIM_USEC, USEC_PER_SEC, on_trim, NULL);
        else if (sd_event_source_get_enabled(p->trim, &enabled) >= 0 && enabled == SD_EVENT_OFF) {
                k = sd_event_source_set_time_relative(p->trim, TRIM_USEC);
                if (k >= 0)
                        k = sd_event_source_set_enabled(p->trim, SD_EVENT_ONESHOT);
        }
        if (k < 0)
                log_debug_errno(k, "Memory is not given back");
}

static void query_finish(UnitQuery *q) {
        Pid1 *p = q->pid1;
        HelperUnit *u = &q->unit;

        query_unlink(q);
        if (q->error >= 0 && !q->known)
                q->error = -ENOENT;
        if (u->cgroup[0]) {
                u->level = cgroup_level(u->cgroup);
                if (cgroup_id(q->pid1->cgroup_root_fd, u->cgroup, &u->cgroup_id) < 0)
                        u->cgroup_id = 0; /* ended since */
                if (u->level > HELPER_LEVEL_MAX)
                        u->flags |= HELPER_UNIT_TOO_DEEP;
        }
        if (q->inet_listener && u->active == HELPER_ACTIVE && !q->pid1->callbacks.has_listener(u->cgroup_id, q->pid1->callbacks.userdata))
                u->flags |= HELPER_UNIT_FOREIGN_LISTENER;
        if (q->error >= 0 && q->keep && q->n_loads == q->pid1->n_loads)
                pid1_know(q->pid1, q->name, u, &q->paths);
        q->callback(q->error, u, &q->paths, q->userdata);
        queries_send(p);
        query_free(q);
        trim_later(p);
}

void pid1_queries_fail(Pid1 *p, int error) {
        while (p->queries) {
                UnitQuery *q = p->queries;

                q->error = error;
                query_finish(q);
        }
}

/* daemon-reexec closes the connection, and whoever starts a unit just then must not notice: what was under way begins anew on the next one. */
void pid1_queries_lose(Pid1 *p) {
        p->n_queries = 0;
        for (UnitQuery *q = p->queries; q; q = q->next) {
                UnitQuery fresh = { .pid1 = p, .next = q->next, .callback = q->callback, .userdata = q->userdata, .lost = true,
                                    .loaded_only = q->loaded_only, .part = q->part, .keep = q->keep,
                                    .paths.exec = q->paths.exec };

                query_clear(q);
                memcpy(fresh.name, q->name, sizeof(fresh.name));
                memcpy(fresh.unit.unit, q->name, sizeof(fresh.unit.unit));
                if (fresh.paths.exec)
                        *fresh.paths.exec = (UnitExec) {};
                *q = fresh;
        }
}

/* ---- properties ---- */

static int copy_string(sd_bus_message *m, char *dest, size_t size) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        if (k < 0)
                return k;
        if (strlen(s) >= size)
                return -ENAMETOOLONG;
        memcpy(dest, s, strlen(s) + 1);
        return 0;
}

static int add_path(UnitPaths *paths, const char *path) {
        if (!path[0])
                return 0;
        if (paths->n >= ELEMENTSOF(paths->paths)) {
                paths->overflow = true;
                return 0;
        }
        paths->paths[paths->n] = strdup(path);
        if (!paths->paths[paths->n])
                return -ENOMEM;
        paths->n++;
        return 0;
}

static int on_fragment(UnitQuery *q, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        return k < 0 ? k : add_path(&q->paths, s);
}

/* Asked for, and therefore answered, behind the fragment: the order of paths is that of application. */
static int on_drop_ins(UnitQuery *q, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_enter_container(m, 'v', "as");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "s");
        while (k >= 0 && (k = sd_bus_message_read(m, "s", &s)) > 0)
                k = add_path(&q->paths, s);
        if (k >= 0)
                k = sd_bus_message_exit_container(m);
        return k < 0 ? k : sd_bus_message_exit_container(m);
}

static int on_id(UnitQuery *q, sd_bus_message *m) {
        return copy_string(m, q->unit.unit, sizeof(q->unit.unit));
}

static int on_load_state(UnitQuery *q, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        if (k >= 0)
                q->known = !streq(s, "not-found") && !streq(s, "stub");
        return k;
}

static int on_active_state(UnitQuery *q, sd_bus_message *m) {
        static const struct {
                const char *name;
                HelperActive active;
        } states[] = { { "active", HELPER_ACTIVE }, { "reloading", HELPER_ACTIVE }, { "refreshing", HELPER_ACTIVE }, { "maintenance", HELPER_ACTIVE },
                       { "activating", HELPER_ACTIVATING }, { "deactivating", HELPER_DEACTIVATING } };
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        if (k < 0)
                return k;
        q->unit.active = HELPER_INACTIVE;
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (streq(s, states[i].name))
                        q->unit.active = states[i].active;
        if (streq(s, "failed"))
                q->unit.flags |= HELPER_UNIT_FAILED;
        return 0;
}

static int on_invocation_id(UnitQuery *q, sd_bus_message *m) {
        const void *id;
        size_t n = 0;
        int k = sd_bus_message_enter_container(m, 'v', "ay");

        if (k >= 0)
                k = sd_bus_message_read_array(m, 'y', &id, &n);
        if (k < 0)
                return k;
        if (n == sizeof(q->unit.invocation_id))
                memcpy(q->unit.invocation_id, id, n);
        return sd_bus_message_exit_container(m);
}

static int on_triggers(UnitQuery *q, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_enter_container(m, 'v', "as");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "s");
        while (k >= 0 && (k = sd_bus_message_read(m, "s", &s)) > 0)
                if (strlen(s) < sizeof(q->unit.triggers))
                        memcpy(q->unit.triggers, s, strlen(s) + 1);
        if (k >= 0)
                k = sd_bus_message_exit_container(m);
        return k < 0 ? k : sd_bus_message_exit_container(m);
}

static int on_slice(UnitQuery *q, sd_bus_message *m) {
        int k = copy_string(m, q->unit.slice, sizeof(q->unit.slice));

        if (k >= 0 && streq(q->unit.slice, "-.slice"))
                q->unit.slice[0] = '\0';
        return k;
}

static int on_control_group(UnitQuery *q, sd_bus_message *m) {
        return copy_string(m, q->unit.cgroup, sizeof(q->unit.cgroup));
}

static int on_main_pid(UnitQuery *q, sd_bus_message *m) {
        return sd_bus_message_read(m, "v", "u", &q->unit.main_pid);
}

static int on_result(UnitQuery *q, sd_bus_message *m) {
        return copy_string(m, q->unit.result, sizeof(q->unit.result));
}

static int on_delegate(UnitQuery *q, sd_bus_message *m) {
        int delegate, k = sd_bus_message_read(m, "v", "b", &delegate);

        if (k >= 0 && delegate)
                q->unit.flags |= HELPER_UNIT_TREE;
        return k;
}

static int on_private_network(UnitQuery *q, sd_bus_message *m) {
        int own, k = sd_bus_message_read(m, "v", "b", &own);

        if (k >= 0 && own)
                q->unit.flags |= HELPER_UNIT_OWN_NETWORK;
        return k;
}

static int on_network_namespace(UnitQuery *q, sd_bus_message *m) {
        const char *s;
        int k = sd_bus_message_read(m, "v", "s", &s);

        if (k >= 0 && s[0])
                q->unit.flags |= HELPER_UNIT_OWN_NETWORK;
        return k;
}

static int on_job(UnitQuery *q, sd_bus_message *m) {
        const char *path;
        uint32_t id;
        int k = sd_bus_message_read(m, "v", "(uo)", &id, &path);

        if (k >= 0 && id != 0)
                q->unit.flags |= HELPER_UNIT_JOB;
        return k;
}

static int on_listen(UnitQuery *q, sd_bus_message *m) {
        const char *type, *address;
        int k = sd_bus_message_enter_container(m, 'v', "a(ss)");

        if (k >= 0)
                k = sd_bus_message_enter_container(m, 'a', "(ss)");
        while (k >= 0 && (k = sd_bus_message_read(m, "(ss)", &type, &address)) > 0)
                if ((streq(type, "Stream") || streq(type, "Datagram")) && (address[0] == '[' || (address[0] >= '0' && address[0] <= '9')))
                        q->inet_listener = true;
        if (k >= 0)
                k = sd_bus_message_exit_container(m);
        return k < 0 ? k : sd_bus_message_exit_container(m);
}

enum { SERVICE = 1 << 0, SOCKET = 1 << 1, SLICE = 1 << 2, SCOPE = 1 << 3, EXEC = 1 << 4 /* of services, when asked for */,
       ANY = 0 /* of the interface of all units */ };

struct Property {
        const char *name;
        unsigned types;
        int (*read)(UnitQuery *q, sd_bus_message *m); /* NULL: unit_exec_read() does it */
        unsigned parts; /* also asked when only these matter: Part */
};

static const Property properties[] = {
        { "Id", ANY, on_id },
        { "LoadState", ANY, on_load_state, FILES | PROGRAM },
        { "FragmentPath", ANY, on_fragment, FILES },
        { "DropInPaths", ANY, on_drop_ins, FILES },
        { "Job", ANY, on_job }, /* ahead of ActiveState: "no job" and then "inactive" cannot be a start that was just over */
        { "ActiveState", ANY, on_active_state, PROGRAM },
        { "InvocationID", ANY, on_invocation_id },
        { "Triggers", ANY, on_triggers },
        { "Slice", SERVICE | SOCKET | SLICE | SCOPE, on_slice },
        { "ControlGroup", SERVICE | SOCKET | SLICE | SCOPE, on_control_group, PROGRAM },
        { "Result", SERVICE | SOCKET | SCOPE, on_result },
        { "MainPID", SERVICE, on_main_pid, PROGRAM },
        { "Delegate", SERVICE | SCOPE, on_delegate },
        { "PrivateNetwork", SERVICE | SOCKET, on_private_network },
        { "NetworkNamespacePath", SERVICE | SOCKET, on_network_namespace },
        { "Listen", SOCKET, on_listen },
        { "ExecStart", EXEC, NULL, PROGRAM },
        { "RootDirectory", EXEC, NULL, PROGRAM },
        { "RootImage", EXEC, NULL, PROGRAM },
        { "User", EXEC, NULL, PROGRAM },
        { "Group", EXEC, NULL, PROGRAM },
        { "SupplementaryGroups", EXEC, NULL, PROGRAM },
        { "DynamicUser", EXEC, NULL, PROGRAM },
        { "SELinuxContext", EXEC, NULL, PROGRAM },
        { "AppArmorProfile", EXEC, NULL, PROGRAM },
};

_Static_assert(ELEMENTSOF(properties) <= PROPERTIES_MAX, "a call for each");

static int on_property(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        PropertyCall *call = userdata;
        UnitQuery *q = call->query;
        const Property *p = call->property;
        int k = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : p->read ? p->read(q, m) : unit_exec_read(q->paths.exec, p->name, m);

        if (k < 0 && sd_bus_is_open(q->pid1->bus) <= 0)
                q->lost = true;
        if (k < 0 && q->error >= 0)
                q->error = k;
        if (--q->n_pending == 0 && !q->lost)
                query_finish(q);
        return 0;
}

/* ---- asking ---- */

static const struct UnitType {
        const char *suffix, *interface;
        unsigned type;
} types[] = {
        { ".service", "org.freedesktop.systemd1.Service", SERVICE },
        { ".socket", "org.freedesktop.systemd1.Socket", SOCKET },
        { ".slice", "org.freedesktop.systemd1.Slice", SLICE },
        { ".scope", "org.freedesktop.systemd1.Scope", SCOPE },
};

static int query_send_properties(UnitQuery *q) {
        const struct UnitType *type = types;
        _cleanup_free_ char *path = NULL;
        unsigned wanted;
        int k = sd_bus_path_encode("/org/freedesktop/systemd1/unit", q->name, &path);

        while (!streq(strrchr(q->name, '.'), type->suffix)) /* a valid unit name has one of them */
                type++;
        q->n_loads = q->pid1->n_loads;
        if (type->type == SLICE)
                q->unit.flags |= HELPER_UNIT_TREE;
        wanted = type->type | (type->type == SERVICE && q->paths.exec ? EXEC : 0);
        for (size_t i = 0; k >= 0 && i < ELEMENTSOF(properties); i++) {
                const Property *p = &properties[i];
                PropertyCall *call = &q->calls[i];

                if ((p->types != ANY && !(p->types & wanted)) || (q->part != WHOLE && !(p->parts & q->part)))
                        continue;
                *call = (PropertyCall) { .query = q, .property = p };
                k = sd_bus_call_method_async(q->pid1->bus, &call->slot, PID1_NAME, path, "org.freedesktop.DBus.Properties", "Get", on_property, call, "ss",
                                             p->types == ANY ? "org.freedesktop.systemd1.Unit" : type->interface, p->name);
                q->n_pending++;
        }
        return k;
}

static int on_found(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitQuery *q = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        q->find = sd_bus_slot_unref(q->find);
        if (e && sd_bus_is_open(q->pid1->bus) <= 0) {
                q->lost = true;
                return 0;
        }
        q->error = !e ? query_send_properties(q) : sd_bus_error_has_name(e, NO_SUCH_UNIT) ? -ENOENT : -sd_bus_message_get_errno(m);
        if (q->error < 0)
                query_finish(q);
        return 0;
}

static int query_send(UnitQuery *q) {
        if (!q->loaded_only)
                return query_send_properties(q);
        return sd_bus_call_method_async(q->pid1->bus, &q->find, PID1_NAME, PID1_PATH, PID1_MANAGER, "GetUnit", on_found, q, "s", q->name);
}

/* In turn, as many as may be under way. One that cannot be sent is answered with that. */
static void queries_send(Pid1 *p) {
        UnitQuery *q;

        if (!p->bus || sd_bus_is_open(p->bus) <= 0)
                return;
        do {
                for (q = p->queries; q && q->sent; q = q->next)
                        ;
                if (!q || p->n_queries >= QUERIES_MAX)
                        return;
                q->sent = true;
                q->lost = false;
                p->n_queries++;
                q->error = query_send(q);
        } while (q->error >= 0);
        query_finish(q); /* and goes on with the next */
}

/* PID 1 loads what it is asked about, tells everybody of all the units that depend on it, unloads it, and tells everybody again, for each property that is asked for: tens of
 * milliseconds of its time. So only who needs what stands in files asks about a unit that is not loaded; an attach, for which it is loaded, goes ahead of all that was not sent yet. */
static int query_start(Pid1 *p, const char *unit, UnitExec *exec, Part part, bool keep, UnitCallback callback, void *userdata) {
        bool ahead = keep && exec;
        UnitQuery **end = &p->queries;
        UnitQuery *q;

        if (!unit_name_is_valid(unit))
                return -EINVAL;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (UnitQuery) { .pid1 = p, .callback = callback, .userdata = userdata, .loaded_only = part != FILES && !keep, .part = part, .keep = keep, .paths.exec = exec };
        (void) snprintf(q->name, sizeof(q->name), "%s", unit);
        memcpy(q->unit.unit, q->name, sizeof(q->unit.unit));
        while (*end && ((*end)->sent || !ahead))
                end = &(*end)->next;
        q->next = *end;
        *end = q;
        if (p->bus && sd_bus_is_open(p->bus) > 0 && p->n_queries < QUERIES_MAX) { /* then it is the first that was not sent */
                int k;

                q->sent = true;
                p->n_queries++;
                k = query_send(q);
                if (k < 0) {
                        query_unlink(q);
                        q->paths.exec = NULL; /* still the caller's */
                        query_free(q);
                        return k;
                }
        }
        return 0;
}

void pid1_queries_repeat(Pid1 *p) {
        queries_send(p);
}

int pid1_get_unit(Pid1 *p, const char *unit, UnitCallback callback, void *userdata) {
        return query_start(p, unit, NULL, WHOLE, false, callback, userdata);
}

int pid1_get_unit_files(Pid1 *p, const char *unit, UnitCallback callback, void *userdata) {
        bool keep = unit_is_slice(unit); /* each unit has the same few above it */

        return pid1_answer_known(p, unit, false, callback, userdata) ? 0 : query_start(p, unit, NULL, FILES, keep, callback, userdata);
}

static int query_start_exec(Pid1 *p, const char *unit, Part part, bool attach, UnitCallback callback, void *userdata) {
        _cleanup_free_ UnitExec *exec = calloc(1, sizeof(*exec));
        int k = exec ? query_start(p, unit, exec, part, attach, callback, userdata) : -ENOMEM;

        if (k >= 0)
                TAKE_PTR(exec);
        return k;
}

int pid1_get_unit_exec(Pid1 *p, const char *unit, UnitCallback callback, void *userdata) {
        return pid1_answer_known(p, unit, true, callback, userdata) ? 0 : query_start_exec(p, unit, PROGRAM, false, callback, userdata);
}

int pid1_get_unit_to_attach(Pid1 *p, const char *unit, UnitCallback callback, void *userdata) {
        return query_start_exec(p, unit, WHOLE, true, callback, userdata);
}
