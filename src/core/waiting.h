/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Packets that came a little too early and wait in the kernel's queue for something that is about to arrive by itself: the enforcer's word on a unit, or the
 * proof of a connection. Few and for a short time; whoever finds no room, or waits in vain, is treated as if there were no waiting. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/flow-table.h"
#include "core/pending.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/queue-msg.h"

#define WAIT_PACKETS_MAX 1024u
#define WAIT_PROOF_MAX 64u             /* of one connection: a TCP's initial window has ten */
#define WAIT_UNIT_MAX 768u             /* of one unit: what comes to a busy server while the enforcer starts anew */
#define WAIT_UNIT_USEC PENDING_USEC
/* Packets overtake each other by less than a turn of the scheduler; TCP sends what got lost again after 200 ms. */
#define WAIT_PROOF_USEC (50 * USEC_PER_MSEC)

typedef struct WaitKey { /* one of both, the other is zero */
        FlowKey flow;                  /* the proof of this connection */
        uint32_t unit;                 /* this unit */
} WaitKey;

typedef struct WaitSet WaitSet;

_must_use_ int wait_set_new(WaitSet **ret);
WaitSet *wait_set_free(WaitSet *s);
DEFINE_CLEANUP(WaitSet *, wait_set_free);

/* False: no room, or the packet is larger than what is kept. */
_must_use_ bool wait_set_add(WaitSet *s, const WaitKey *key, const QueueMsg *msg, usec_t now);
/* Takes the packet that has waited longest for this: copied to *ret, whose msg.payload then points into it. False: none. */
_must_use_ bool wait_set_take(WaitSet *s, const WaitKey *key, PendingPacket *ret);
/* The same of those that waited in vain, for whatever. */
_must_use_ bool wait_set_take_expired(WaitSet *s, usec_t now, PendingPacket *ret);
usec_t wait_set_next_usec(const WaitSet *s); /* when the next one will have; USEC_INFINITY: none waits */
