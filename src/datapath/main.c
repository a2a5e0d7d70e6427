/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>

#include <systemd/sd-daemon.h>

#include "datapath/datapath.h"
#include "datapath/sandbox.h"
#include "util/fd.h"
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

int datapath_init(Datapath *d) {
        Handshake *h = &d->handshake;
        uint8_t seed[SIPHASH_KEY_SIZE];
        int r;

        r = crypto_random(seed, sizeof(seed));
        if (r >= 0)
                r = flow_table_new(seed, &h->flows);
        if (r >= 0)
                r = peer_cache_new(seed, &h->peers);
        if (r >= 0)
                r = unit_table_new(&h->units);
        if (r >= 0)
                r = pending_set_new(&d->pending);
        if (r >= 0)
                r = wait_set_new(&d->waiting);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the tables");
        return listeners_open(&d->listeners, seed);
}

void datapath_done(Datapath *d) {
        queue_close(&d->queue);
        control_close(&d->control);
        listeners_close(&d->listeners);
        notify_close(&d->notify);
        pending_set_free(d->pending);
        wait_set_free(d->waiting);
        flow_table_free(d->handshake.flows);
        peer_cache_free(d->handshake.peers);
        unit_table_free(d->handshake.units);
}

/* The control listener of the socket unit and the queue that a former process left in the store, by name. */
static int take_descriptors(Datapath *d, int *ret_queue) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names);

        if (n < 0)
                return log_error_errno(n, "Cannot get the descriptors of the service manager");
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (streq(names[i], "control") && d->control.listen_fd < 0)
                        d->control.listen_fd = fd;
                else if (streq(names[i], "queue") && *ret_queue < 0)
                        *ret_queue = fd;
                else
                        close(fd);
                free(names[i]);
        }
        free(names);
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

/* The queue goes into the service manager's store: packets that come while no process is there wait in it. FDPOLL=0, because PID 1 closes stored
 * sockets that show an error, and this one shows an overrun so. */
static int open_queue(Datapath *d, int inherited) {
        int r = queue_open(&d->queue, inherited);

        if (r < 0 || inherited >= 0)
                return r;
        r = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=queue\nFDPOLL=0", &d->queue.fd, 1);
        return r < 0 ? log_error_errno(r, "Cannot store the queue's socket") : 0;
}

static int run(void) {
        _cleanup_(datapath_done) Datapath d = DATAPATH_INIT;
        int inherited = -1, r;

        r = take_descriptors(&d, &inherited);
        if (r >= 0)
                r = datapath_init(&d);
        if (r >= 0)
                r = open_control(&d);
        if (r >= 0)
                r = notify_open(&d.notify);
        if (r >= 0)
                r = open_queue(&d, inherited);
        if (r >= 0)
                r = sandbox_enter();
        if (r < 0)
                return r;
        notify_send(&d.notify, "READY=1\nSTATUS=Answering handshakes");
        return datapath_run(&d);
}

int main(int argc, char **argv) {
        int r;

        log_setup("trireme-datapath");
        r = parse_arguments(argc, argv);
        if (r > 0)
                r = run();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
