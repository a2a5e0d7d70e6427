/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>

#include "ctl/scope.h"
#include "policy/tags.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/log.h"

static void freeaddrinfop(struct addrinfo **a) {
        if (*a)
                freeaddrinfo(*a);
}

static int bad_address(const char *text, const char *why) {
        _cleanup_free_ char *escaped = text_escape(text);

        log_error("\"%s\": %s", escaped ?: "", why);
        return -EINVAL;
}

int address_resolve(const char *text, SocketAddress *ret) {
        static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
        _cleanup_(freeaddrinfop) struct addrinfo *found = NULL;
        _cleanup_free_ char *copy = strdup(text);
        char *host = copy, *colon = copy ? strrchr(copy, ':') : NULL;
        int r;

        if (!copy)
                return log_error_errno(-ENOMEM, "Cannot read the address");
        if (!colon || !colon[1] || colon == copy)
                return bad_address(text, "write HOST:PORT");
        *colon = '\0';
        if (*host == '[' && colon[-1] == ']') {
                colon[-1] = '\0';
                host++;
        } else if (strchr(host, ':'))
                return bad_address(text, "write an IPv6 address as [ADDRESS]:PORT");
        r = getaddrinfo(host, colon + 1, &hints, &found);
        if (r != 0)
                return bad_address(text, gai_strerror(r));
        *ret = (SocketAddress) { .len = found->ai_addrlen };
        memcpy(&ret->any, found->ai_addr, found->ai_addrlen);
        return 0;
}

static int connect_wait(int fd, const SocketAddress *a, uint64_t timeout_usec) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        socklen_t len = sizeof(int);
        int error, r;

        if (connect(fd, &a->any, a->len) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return errno;
        r = poll(&p, 1, (int) (timeout_usec / USEC_PER_MSEC));
        if (r <= 0)
                return r == 0 ? ETIMEDOUT : errno;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

Attempt connect_attempt(const SocketAddress *a, uint64_t timeout_usec) {
        _cleanup_close_ int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        usec_t begin = clock_boottime_usec();
        int error = fd < 0 ? errno : connect_wait(fd, a, timeout_usec);

        return (Attempt) { error, clock_boottime_usec() - begin };
}

typedef struct Labelled {
        const SocketAddress *address;
        uint64_t timeout_usec;
        int result;
} Labelled;

static int labelled_run(void *userdata) {
        const Labelled *l = userdata;
        const Attempt a = connect_attempt(l->address, l->timeout_usec);

        return write(l->result, &a, sizeof(a)) == (ssize_t) sizeof(a) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int connect_labelled(const Options *o, const CtlList *labels, const SocketAddress *a, uint64_t timeout_usec, Attempt *ret, char **ret_scope) {
        _cleanup_(child_done) Child child = CHILD_INIT;
        _cleanup_close_ int in = -1, out = -1;
        Labelled l = { a, timeout_usec, -1 };
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return log_error_errno(errno, "Cannot make a pipe");
        in = fds[0];
        out = l.result = fds[1];
        r = child_start(labelled_run, &l, &child);
        if (r >= 0)
                r = child_label(o, labels, &child, ret_scope);
        if (r >= 0)
                r = child_go(&child);
        if (r < 0)
                return r;
        close(TAKE_FD(out)); /* should the child die, its end is the last */
        return read(in, ret, sizeof(*ret)) == (ssize_t) sizeof(*ret) ? 0 : log_error_errno(-EIO, "The attempt was cut off");
}
