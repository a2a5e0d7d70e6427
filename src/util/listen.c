/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* -ENXIO: there is no such variable. */
static int number_from_environment(const char *name) {
        const char *text = getenv(name);
        char *end;
        long n;

        if (!text)
                return -ENXIO;
        errno = 0;
        n = strtol(text, &end, 10);
        return errno != 0 || end == text || *end != '\0' || n < 0 || n > INT_MAX - LISTEN_FDS_START ? -EINVAL : (int) n;
}

int listen_fds(void) {
        int pid = number_from_environment("LISTEN_PID"), n;

        if (pid == -ENXIO || (pid >= 0 && pid != getpid()))
                return 0;
        n = pid < 0 ? pid : number_from_environment("LISTEN_FDS");
        if (n < 0)
                return n == -ENXIO ? 0 : n;
        for (int i = 0; i < n; i++)
                if (fcntl(LISTEN_FDS_START + i, F_SETFD, FD_CLOEXEC) < 0)
                        return -errno;
        return n;
}

int listen_accept(void) {
        int n = listen_fds(), fd;

        if (n != 1)
                return n < 0 ? n : -ENOTSOCK;
        fd = accept4(LISTEN_FDS_START, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return -errno;
        close(LISTEN_FDS_START);
        return fd;
}

bool listen_fd_has_name(int i, const char *name) {
        const char *p = getenv("LISTEN_FDNAMES");

        for (; p && i > 0; i--) {
                p = strchr(p, ':');
                p = p ? p + 1 : NULL;
        }
        return p && strcspn(p, ":") == strlen(name) && memcmp(p, name, strlen(name)) == 0;
}
