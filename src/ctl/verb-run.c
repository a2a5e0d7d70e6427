/* SPDX-License-Identifier: GPL-2.0-or-later */

/* run: a command in a labelled scope of its own, in the foreground.
 *
 * The child waits until the enforcer has made the scope around it, and then becomes the command; so the command has the caller's descriptors, terminal, directory,
 * environment and user without any of them being passed on. This process stays where it is (it may be the main process of a service) and stands for the command:
 * it hands on signals, stops when it stops, and ends as it ended. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/names.h"
#include "ctl/scope.h"
#include "util/log.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL_BASE = 128 }; /* as shells have them */

static int execute(void *userdata) {
        char **command = userdata;

        int error;

        execvp(command[0], command);
        error = errno;
        log_error_errno(error, "Cannot execute %s", command[0]);
        return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
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
        _cleanup_(child_done) Child child = CHILD_INIT;
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
        if (check_labels(o->labels.items, o->labels.n_items) < 0 || child_start(execute, argv + 1, &child) < 0 ||
            child_label(o, &o->labels, &child, NULL) < 0)
                return CTL_FAILED;
        (void) sigfillset(&all);
        signal_fd = sigprocmask(SIG_BLOCK, &all, NULL) < 0 ? -1 : signalfd(-1, &all, SFD_CLOEXEC);
        if (signal_fd < 0) {
                log_error_errno(errno, "Cannot wait for signals");
                return CTL_FAILED;
        }
        if (child_go(&child) < 0)
                return CTL_FAILED;
        let_go(signal_fd);
        child.go = child.pidfd = -1; /* closed with the rest */
        code = wait_for_child(child.pid, signal_fd);
        child.pid = -1;
        return code;
}
