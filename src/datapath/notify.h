/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The protocol of sd_notify(3) over a socket opened beforehand: the sandbox allows no new one, and sd_notify() opens one each time. */

#include "util/clock.h"
#include "util/macro.h"

typedef struct Notify {
        int fd;                        /* -1: nobody wants to know */
        usec_t watchdog_usec;          /* keep alive so often, 0: no watchdog */
} Notify;

#define NOTIFY_INIT { .fd = -1 }

_must_use_ int notify_open(Notify *n); /* from $NOTIFY_SOCKET and $WATCHDOG_USEC */
void notify_close(Notify *n);
void notify_send(const Notify *n, const char *state);
void notify_alive(const Notify *n); /* for its watchdog; a service manager that does not read keeps no packet waiting */
/* Leaves a copy of fd with the service manager, for the next process, under this name; nothing is done where nobody wants to know. */
_must_use_ int notify_store(const Notify *n, const char *name, int fd);
