/* SPDX-License-Identifier: GPL-2.0-or-later */

/* run: a command in a labelled scope of its own, in the foreground.
 *
 * The child waits until the enforcer has made the scope around it, and then becomes the command; so the command has the caller's descriptors, terminal, directory,
 * environment and user without any of them being passed on. This process stays where it is (it may be the main process of a service) and stands for the command:
 * it hands on signals, stops when it stops, and ends as it ended. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "util/fd.h"
#include "util/log.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL_BASE = 128 }; /* as shells have them */

typedef struct Child {
        pid_t pid;
        int pidfd;
        int go; /* one byte lets it become the command; closed, it leaves */
} Child;

static void child_done(Child *c) {
        closep(&c->go);
        closep(&c->pidfd);
        if (c->pid > 0)
                (void) waitpid(c->pid, NULL, 0);
}

_Noreturn static void child_run(pid_t parent, int go, char **command) {
        char byte;
        ssize_t n;

        /* Should this process be killed, the command must not go on in a foreground that is gone. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        do
                n = read(go, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n != 1)
                _exit(EXIT_FAILURE); /* the parent said why */
        execvp(command[0], command);
        log_error_errno(errno, "Cannot execute %s", command[0]);
        _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static int child_start(char **command, Child *ret) {
        pid_t parent = getpid(), pid;
        int fds[2], pidfd, r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return log_error_errno(errno, "Cannot make a pipe");
        pid = fork();
        if (pid == 0) {
                close(fds[1]);
                child_run(parent, fds[0], command);
        }
        r = -errno;
        close(fds[0]);
        if (pid < 0) {
                close(fds[1]);
                return log_error_errno(r, "Cannot fork");
        }
        *ret = (Child) { pid, -1, fds[1] };
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0)
                return log_error_errno(errno, "Cannot open the process");
        ret->pidfd = pidfd;
        return 0;
}

/* The scope stands, with the child in it and its labels in force, when this returns 0. */
static int start_scope(const Options *o, int pidfd) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = ctl_bus_open(o, &bus);

        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "StartRun");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < o->labels.n_items; i++)
                r = sd_bus_message_append(m, "s", o->labels.items[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "h", pidfd);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, !o->no_ask_password);
        if (r >= 0) /* a person may have to type a password in between */
                r = sd_bus_call(bus, m, UINT64_MAX, &error, NULL);
        return r < 0 ? ctl_bus_error(r, &error, "run the command with these labels") : 0;
}

/* Nothing of the caller's may stay open here: who reads the command's output waits for its end. */
static void let_go(int keep) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
                (void) dup2(null, fd);
        if (keep > STDERR_FILENO + 1)
                (void) close_range(STDERR_FILENO + 1, (unsigned) keep - 1, 0);
        (void) close_range((unsigned) keep + 1, ~0U, 0);
}

/* Returns 1 and the exit code when the child has ended, else 0. */
static int child_reap(pid_t pid, int *ret_code) {
        int status;

        while (waitpid(pid, &status, WNOHANG | WUNTRACED) > 0) {
                if (WIFEXITED(status) || WIFSIGNALED(status)) {
                        *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL_BASE + WTERMSIG(status);
                        return 1;
                }
                (void) kill(getpid(), SIGSTOP); /* the shell shall see a stopped job, and its "fg" wakes both */
        }
        return 0;
}

static int wait_for_child(pid_t pid, int signal_fd) {
        int code = CTL_FAILED;

        while (child_reap(pid, &code) == 0) {
                struct signalfd_siginfo info;

                if (read(signal_fd, &info, sizeof(info)) != (ssize_t) sizeof(info))
                        continue;
                /* What the terminal sends reaches the whole foreground group, the command too. What a process sends was meant for the command. */
                if (info.ssi_signo == SIGCONT || (info.ssi_signo != SIGCHLD && info.ssi_code <= 0 && (pid_t) info.ssi_pid != pid))
                        (void) kill(pid, (int) info.ssi_signo);
        }
        return code;
}

int verb_run(const Options *o, int argc, char **argv) {
        _cleanup_(child_done) Child child = { -1, -1, -1 };
        sigset_t all;
        int signal_fd, code;

        if (o->host || o->machine) {
                log_error("run works on this host only.");
                return CTL_FAILED;
        }
        if (o->labels.n_items == 0) {
                log_error("run needs at least one --label=KEY=VALUE");
                return CTL_FAILED;
        }
        if (check_labels(o->labels.items, o->labels.n_items) < 0 || child_start(argv + 1, &child) < 0 || start_scope(o, child.pidfd) < 0)
                return CTL_FAILED;
        (void) sigfillset(&all);
        signal_fd = sigprocmask(SIG_BLOCK, &all, NULL) < 0 ? -1 : signalfd(-1, &all, SFD_CLOEXEC);
        if (signal_fd < 0 || write(child.go, "", 1) != 1) {
                log_error_errno(errno, "Cannot start the command");
                return CTL_FAILED;
        }
        let_go(signal_fd);
        child.go = child.pidfd = -1; /* closed with the rest */
        code = wait_for_child(child.pid, signal_fd);
        child.pid = -1;
        return code;
}
