/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <systemd/sd-daemon.h>

#include "datapath/notify.h"
#include "util/fd.h"
#include "util/log.h"

int notify_open(Notify *n) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        _cleanup_close_ int fd = -1;
        uint64_t watchdog = 0;
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
        r = sd_watchdog_enabled(false, &watchdog);
        if (r < 0)
                return log_error_errno(r, "$WATCHDOG_USEC is not a time");
        n->watchdog_usec = watchdog / 2;
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
