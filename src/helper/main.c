/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trireme-helper: the rights that enforcing needs, behind a short list of requests. PID 1 hands over its sockets (units/trireme-helper.service);
 * with --helper-socket= and --attach-socket= it makes its own, for tests and for a system without the units. */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/netlink.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "helper/manager.h"
#include "helper/sandbox.h"
#include "util/fd.h"
#include "util/log.h"

static const char *arg_helper_socket;
static const char *arg_attach_socket;
static const char *arg_attached_dir = "/run/trireme/attached";
static const char *arg_enforcer_user = "trireme";
static const char *arg_enforcer_unit = "trireme.service";

static int parse_arguments(int argc, char **argv) {
        static const struct option options[] = {
                { "helper-socket", required_argument, NULL, 'h' },
                { "attach-socket", required_argument, NULL, 'a' },
                { "attached-dir", required_argument, NULL, 'd' },
                { "enforcer-user", required_argument, NULL, 'u' },
                { "enforcer-unit", required_argument, NULL, 'c' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'h': arg_helper_socket = optarg; break;
                case 'a': arg_attach_socket = optarg; break;
                case 'd': arg_attached_dir = optarg; break;
                case 'u': arg_enforcer_user = optarg; break;
                case 'c': arg_enforcer_unit = optarg[0] ? optarg : NULL; break; /* empty: whatever cgroup it is in */
                default: return -EINVAL;
                }
        return optind == argc ? 0 : -EINVAL;
}

static int listen_at(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        memcpy(sa.sun_path, path, strlen(path));
        (void) unlink(path);
        if (bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int take_sockets(ManagerOptions *options) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(true, &names);

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (streq(names[i], "table"))
                        options->table_fd = fd;
                else if (streq(names[i], "helper"))
                        options->helper_fd = fd;
                else if (streq(names[i], "attach"))
                        options->attach_fd = fd;
                else
                        log_warning("Unknown socket %s", names[i]);
        }
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return n;
}

/* What PID 1 did not hand over is made here, where it was asked for. */
static int make_sockets(ManagerOptions *options) {
        if (options->helper_fd < 0 && arg_helper_socket)
                options->helper_fd = listen_at(arg_helper_socket);
        if (options->attach_fd < 0 && arg_attach_socket)
                options->attach_fd = listen_at(arg_attach_socket);
        if (options->table_fd < 0 && arg_helper_socket) {
                options->table_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
                log_warning("No table socket from PID 1: the table ends with this process");
        }
        return options->helper_fd < 0 || options->attach_fd < 0 || options->table_fd < 0 ? -ENOTSOCK : 0;
}

static int enforcer_uid(uid_t *ret) {
        const struct passwd *pw = getpwnam(arg_enforcer_user);

        if (!pw)
                return -ENOENT;
        *ret = pw->pw_uid;
        return 0;
}

static int process_set_up(void) {
        (void) umask(0022); /* everybody may see that a unit is attached */
        return sandbox_enter();
}

static int run(const ManagerOptions *options) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        sigset_t mask;
        int k = sd_event_default(&event);

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (k >= 0 && sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                k = -errno;
        if (k >= 0)
                k = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (k >= 0)
                k = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (k >= 0)
                k = sd_event_set_watchdog(event, true);
        if (k < 0)
                return log_error_errno(k, "Cannot set up the event loop");
        k = manager_new(event, options, &m);
        if (k < 0)
                return k;
        (void) sd_notify(false, "READY=1");
        return sd_event_loop(event);
}

int main(int argc, char **argv) {
        ManagerOptions options = { .table_fd = -1, .helper_fd = -1, .attach_fd = -1 };
        int k;

        log_setup("trireme-helper");
        if (parse_arguments(argc, argv) < 0) {
                fprintf(stderr, "usage: %s [--helper-socket=PATH --attach-socket=PATH] [--attached-dir=DIR] [--enforcer-user=NAME] [--enforcer-unit=UNIT]\n",
                        argv[0]);
                return EXIT_FAILURE;
        }
        options.attached_dir = arg_attached_dir;
        options.enforcer_unit = arg_enforcer_unit;
        k = take_sockets(&options);
        if (k >= 0)
                k = make_sockets(&options);
        if (k >= 0)
                k = enforcer_uid(&options.enforcer_uid);
        if (k >= 0)
                k = process_set_up();
        if (k < 0) {
                log_error_errno(k, "Cannot start");
                return EXIT_FAILURE;
        }
        return run(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
