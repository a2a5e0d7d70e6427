/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "datapath/notify.h"
#include "util/fd.h"
#include "util/log.h"

/* Twice as often as is asked for. */
static int watchdog_usec(usec_t *ret) {
        const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        char *end;
        usec_t n;

        if (!text || (pid && strtol(pid, NULL, 10) != getpid()))
                return 0;
        errno = 0;
        n = strtoumax(text, &end, 10);
        if (errno != 0 || *end != '\0' || n == 0 || n == USEC_INFINITY)
                return -EINVAL;
        *ret = n / 2;
        return 0;
}

int notify_open(Notify *n) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        _cleanup_close_ int fd = -1;
        size_t len;
        int r;

        if (!path)
                return 0;
        len = strlen(path);
        if (len == 0 || len >= sizeof(address.sun_path))
                return log_error_errno(EINVAL, "$NOTIFY_SOCKET is no socket's name");
        memcpy(address.sun_path, path, len);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len)) < 0)
                return log_error_errno(errno, "Cannot reach the service manager");
        r = watchdog_usec(&n->watchdog_usec);
        if (r < 0)
                return log_error_errno(r, "$WATCHDOG_USEC is not a time");
        n->fd = TAKE_FD(fd);
        return 0;
}

void notify_close(Notify *n) {
        closep(&n->fd);
        *n = (Notify) NOTIFY_INIT;
}

void notify_send(const Notify *n, const char *state) {
        if (n->fd >= 0 && send(n->fd, state, strlen(state), MSG_NOSIGNAL) < 0)
                log_warning_errno(errno, "Cannot notify the service manager");
}

void notify_alive(const Notify *n) {
        static const char state[] = "WATCHDOG=1";

        if (n->fd >= 0 && send(n->fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
                log_warning_errno(errno, "Cannot notify the service manager");
}

/* FDPOLL=0, because PID 1 closes stored sockets that show an error, and those of queues show an overrun so. */
int notify_store(const Notify *n, const char *name, int fd) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {
                .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) },
        };
        char state[64];
        struct iovec iov = { .iov_base = state };
        const struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

        if (n->fd < 0)
                return 0;
        iov.iov_len = (size_t) snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
        if (iov.iov_len >= sizeof(state))
                return -ENAMETOOLONG;
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
        return sendmsg(n->fd, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
