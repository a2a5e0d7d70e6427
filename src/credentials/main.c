/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trireme-credentials: hands the directory of its credentials to the enforcer, which asks for it on reload. It looks at nothing itself. It runs as the enforcer's user, whose socket this
 * is, and stays until the enforcer has read what it wants: PID 1 removes the directory when it ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "util/fd.h"
#include "util/listen.h"
#include "util/log.h"

#define STAY_MSEC 30000

static int pass(int connection, int directory) {
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {};
        uint8_t byte = 0;
        struct iovec iov = { &byte, sizeof(byte) };
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (directory >= 0) {
                control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.head), &directory, sizeof(directory));
                mh.msg_control = &control;
                mh.msg_controllen = sizeof(control);
        }
        return sendmsg(connection, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int run(void) {
        const char *path = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_close_ int connection = -1, directory = -1;
        struct pollfd p = { .events = POLLIN };
        int r;

        connection = listen_accept();
        if (connection < 0)
                return log_error_errno(connection, "Need one socket from PID 1, and a connection");
        if (path) { /* not set where there is no credential at all */
                directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (directory < 0)
                        return log_error_errno(errno, "Cannot open %s", path);
        }
        r = pass(connection, directory);
        if (r < 0)
                return log_error_errno(r, "Cannot pass the credentials");
        p.fd = connection;
        return poll(&p, 1, STAY_MSEC) < 0 ? log_error_errno(errno, "Cannot wait") : 0;
}

int main(int argc, char **argv) {
        if (argc > 1) {
                fprintf(stderr, "%s takes no arguments; it is started by trireme-credentials.socket.\n", argv[0]);
                return EXIT_FAILURE;
        }
        log_setup("trireme-credentials");
        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
