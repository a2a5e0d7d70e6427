/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/identity.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "helper/cgroup.h"
#include "helper/open-trusted.h"
#include "helper/process.h"
#include "util/fd.h"
#include "util/log.h"

#define PROCESSES_MAX 256u /* of a control group that are compared by age */

typedef struct Process {
        pid_t pid;
        int pidfd;
} Process;

/* ---- which process ---- */

static bool cgroup_contains(const char *cgroup, const char *path) {
        const char *rest = startswith(path, cgroup);

        return cgroup[0] && rest && (!rest[0] || rest[0] == '/');
}

/* The number was the unit's own all the time if it is still alive and still in the unit's control group. */
static bool process_is_of(const Process *p, const HelperUnit *unit) {
        char cgroup[HELPER_CGROUP_MAX];

        return cgroup_of_pid(p->pid, cgroup) >= 0 && cgroup_contains(unit->cgroup, cgroup) && process_alive(p->pidfd);
}

/* Start time in clock ticks since boot, proc(5): field 22, counted behind the name, which may hold anything. 0: gone. */
static unsigned long long start_time(pid_t pid) {
        _cleanup_close_ int fd = -1;
        char path[64], text[1024];
        unsigned long long t = 0;
        const char *s;
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        s = strrchr(text, ')');
        for (unsigned field = 2; s && field < 22; field++)
                s = strchr(s + 1, ' ');
        return s && sscanf(s, " %llu", &t) == 1 ? t : 0;
}

static pid_t oldest_process(int root_fd, const HelperUnit *unit) {
        unsigned long long oldest = ULLONG_MAX;
        char path[HELPER_CGROUP_MAX + 16];
        pid_t pid = 0;
        int fd, n;
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/cgroup.procs", unit->cgroup + 1);
        fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f) {
                closep(&fd);
                return 0;
        }
        for (unsigned i = 0; i < PROCESSES_MAX && fscanf(f, "%d", &n) == 1; i++) {
                unsigned long long t = n > 0 ? start_time(n) : 0;

                if (t == 0 || t >= oldest)
                        continue;
                oldest = t;
                pid = n;
        }
        fclose(f);
        return pid;
}

/* A service that only starts has no main process but those of ExecStartPre=, which are not it. */
static pid_t main_process(int root_fd, const HelperUnit *unit) {
        const char *dot = strrchr(unit->unit, '.');

        if (unit->main_pid != 0)
                return (pid_t) unit->main_pid;
        if (!unit->cgroup[0] || !dot || streq(dot, ".slice") || unit->active != HELPER_ACTIVE)
                return 0;
        return oldest_process(root_fd, unit);
}

/* ---- what it executes ---- */

static bool same_file(int a, int b) {
        struct stat x, y;

        return fstat(a, &x) >= 0 && fstat(b, &y) >= 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool leads_to(const char *path, int file_fd) {
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

        return fd >= 0 && same_file(fd, file_fd);
}

static int exe_open(pid_t pid, char ret_path[static HELPER_PATH_MAX]) {
        _cleanup_close_ int path_fd = -1;
        char name[64], path[HELPER_PATH_MAX];
        ssize_t n;
        int fd;

        (void) snprintf(name, sizeof(name), "/proc/%d/exe", (int) pid);
        path_fd = open(name, O_PATH | O_CLOEXEC);
        if (path_fd < 0)
                return -errno;
        n = readlink(name, path, sizeof(path));
        if (n < 0)
                return -errno;
        fd = reopen_regular(path_fd);
        if (fd < 0)
                return fd;
        if ((size_t) n >= sizeof(path))
                n = 0;
        memcpy(ret_path, path, (size_t) n);
        ret_path[n] = '\0';
        return fd;
}

/* PID 1's child before it becomes the unit's program: PID 1 itself, or since systemd 254 an executor. What it is about to be is not to be seen in it. */
static bool not_executed_yet(int fd, const char *path, int start_fd) {
        _cleanup_close_ int self = open("/proc/1/exe", O_PATH | O_CLOEXEC);
        const char *name = strrchr(path, '/');

        if (start_fd >= 0 && same_file(fd, start_fd)) /* a user's service manager is the same program as PID 1 */
                return false;
        return (self >= 0 && same_file(fd, self)) || (name && streq(name, "/systemd-executor"));
}

static int root_open(const UnitExec *exec) {
        int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

        if (root < 0)
                return -errno;
        if (!exec->root_directory[0] || streq(exec->root_directory, "/"))
                return root;
        fd = open_trusted(root, exec->root_directory, 0);
        close(root);
        return fd;
}

static int start_open(const UnitExec *exec) {
        _cleanup_close_ int root = -1, path_fd = -1;

        if (!exec->start[0] || exec->other_root)
                return -ENOENT;
        root = root_open(exec);
        if (root < 0)
                return root;
        path_fd = open_trusted(root, exec->start, 0);
        return path_fd < 0 ? path_fd : reopen_regular(path_fd);
}

static void add_executable(Identity *id, uint32_t flags, pid_t pid, const char *path, int fd) {
        HelperExecutable *e = &id->executables[id->n_executables];

        *e = (HelperExecutable) { .flags = flags, .pid = (uint32_t) pid };
        (void) snprintf(e->path, sizeof(e->path), "%s", path);
        id->fds[id->n_executables++] = fd;
}

/* ---- as whom ---- */

static void read_groups(const char *s, HelperCredentials *c) {
        char *end;

        for (;; s = end) {
                unsigned long gid = strtoul(s, &end, 10);

                if (end == s)
                        return;
                if (c->n_groups >= HELPER_GROUPS_MAX) {
                        c->flags |= HELPER_GROUPS_CUT;
                        return;
                }
                c->groups[c->n_groups++] = (uint32_t) gid;
        }
}

static int read_status(pid_t pid, HelperCredentials *c) {
        _cleanup_free_ char *line = NULL;
        bool has_uid = false, has_gid = false, has_groups = false;
        char path[64];
        size_t size = 0;
        FILE *f;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        while (!has_groups && getline(&line, &size, f) > 0) {
                if (sscanf(line, "Uid: %*u %u", &c->uid) == 1)
                        has_uid = true;
                else if (sscanf(line, "Gid: %*u %u", &c->gid) == 1)
                        has_gid = true;
                else if (startswith(line, "Groups:")) {
                        read_groups(line + strlen("Groups:"), c);
                        has_groups = true;
                }
        }
        fclose(f);
        return has_uid && has_gid && has_groups ? 0 : -ESRCH;
}

static void read_label(int proc_fd, const char *name, char ret[static HELPER_NAME_MAX]) {
        _cleanup_close_ int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
        char text[HELPER_NAME_MAX];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

        if (n <= 0 || (size_t) n >= sizeof(text))
                return;
        while (n > 0 && (!text[n - 1] || isspace((unsigned char) text[n - 1])))
                n--;
        memcpy(ret, text, (size_t) n);
        ret[n] = '\0';
}

void identity_read_labels(int proc_fd, bool selinux, HelperCredentials *c) {
        read_label(proc_fd, "attr/apparmor/current", c->apparmor);
        if (selinux) /* else "current" is another module's */
                read_label(proc_fd, "attr/current", c->selinux);
}

static void read_labels(pid_t pid, HelperCredentials *c) {
        _cleanup_close_ int fd = -1;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d", (int) pid);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                identity_read_labels(fd, access("/sys/fs/selinux/enforce", F_OK) >= 0, c);
}

static void settings_user(const UnitExec *exec, HelperCredentials *c) {
        if (exec->dynamic_user)
                c->flags |= HELPER_DYNAMIC_USER;
        memcpy(c->user, exec->user, sizeof(c->user));
        memcpy(c->group, exec->group, sizeof(c->group));
}

static void settings_credentials(const UnitExec *exec, HelperCredentials *c) {
        settings_user(exec, c);
        if (exec->groups_cut)
                c->flags |= HELPER_GROUPS_CUT;
        memcpy(c->group_names, exec->groups, sizeof(c->group_names));
        memcpy(c->selinux, exec->selinux, sizeof(c->selinux));
        memcpy(c->apparmor, exec->apparmor, sizeof(c->apparmor));
        c->n_groups = exec->n_groups;
}

/* ---- both ---- */

/* -EAGAIN: it is not the unit's program yet. */
static int process_read(const Process *p, const HelperUnit *unit, const UnitExec *exec, int start_fd, Identity *id) {
        HelperCredentials c = { .flags = HELPER_FROM_PROCESS, .pid = (uint32_t) p->pid };
        char path[HELPER_PATH_MAX] = "";
        _cleanup_close_ int fd = -1;
        uint32_t flags = HELPER_FROM_PROCESS;
        int k;

        if (!process_is_of(p, unit))
                return -ESRCH;
        fd = exe_open(p->pid, path);
        if (fd < 0)
                return fd;
        if (not_executed_yet(fd, path, start_fd))
                return -EAGAIN;
        k = read_status(p->pid, &c);
        if (k < 0)
                return k;
        settings_user(exec, &c);
        read_labels(p->pid, &c);
        if (!process_is_of(p, unit))
                return -ESRCH;
        if (start_fd >= 0 && same_file(fd, start_fd)) /* below a RootDirectory= the kernel's path is another */
                (void) snprintf(path, sizeof(path), "%s", exec->start);
        if (path[0] && (leads_to(path, fd) || (start_fd >= 0 && same_file(fd, start_fd))))
                flags |= HELPER_PATH_IS_FILE;
        id->credentials = c;
        add_executable(id, flags, p->pid, path, TAKE_FD(fd));
        return 0;
}

void identity_read(int cgroup_root_fd, const HelperUnit *unit, const UnitExec *exec, Identity *ret) {
        _cleanup_close_ int start_fd = start_open(exec);
        Process p = { .pid = main_process(cgroup_root_fd, unit), .pidfd = -1 };
        int k = -ESRCH;

        *ret = (Identity) {};
        if (p.pid > 0)
                p.pidfd = (int) syscall(SYS_pidfd_open, p.pid, 0);
        if (p.pidfd >= 0) {
                k = process_read(&p, unit, exec, start_fd, ret);
                if (k < 0 && k != -EAGAIN && k != -ESRCH)
                        log_debug_errno(k, "Cannot look at process %d of %s", (int) p.pid, unit->unit);
                close(p.pidfd);
        }
        if (k < 0)
                settings_credentials(exec, &ret->credentials);
        if (start_fd >= 0)
                add_executable(ret, HELPER_PATH_IS_FILE | (exec->root_directory[0] ? HELPER_OTHER_ROOT : 0), 0, exec->start, TAKE_FD(start_fd));
}

void identity_done(Identity *identity) {
        for (size_t i = 0; i < identity->n_executables; i++)
                closep(&identity->fds[i]);
}
