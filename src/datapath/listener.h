/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whose socket is it, where the table could not tell? Asked of the kernel by sock_diag, over a socket opened beforehand. */

#include "core/table.h"
#include "core/unit-table.h"
#include "util/macro.h"
#include "wire/packet.h"

#define LISTENERS_MAX 4096u

typedef struct ListenerMemory ListenerMemory;

typedef struct Listeners {
        int fd, memory_fd;
        ListenerMemory *memory;        /* of the same, in what memory_fd is; NULL: not remembered */
        Table *seen;                   /* address and port -> unit, from SYNs whose listener the table did find */
} Listeners;

#define LISTENERS_INIT { .fd = -1, .memory_fd = -1 }

typedef enum ListenerResult {
        LISTENER_NONE,                 /* no unit's: an unlabelled program's, or nobody listens */
        LISTENER_UNIT,                 /* *ret_unit */
        LISTENER_LIVE,                 /* the tuple is a live connection's */
        LISTENER_UNCLEAR,              /* maybe a unit's: drop */
} ListenerResult;

_must_use_ int listeners_open(Listeners *l, const uint8_t seed[static SIPHASH_KEY_SIZE]);
void listeners_close(Listeners *l);
/* Takes over what a former process remembered in fd, which is theirs from then on, or begins anew with -1. memory_fd is for the next one. */
_must_use_ int listeners_remember(Listeners *l, int fd);

/* A SYN met this unit's listener. */
void listeners_note(Listeners *l, const Packet *p, uint32_t unit);
/* Which socket would p (INPUT) meet, were it not for a half-open or TIME_WAIT one? */
ListenerResult listeners_find(Listeners *l, const UnitTable *units, const Packet *p, uint32_t iif, uint32_t *ret_unit);
