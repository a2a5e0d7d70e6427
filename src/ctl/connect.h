/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One attempt at a TCP connection, closed again at once: what ping and doctor look at. */

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ctl/ctl.h"
#include "util/macro.h"

typedef struct SocketAddress {
        union {
                struct sockaddr any;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        };
        socklen_t len;
} SocketAddress;

typedef struct Attempt {
        int error;     /* 0: connected; a positive errno */
        uint64_t usec; /* until it was known */
} Attempt;

/* "host:port", "[2001:db8::1]:80"; the port may be a name. The first address that there is. Says what is wrong and returns a negative errno. */
_must_use_ int address_resolve(const char *text, SocketAddress *ret);
Attempt connect_attempt(const SocketAddress *a, uint64_t timeout_usec);
/* The same from a scope of its own with these labels. ret_scope: its name, or NULL. Says what went wrong and returns a negative errno if there was no attempt. */
_must_use_ int connect_labelled(const Options *o, const CtlList *labels, const SocketAddress *a, uint64_t timeout_usec, Attempt *ret, char **ret_scope);
