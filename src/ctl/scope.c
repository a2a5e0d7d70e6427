/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "util/fd.h"
#include "util/log.h"

#define KEY_TRIES 100u                /* while the enforcer restarts with its first key */
#define KEY_WAIT_USEC (100 * 1000)

void child_done(Child *c) {
        closep(&c->go);
        closep(&c->pidfd);
        if (c->pid > 0)
                (void) waitpid(c->pid, NULL, 0);
}

_Noreturn static void child_run(pid_t parent, int go, child_fn fn, void *userdata) {
        char byte;
        ssize_t n;

        /* Should the parent be killed, what it runs must not go on in a foreground that is gone. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        do
                n = read(go, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n != 1)
                _exit(EXIT_FAILURE); /* the parent said why */
        _exit(fn(userdata));
}

int child_start(child_fn fn, void *userdata, Child *ret) {
        pid_t parent = getpid(), pid;
        int fds[2], pidfd, r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return log_error_errno(errno, "Cannot make a pipe");
        pid = fork();
        if (pid == 0) {
                close(fds[1]);
                child_run(parent, fds[0], fn, userdata);
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

static int start_run_message(const Options *o, const CtlList *labels, int pidfd, sd_bus *bus, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, TRIREME_NAME, TRIREME_PATH, TRIREME_MANAGER, "StartRun");

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < labels->n_items; i++)
                r = sd_bus_message_append(m, "s", labels->items[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "h", pidfd);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, !o->no_ask_password);
        if (r >= 0)
                *ret = TAKE_PTR(m);
        return r;
}

/* The first key of this host, as the first labelled unit would have it made. The enforcer is restarted to read it. */
static int make_key(sd_bus *bus, sd_bus_error *error) {
        return sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit", error, NULL, "ss",
                                  "trireme-keygen.service", "replace");
}

static bool is_without_key(const sd_bus_error *e, bool made) {
        return sd_bus_error_has_name(e, "org.trireme.Error.NoKey") ||
               (made && (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                         sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER)));
}

static int start_run(const Options *o, const CtlList *labels, int pidfd, sd_bus *bus, sd_bus_error *error, sd_bus_message **ret) {
        for (unsigned i = 0;; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                int r = start_run_message(o, labels, pidfd, bus, &m);

                if (r >= 0) /* a person may have to type a password in between */
                        r = sd_bus_call(bus, m, UINT64_MAX, error, ret);
                if (r >= 0 || i >= KEY_TRIES || !is_without_key(error, i > 0))
                        return r;
                sd_bus_error_free(error);
                if (i == 0)
                        r = make_key(bus, error);
                if (i == 0 && r < 0)
                        return r;
                usleep(KEY_WAIT_USEC);
        }
}

int child_label(const Options *o, const CtlList *labels, const Child *c, char **ret_scope) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *scope;
        char *copy;
        int r = ctl_bus_open(o, &bus);

        if (r < 0)
                return r;
        r = start_run(o, labels, c->pidfd, bus, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &scope);
        if (r < 0)
                return ctl_bus_error(r, &error, "run the command with these labels");
        if (!ret_scope)
                return 0;
        copy = strdup(scope);
        if (!copy)
                return log_error_errno(-ENOMEM, "Cannot run the command");
        *ret_scope = copy;
        return 0;
}

int child_go(const Child *c) {
        return write(c->go, "", 1) == 1 ? 0 : log_error_errno(errno, "Cannot start the command");
}
