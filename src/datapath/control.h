/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The connection from the enforcer: ipc/datapath-protocol.h. One at a time; a new one replaces the old. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/datapath-protocol.h"
#include "util/macro.h"

struct Datapath;

typedef struct Control {
        int listen_fd, fd;             /* fd -1: no enforcer */
        uid_t peer_uid;                /* whom we listen to, besides root */
        bool greeted;                  /* it said HELLO in our version */
} Control;

#define CONTROL_INIT { .listen_fd = -1, .fd = -1 }

_must_use_ int control_listen(Control *c, const char *path); /* for use without socket activation */
void control_close(Control *c);
void control_accept(struct Datapath *d);                     /* listen_fd is readable */
void control_receive(struct Datapath *d, uint64_t now);      /* fd is readable: handles a bounded number of messages */
/* -ENOTCONN without an enforcer; -EAGAIN: it does not keep up. */
_must_use_ int control_send(Control *c, const void *message, size_t len);
