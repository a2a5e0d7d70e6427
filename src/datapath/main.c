/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "datapath/sandbox.h"
#include "util/fd.h"
#include "util/listen.h"
#include "util/log.h"

#define ENFORCER_USER "trireme"

static const char *arg_control;
static const char *arg_user = ENFORCER_USER;

static int help(void) {
        printf("%s [OPTION]...\n\nAuthorize connections of labelled units during their handshakes.\n\n"
               "  -h --help          Show this help\n"
               "     --control=PATH  Listen there for the enforcer, not on the socket from the service manager\n"
               "     --user=USER     Listen to this user only (default " ENFORCER_USER ")\n",
               program_invocation_short_name);
        return 0;
}

/* 1: go on, 0: done, or an error */
static int parse_arguments(int argc, char **argv) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "control", required_argument, NULL, 'c' },
                { "user", required_argument, NULL, 'u' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case 'c':
                        arg_control = optarg;
                        break;
                case 'u':
                        arg_user = optarg;
                        break;
                default:
                        return -EINVAL;
                }
        return optind == argc ? 1 : log_error_errno(EINVAL, "No arguments are expected");
}

static const char *const queue_names[QUEUE_SOCKETS] = { "queue-0", "queue-1", "queue-2", "queue-3" }, *const listeners_name = "listeners"; /* in the store */

/* The number of the queue whose socket the i-th descriptor is; QUEUE_SOCKETS: it is none's. */
static size_t queue_number(int i) {
        size_t queue = 0;

        while (queue < QUEUE_SOCKETS && !listen_fd_has_name(i, queue_names[queue]))
                queue++;
        return queue;
}

/* The control listener of the socket unit, and the queues and what is known of listeners that a former process left in the store, by name. */
static int take_descriptors(Datapath *d, int *ret_queues, int *ret_listeners) {
        int n = listen_fds();

        if (n < 0)
                return log_error_errno(n, "Cannot get the descriptors of the service manager");
        for (int i = 0; i < n; i++) {
                size_t queue = queue_number(i);
                int fd = LISTEN_FDS_START + i;

                if (listen_fd_has_name(i, "control") && d->control.listen_fd < 0)
                        d->control.listen_fd = fd;
                else if (queue < QUEUE_SOCKETS && ret_queues[queue] < 0)
                        ret_queues[queue] = fd;
                else if (listen_fd_has_name(i, listeners_name) && *ret_listeners < 0)
                        *ret_listeners = fd;
                else
                        close(fd);
        }
        return 0;
}

static int open_control(Datapath *d) {
        const struct passwd *p = getpwnam(arg_user);

        if (!p)
                return log_error_errno(ESRCH, "There is no user %s", arg_user);
        d->control.peer_uid = p->pw_uid;
        if (arg_control)
                return control_listen(&d->control, arg_control);
        if (d->control.listen_fd < 0)
                return log_error_errno(ENOENT, "No control socket: to be started by trireme-datapath.socket, or with --control=");
        return 0;
}

/* The queues go into the service manager's store: packets that come while no process is there wait in them. */
static int open_queue(Datapath *d, size_t number, int inherited) {
        Queue *q = &d->queues[number];
        int r = queue_open(q, number, inherited);

        if (r < 0 || inherited >= 0)
                return r;
        r = notify_store(&d->notify, queue_names[number], q->fd);
        return r < 0 ? log_error_errno(r, "Cannot store a queue's socket") : 0;
}

/* Without it a listener below a unit is not known for one until it takes its next SYN: no reason not to start. */
static void remember_listeners(Datapath *d, int inherited) {
        int r = listeners_remember(&d->listeners, inherited);

        if (r >= 0 && inherited < 0)
                r = notify_store(&d->notify, listeners_name, d->listeners.memory_fd);
        if (r < 0)
                log_warning_errno(r, "Cannot remember listeners for the next process");
}

static int prepare(Datapath *d) {
        int inherited[QUEUE_SOCKETS] = { -1, -1, -1, -1 }, listeners = -1;
        int r = take_descriptors(d, inherited, &listeners);

        if (r >= 0)
                r = datapath_init(d);
        if (r >= 0)
                r = open_control(d);
        if (r >= 0)
                r = notify_open(&d->notify);
        for (size_t i = 0; r >= 0 && i < QUEUE_SOCKETS; i++)
                r = open_queue(d, i, inherited[i]);
        if (r >= 0)
                r = queue_batch_init(&d->own_batch);
        if (r >= 0)
                remember_listeners(d, listeners);
        return r < 0 ? r : verdicts_init(&d->own_verdicts, d->queues);
}

static int run(void) {
        _cleanup_(datapath_done) Datapath d = DATAPATH_INIT;
        int r = prepare(&d);

        if (r < 0)
                return r;
        pthread_mutex_lock(&d.lock);
        if (workers_start(&d) >= 0 && sandbox_enter() >= 0) {
                notify_send(&d.notify, "READY=1\nSTATUS=Answering handshakes");
                datapath_run(&d);
        }
        _exit(EXIT_FAILURE); /* without a look back: the threads still use what is in d */
}

int main(int argc, char **argv) {
        int r;

        log_setup("trireme-datapath");
        mallopt(M_ARENA_MAX, 1); /* another one is made with mprotect(2), which the sandbox does not allow; and costs memory */
        r = parse_arguments(argc, argv);
        if (r > 0)
                r = run();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
