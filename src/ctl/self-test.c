/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/self-test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/scope.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/log.h"

#define TIMEOUT_USEC (2 * USEC_PER_SEC)

typedef struct Listener {
        int ready[2], end[2]; /* its address goes out by the one; it leaves when the other closes */
} Listener;

static void listener_done(Listener *l) {
        for (int i = 0; i < 2; i++) {
                closep(&l->ready[i]);
                closep(&l->end[i]);
        }
}

/* The kernel completes the handshakes of the backlog: nobody has to accept. */
static int listener_run(void *userdata) {
        Listener *l = userdata;
        SocketAddress a = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, .len = sizeof(a.in) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char byte;

        close(TAKE_FD(l->end[1])); /* our copy of the parent's */
        if (fd < 0 || bind(fd, &a.any, a.len) < 0 || listen(fd, 8) < 0 || getsockname(fd, &a.any, &a.len) < 0)
                return EXIT_FAILURE;
        if (write(l->ready[1], &a, sizeof(a)) != (ssize_t) sizeof(a))
                return EXIT_FAILURE;
        return read(l->end[0], &byte, 1) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int self_test(const Options *o, SelfTest *ret) {
        static const CtlList ours = { { "trireme=doctor" }, 1 }, others = { { "trireme=nobody" }, 1 };
        _cleanup_(child_done) Child child = CHILD_INIT;
        _cleanup_(listener_done) Listener l = { { -1, -1 }, { -1, -1 } }; /* closed before the child is waited for */
        SocketAddress a;
        SelfTest t;
        int r;

        if (pipe2(l.ready, O_CLOEXEC) < 0 || pipe2(l.end, O_CLOEXEC) < 0)
                return log_error_errno(errno, "Cannot make a pipe");
        r = child_start(listener_run, &l, &child);
        if (r >= 0)
                r = child_label(o, &ours, &child, NULL);
        if (r >= 0)
                r = child_go(&child);
        if (r < 0)
                return r;
        close(TAKE_FD(l.ready[1])); /* should the child die, its end is the last */
        if (read(l.ready[0], &a, sizeof(a)) != (ssize_t) sizeof(a))
                return log_error_errno(-EIO, "The listener of the self-test died");
        r = connect_labelled(o, &ours, &a, TIMEOUT_USEC, &t.same, NULL);
        if (r >= 0)
                r = connect_labelled(o, &others, &a, TIMEOUT_USEC, &t.other, NULL);
        if (r < 0)
                return r;
        t.stranger = connect_attempt(&a, TIMEOUT_USEC);
        *ret = t;
        return 0;
}
