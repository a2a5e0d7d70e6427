/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/request-async.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper/attached.h"
#include "helper/cgroup.h"
#include "helper/identity.h"
#include "helper/plugin.h"
#include "helper/process.h"
#include "util/fd.h"
#include "util/log.h"

#define LISTING_MAX 64u

/* A reply that waits for PID 1. The connection may be another one by then: its number is compared. */
typedef struct Later {
        Manager *manager;
        uint64_t connection;
        uint32_t serial;
        unsigned n_pending;
        int result;
        /* CLOSE_UNIT */
        uint32_t index;
        /* START_SCOPE */
        int pidfd;
        uint32_t pid;
        uint64_t cgroup_id;
        char cgroup[HELPER_CGROUP_MAX];
        char unit[HELPER_UNIT_NAME_MAX]; /* the scope; or RELEASE_UNIT, with cgroup_id */
        /* LIST_UNITS */
        char **units;
        size_t n_units, next_unit;
        /* RUN_PLUGIN */
        char plugin[HELPER_PLUGIN_NAME_MAX];
} Later;

static Later *later_new(Manager *m, const HelperHeader *h) {
        Later *l = calloc(1, sizeof(*l));

        if (l)
                *l = (Later) { .manager = m, .connection = m->n_connections, .serial = h->serial, .pidfd = -1 };
        return l;
}

static bool later_wanted(const Later *l) {
        return connection_ready(l->manager) && l->manager->n_connections == l->connection;
}

static void later_free(Later *l) {
        for (size_t i = 0; i < l->n_units; i++)
                free(l->units[i]);
        free(l->units);
        closep(&l->pidfd);
        free(l);
}

static void later_reply(Later *l, int result) {
        if (later_wanted(l)) {
                connection_reply(l->manager, l->serial, result);
                manager_tell_state(l->manager);
        }
        later_free(l);
}

static void later_send_unit(Later *l, const HelperUnit *unit) {
        HelperUnit data = *unit;

        data.header = (HelperHeader) { HELPER_UNIT, l->serial };
        manager_complete_unit(l->manager, &data);
        if (later_wanted(l))
                connection_send(l->manager, &data, sizeof(data), NULL, 0);
}

/* ---- units ---- */

static void on_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Later *l = userdata;

        if (error >= 0)
                later_send_unit(l, unit);
        else if (error == -ENOENT)
                manager_tell_result(l->manager, unit->unit);
        later_reply(l, error);
}

int request_get_unit(Manager *m, const HelperRequest *r) {
        Later *l = later_new(m, &r->header);
        int k = l ? pid1_get_unit(m->pid1, r->unit, on_unit, l) : -ENOMEM;

        if (k < 0 && l)
                later_free(l);
        return k;
}

int request_release(Manager *m, const char *unit, uint64_t cgroup_id) {
        int k;

        attached_forget(m->options.attached_dir, unit, cgroup_id);
        k = table_remove_unit(m->table, cgroup_id);
        if (k >= 0)
                log_info("The enforcer has %s released, cgroup %llu", unit[0] ? unit : "a unit that ended before", (unsigned long long) cgroup_id);
        return k;
}

/* Only PID 1 knows whether the start that was prepared is over, or was given up: it is asked from here, after that attach, so what it says cannot be about the life before. An
 * attach that has begun meanwhile has removed the file. */
static void on_prepared_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Later *l = userdata;
        Manager *m = l->manager;
        bool over = error == -ENOENT || (error >= 0 && unit->active == HELPER_INACTIVE && !(unit->flags & HELPER_UNIT_JOB));
        int k = over ? cgroup_is_populated(m->cgroup_root_fd, l->cgroup_id, l->cgroup) : 0; /* it may have started and ended meanwhile */

        if (!over || k != 0 || !attached_is(m->options.attached_dir, l->unit, l->cgroup_id) || attach_waits(m, l->cgroup_id)) {
                later_reply(l, error < 0 && error != -ENOENT ? error : k > 0 ? -EBUSY : -EAGAIN);
                return;
        }
        later_reply(l, request_release(m, l->unit, l->cgroup_id));
}

int request_release_prepared(Manager *m, const HelperRelease *r, const char *unit) {
        Later *l = later_new(m, &r->header);
        int k = -ENOMEM;

        if (l) {
                l->cgroup_id = r->cgroup_id;
                memcpy(l->unit, unit, strlen(unit) + 1);
                memcpy(l->cgroup, r->cgroup, sizeof(l->cgroup));
                k = pid1_get_unit(m->pid1, unit, on_prepared_unit, l);
        }
        if (k < 0 && l)
                later_free(l);
        return k;
}

static void on_listed_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata);

/* Not all at once: each question under way takes some 20 KiB of messages, and there may be thousands of units. */
static void list_read(Later *l) {
        if (!later_wanted(l))
                l->next_unit = l->n_units;
        while (l->next_unit < l->n_units && l->n_pending < LISTING_MAX) {
                int k = pid1_get_unit(l->manager->pid1, l->units[l->next_unit++], on_listed_unit, l);

                if (k < 0)
                        l->result = k;
                else
                        l->n_pending++;
        }
        if (l->n_pending == 0)
                later_reply(l, l->result);
}

static void on_listed_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Later *l = userdata;

        if (error >= 0)
                later_send_unit(l, unit);
        else if (error != -ENOENT) /* unloaded meanwhile, or only a name that others mention */
                l->result = error;
        l->n_pending--;
        list_read(l);
}

static void on_list(int error, const char *const *units, size_t n, void *userdata) {
        Later *l = userdata;

        l->result = error;
        l->units = calloc(n, sizeof(*l->units));
        if (n > 0 && !l->units)
                l->result = -ENOMEM;
        for (; l->result >= 0 && l->n_units < n; l->n_units++) {
                l->units[l->n_units] = strdup(units[l->n_units]);
                if (!l->units[l->n_units])
                        l->result = -ENOMEM;
        }
        list_read(l);
}

int request_list_units(Manager *m, const HelperRequest *r) {
        Later *l = later_new(m, &r->header);
        int k = l ? pid1_list_units(m->pid1, on_list, l) : -ENOMEM;

        if (k < 0 && l)
                later_free(l);
        return k;
}

/* ---- files ---- */

static int file_open(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 && errno == ENOENT) /* not PID 1's "no such unit": it has read the file, and not looked since */
                return -ESTALE;
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? TAKE_FD(fd) : S_ISCHR(st.st_mode) ? -ERFKILL /* masked, in systemd's words */ : -EBADF;
}

static int files_send(Later *l, const UnitPaths *paths) {
        _cleanup_free_ HelperUnitFiles *data = calloc(1, sizeof(*data));
        int fds[HELPER_DROPINS_MAX], k = 0;
        size_t n = 0;

        if (!data)
                return -ENOMEM;
        if (paths->overflow)
                return -E2BIG;
        data->header = (HelperHeader) { HELPER_UNIT_FILES, l->serial };
        for (; n < paths->n; n++) {
                fds[n] = file_open(paths->paths[n]);
                if (fds[n] < 0) {
                        k = fds[n];
                        if (k != -ERFKILL)
                                log_warning_errno(k, "Cannot open %s", paths->paths[n]);
                        break;
                }
                (void) snprintf(data->paths[n], sizeof(data->paths[n]), "%.*s", (int) sizeof(data->paths[n]) - 1, paths->paths[n]);
        }
        data->n_files = (uint32_t) n;
        if (k >= 0 && later_wanted(l))
                connection_send(l->manager, data, sizeof(*data), fds, n);
        for (size_t i = 0; i < n; i++)
                close(fds[i]);
        return k;
}

static void on_unit_files(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        later_reply(userdata, error < 0 ? error : files_send(userdata, paths));
}

int request_open_unit_files(Manager *m, const HelperRequest *r) {
        Later *l = later_new(m, &r->header);
        int k = l ? pid1_get_unit_files(m->pid1, r->unit, on_unit_files, l) : -ENOMEM;

        if (k < 0 && l)
                later_free(l);
        return k;
}

/* ---- identity ---- */

static void identity_send(Later *l, const HelperUnit *unit, const UnitExec *exec) {
        Identity identity;

        identity_read(l->manager->cgroup_root_fd, unit, exec, &identity);
        identity.credentials.header = (HelperHeader) { HELPER_CREDENTIALS, l->serial };
        if (later_wanted(l))
                connection_send(l->manager, &identity.credentials, sizeof(identity.credentials), NULL, 0);
        for (size_t i = 0; i < identity.n_executables; i++) {
                identity.executables[i].header = (HelperHeader) { HELPER_EXECUTABLE, l->serial };
                if (later_wanted(l))
                        connection_send(l->manager, &identity.executables[i], sizeof(identity.executables[i]), &identity.fds[i], 1);
        }
        identity_done(&identity);
}

static void on_unit_identity(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        if (error >= 0)
                identity_send(userdata, unit, paths->exec);
        later_reply(userdata, error);
}

int request_get_identity(Manager *m, const HelperRequest *r) {
        Later *l = later_new(m, &r->header);
        int k = l ? pid1_get_unit_exec(m->pid1, r->unit, on_unit_identity, l) : -ENOMEM;

        if (k < 0 && l)
                later_free(l);
        return k;
}

/* ---- plug-ins ---- */

static void on_plugin(int error, void *userdata) {
        later_reply(userdata, error);
}

static int plugin_start(Later *l, const HelperUnit *unit) {
        char path[PLUGIN_PATH_MAX], name[HELPER_UNIT_NAME_MAX], unit_text[HELPER_UNIT_NAME_MAX + 16], cgroup[HELPER_CGROUP_MAX + 16], pid[32];
        const HelperPlugin data = { .header = { HELPER_PLUGIN, l->serial } };
        _cleanup_close_ int in = -1, out = -1;
        int fds[2], k = plugin_find(l->plugin, path);

        if (k < 0)
                return k;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        in = fds[0];
        out = fds[1];
        (void) snprintf(name, sizeof(name), "trireme-metadata-%s-%llx-%x.service", l->plugin, (unsigned long long) l->connection, l->serial);
        (void) snprintf(unit_text, sizeof(unit_text), "TRIREME_UNIT=%s", unit->unit);
        (void) snprintf(cgroup, sizeof(cgroup), "TRIREME_CGROUP=%s", unit->cgroup);
        (void) snprintf(pid, sizeof(pid), "TRIREME_MAIN_PID=%u", unit->main_pid);
        k = pid1_start_plugin(l->manager->pid1, name, &(PluginStart) { .path = path, .unit = unit_text, .cgroup = cgroup, .main_pid = pid, .stdout_fd = out }, on_plugin, l);
        if (k >= 0 && later_wanted(l))
                connection_send(l->manager, &data, sizeof(data), &in, 1);
        return k;
}

static void on_plugin_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        int k = error < 0 ? error : plugin_start(userdata, unit);

        if (k < 0)
                later_reply(userdata, k);
}

int request_run_plugin(Manager *m, const HelperPlugin *r) {
        Later *l = later_new(m, &r->header);
        int k;

        if (!l)
                return -ENOMEM;
        strcpy(l->plugin, r->name);
        k = pid1_get_unit(m->pid1, r->unit, on_plugin_unit, l);
        if (k < 0)
                later_free(l);
        return k;
}

/* ---- close ---- */

static void on_unit_to_close(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Later *l = userdata;

        if (error >= 0 && unit->cgroup_id == 0)
                error = -ENOENT;
        if (error >= 0)
                error = manager_close_cgroup(l->manager, unit->cgroup_id, unit->level, l->index, true);
        later_reply(l, error);
}

int request_close_unit(Manager *m, const HelperUnitRequest *r) {
        Later *l = later_new(m, &r->header);
        int k;

        if (!l)
                return -ENOMEM;
        l->index = r->index;
        k = pid1_get_unit(m->pid1, r->unit, on_unit_to_close, l);
        if (k < 0)
                later_free(l);
        return k;
}

/* ---- scopes ---- */

static void on_scope_unit(int error, const HelperUnit *unit, const UnitPaths *paths, void *userdata) {
        Later *l = userdata;

        if (error >= 0 && unit->cgroup_id != l->cgroup_id)
                error = -ESTALE; /* PID 1 did not take our directory */
        if (error >= 0)
                later_send_unit(l, unit);
        later_reply(l, error);
}

static void on_scope(int error, void *userdata) {
        char cgroup[HELPER_CGROUP_MAX];
        Later *l = userdata;

        if (error >= 0)
                error = cgroup_of_pid((pid_t) l->pid, cgroup);
        if (error >= 0 && !streq(cgroup, l->cgroup))
                error = -ESTALE;
        if (error >= 0 && !process_alive(l->pidfd)) /* asked last: until then the number was its own */
                error = -ESRCH;
        if (error >= 0)
                error = pid1_get_unit(l->manager->pid1, l->unit, on_scope_unit, l);
        if (error < 0) {
                if (table_remove_unit(l->manager->table, l->cgroup_id) < 0)
                        log_debug("Nothing to remove of %s", l->unit);
                later_reply(l, error);
        }
}

static int scope_prepare(Later *l, const HelperScope *r, int pidfd) {
        size_t n = (size_t) snprintf(l->unit, sizeof(l->unit), "trireme-run-");
        int k;

        for (size_t i = 0; i < sizeof(r->id); i++)
                n += (size_t) snprintf(l->unit + n, sizeof(l->unit) - n, "%02x", r->id[i]);
        (void) snprintf(l->unit + n, sizeof(l->unit) - n, ".scope");
        l->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
        if (l->pidfd < 0)
                return -errno;
        k = pid_of_pidfd(l->pidfd, &l->pid);
        if (k >= 0)
                k = process_check_uid(l->pid, r->uid);
        if (k >= 0 && !process_alive(l->pidfd))
                k = -ESRCH;
        if (k >= 0)
                k = cgroup_path_of_unit(l->unit, "trireme.slice", l->cgroup);
        if (k >= 0)
                k = cgroup_make(l->manager->cgroup_root_fd, l->cgroup, &l->cgroup_id);
        if (k >= 0)
                k = manager_close_cgroup(l->manager, l->cgroup_id, cgroup_level(l->cgroup), 0, true);
        return k;
}

int request_start_scope(Manager *m, const HelperScope *r, int pidfd) {
        Later *l = later_new(m, &r->header);
        int k;

        if (!l)
                return -ENOMEM;
        k = scope_prepare(l, r, pidfd);
        if (k >= 0)
                k = pid1_start_scope(m->pid1, l->unit, l->pidfd, l->pid, on_scope, l);
        if (k < 0)
                later_free(l);
        return k;
}
