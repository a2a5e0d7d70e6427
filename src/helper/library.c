/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/library.h"

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

bool library_path_is_valid(const char *path) {
        const char *name = strrchr(path, '/');

        return path[0] == '/' && strstr(name, ".so");
}

/* A link may lead to a file of another name: what is handed over is named like a library itself. */
static int open_checked(int path_fd) {
        char link[64], path[PATH_MAX];
        struct stat st;
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0 || fstat(path_fd, &st) < 0)
                return -errno;
        path[n] = '\0';
        return library_path_is_valid(path) && st.st_mode & S_IROTH ? reopen_regular(path_fd) : -EACCES;
}

int library_open_below(int root_fd, const HelperLibrary *request, uint32_t *ret_index) {
        for (uint32_t i = 0; i < request->n_paths; i++) {
                _cleanup_close_ int path_fd = open_trusted(root_fd, request->paths[i], 0);
                int fd;

                if (path_fd == -ENOENT || path_fd == -ENOTDIR)
                        continue;
                fd = path_fd < 0 ? path_fd : open_checked(path_fd);
                if (fd >= 0)
                        *ret_index = i;
                return fd;
        }
        return -ENOENT;
}

static bool runs_in(const HelperLibrary *request) {
        char cgroup[HELPER_CGROUP_MAX], name[HELPER_UNIT_NAME_MAX + 2];
        const char *found;

        if (cgroup_of_pid((pid_t) request->pid, cgroup) < 0)
                return false;
        (void) snprintf(name, sizeof(name), "/%s", request->unit);
        found = strstr(cgroup, name);
        return found && (!found[strlen(name)] || found[strlen(name)] == '/');
}

static int root_of_process(const HelperLibrary *request) {
        _cleanup_close_ int pidfd = (int) syscall(SYS_pidfd_open, (pid_t) request->pid, 0), root = -1;
        char path[64];

        if (pidfd < 0)
                return -errno;
        (void) snprintf(path, sizeof(path), "/proc/%u/root", request->pid);
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return -errno;
        return runs_in(request) && process_alive(pidfd) ? TAKE_FD(root) : -ESRCH; /* asked last: until then the number was its own */
}

int library_open(const HelperLibrary *request, uint32_t *ret_index) {
        _cleanup_close_ int root = request->pid > 0 ? root_of_process(request) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root < 0)
                return request->pid > 0 ? root : -errno;
        return library_open_below(root, request, ret_index);
}
