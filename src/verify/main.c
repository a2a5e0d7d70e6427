/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trireme-verify: judges peers' certificates for the enforcer, so that a bug in an X.509 reader finds no key, no bus and no right. It is not trireme-inspect: what a
 * local user's executable did to that one must not vouch for a node. PID 1 hands over the listening socket (trireme-verify.socket); one process serves one
 * connection and ends with it. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "crypto/certificate.h"
#include "util/fd.h"
#include "util/listen.h"
#include "util/log.h"
#include "verify/serve.h"

static int run(void) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = listen_accept();
        if (fd < 0)
                return log_error_errno(fd, "Need one socket from PID 1, and a connection");
        r = certificate_prepare();
        if (r < 0)
                return log_error_errno(r, "Cannot set up libcrypto");
        r = verify_sandbox_enter();
        if (r < 0)
                return log_error_errno(r, "Cannot enter the sandbox");
        r = verify_serve(fd);
        return r < 0 ? log_error_errno(r, "Cannot go on") : 0;
}

int main(int argc, char **argv) {
        if (argc > 1) {
                fprintf(stderr, "%s takes no arguments; it is started by trireme-verify.socket.\n", argv[0]);
                return EXIT_FAILURE;
        }
        log_setup("trireme-verify");
        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
