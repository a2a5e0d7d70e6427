/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/output.h"
#include "util/fd.h"

/* $SYSTEMD_PAGER, $PAGER, less, more. A command line with arguments goes through the shell, as everywhere else. */
static void pager_exec(void) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", true);
        setenv("LESSSECURE", "1", true); /* it may run as root, for someone who may only look: no shell from within */
        if (pager)
                execl("/bin/sh", "sh", "-c", pager, NULL);
        execlp("less", "less", NULL);
        execlp("more", "more", NULL);
        execlp("cat", "cat", NULL);
        _exit(EXIT_FAILURE);
}

pid_t pager_open(const Options *o) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        _cleanup_close_ int in = -1, out = -1;
        pid_t parent = getpid(), pid;
        int fds[2];

        if (o->no_pager || !isatty(STDOUT_FILENO) || (pager && (streq(pager, "") || streq(pager, "cat"))))
                return 0;
        fflush(stdout);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        in = fds[0];
        out = fds[1];
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (getppid() != parent || dup2(in, STDIN_FILENO) < 0)
                        _exit(EXIT_FAILURE);
                pager_exec();
        }
        if (pid > 0)
                (void) dup2(out, STDOUT_FILENO);
        return pid > 0 ? pid : 0;
}

void pager_close(pid_t pager) {
        if (pager <= 0)
                return;
        fflush(stdout);
        close(STDOUT_FILENO); /* the end of its input */
        (void) waitpid(pager, NULL, 0);
}
