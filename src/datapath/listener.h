/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whose socket is it, where the table could not tell? Asked of the kernel by sock_diag, over a socket opened beforehand. */

#include "core/table.h"
#include "core/unit-table.h"
#include "util/macro.h"
#include "wire/packet.h"

#define LISTENERS_MAX 4096u

typedef struct Listeners {
        int fd;
        Table *seen;                   /* address and port -> unit, from SYNs whose listener the table did find */
} Listeners;

#define LISTENERS_INIT { .fd = -1 }

typedef enum ListenerResult {
        LISTENER_NONE,                 /* no unit's: an unlabelled program's, or nobody listens */
        LISTENER_UNIT,                 /* *ret_unit */
        LISTENER_LIVE,                 /* the tuple is a live connection's */
        LISTENER_UNCLEAR,              /* maybe a unit's: drop */
} ListenerResult;

_must_use_ int listeners_open(Listeners *l, const uint8_t seed[static SIPHASH_KEY_SIZE]);
void listeners_close(Listeners *l);

/* A SYN met this unit's listener. */
void listeners_note(Listeners *l, const Packet *p, uint32_t unit);
/* Which socket would p (INPUT) meet, were it not for a half-open or TIME_WAIT one? */
ListenerResult listeners_find(Listeners *l, const UnitTable *units, const Packet *p, uint32_t iif, uint32_t *ret_unit);
