/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trireme-attach: run by trireme-attach@UNIT.service, ahead of the first process of UNIT. Asks the helper to attach that unit and waits; its exit
 * status lets PID 1 start the unit or not. Which unit, the helper sees from the control group. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ipc/attach-protocol.h"
#include "ipc/helper-protocol.h"
#include "util/fd.h"
#include "util/log.h"

#define TIMEOUT_SEC 85 /* longer than the helper's own, shorter than the unit's */

static int helper_ask(AttachReply *ret) {
        const AttachRequest request = { .version = ATTACH_PROTOCOL_VERSION };
        const struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = ATTACH_SOCKET_PATH };
        const struct timeval timeout = { .tv_sec = TIMEOUT_SEC };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ssize_t n;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &sa, sizeof(sa)) < 0 || send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
                return -errno;
        do
                n = recv(fd, ret, sizeof(*ret), 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        return n == sizeof(*ret) ? 0 : -EPROTO;
}

int main(int argc, char **argv) {
        AttachReply reply;
        int k;

        log_setup("trireme-attach");
        if (argc > 1) {
                log_error("usage: %s", argv[0]);
                return EXIT_FAILURE;
        }
        k = helper_ask(&reply);
        if (k < 0) {
                log_error_errno(k, "The helper does not answer (see systemctl status trireme-helper trireme)");
                return EXIT_FAILURE;
        }
        if (reply.result >= 0)
                return EXIT_SUCCESS;
        reply.reason[sizeof(reply.reason) - 1] = '\0';
        log_full(LOG_ERR, reply.result, "Not attached%s%s", reply.reason[0] ? ": " : "", reply.reason);
        return EXIT_FAILURE;
}
