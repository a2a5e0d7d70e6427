/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/fd.h"

pid_t agent_open(const Options *o) {
        _cleanup_close_ int ready = -1, notify = -1;
        struct pollfd p = { .events = POLLHUP };
        pid_t parent = getpid(), agent;
        char number[16];
        int fds[2];

        if (o->no_ask_password || o->host || o->machine || geteuid() == 0 || !isatty(STDIN_FILENO) || pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        ready = fds[0];
        notify = fds[1];
        agent = fork();
        if (agent == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (getppid() != parent || fcntl(notify, F_SETFD, 0) < 0)
                        _exit(EXIT_FAILURE);
                (void) snprintf(number, sizeof(number), "%d", notify);
                execlp("pkttyagent", "pkttyagent", "--notify-fd", number, "--fallback", NULL);
                _exit(EXIT_FAILURE); /* polkit is not there: then nobody asks */
        }
        close(TAKE_FD(notify));
        p.fd = ready;
        if (agent > 0)
                (void) poll(&p, 1, 5000); /* it closes the pipe when it is registered, or by its exit */
        return agent > 0 ? agent : 0;
}

void agent_close(pid_t agent) {
        if (agent <= 0)
                return;
        (void) kill(agent, SIGTERM);
        (void) kill(agent, SIGCONT);
        (void) waitpid(agent, NULL, 0);
}
