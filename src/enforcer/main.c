/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The enforcer: reads units' settings, decides who may talk to whom, keeps the records, and serves org.trireme. It has no capability; what needs one the helper does. */
#include <errno.h>
#include <stdio.h>

#include "enforcer/manager.h"
#include "enforcer/sandbox.h"
#include "util/log.h"

static int run(void) {
        const ManagerOptions options = {
                .credentials = getenv("CREDENTIALS_DIRECTORY"),
                .runtime_directory = getenv("RUNTIME_DIRECTORY"),
                .state_directory = getenv("STATE_DIRECTORY"),
                .config_root = "",
                .helper_fd = -1,
                .datapath_fd = -1,
                .inspect_fd = -1,
        };
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        r = sandbox_enter();
        if (r < 0)
                return log_error_errno(r, "Cannot enter the sandbox");
        r = manager_new(&options, &m);
        if (r < 0)
                return log_error_errno(r, "Cannot start");
        r = manager_run(m);
        if (r < 0)
                return log_error_errno(r, "The event loop failed");
        return 0;
}

int main(int argc, char *argv[]) {
        if (argc == 2 && streq(argv[1], "--version")) {
                printf("trireme %s\n", TRIREME_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1) {
                fprintf(stderr, "%s takes no arguments; it is started by trireme.service.\n", argv[0]);
                return EXIT_FAILURE;
        }
        log_setup("trireme-enforcer");
        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
