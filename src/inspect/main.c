/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trireme-inspect: reads the files of others for the enforcer (hashes, ELF), so that a bug in such a reader finds no key, no bus and no right. PID 1 hands over the
 * listening socket (trireme-inspect.socket); one process serves one connection and ends with it. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "inspect/serve.h"
#include "util/fd.h"
#include "util/listen.h"
#include "util/log.h"

static int run(void) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = listen_accept();
        if (fd < 0)
                return log_error_errno(fd, "Need one socket from PID 1, and a connection");
        r = inspect_sandbox_enter();
        if (r < 0)
                return log_error_errno(r, "Cannot enter the sandbox");
        r = inspect_serve(fd);
        return r < 0 ? log_error_errno(r, "Cannot go on") : 0;
}

int main(int argc, char **argv) {
        if (argc > 1) {
                fprintf(stderr, "%s takes no arguments; it is started by trireme-inspect.socket.\n", argv[0]);
                return EXIT_FAILURE;
        }
        log_setup("trireme-inspect");
        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
