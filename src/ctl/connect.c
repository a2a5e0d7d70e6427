/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>

#include "ctl/output.h"
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
