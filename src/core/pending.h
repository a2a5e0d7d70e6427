/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Packets that wait in the kernel's queue for the enforcer's word. One question for all packets that need the same answer; bounded in questions,
 * packets and time. A packet is kept as a copy, to come again as if it had just arrived. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/datapath-protocol.h"
#include "util/clock.h"
#include "util/macro.h"
#include "wire/queue-msg.h"

#define PENDING_QUESTIONS_MAX 256u
#define PENDING_UNKNOWN_MAX 192u       /* so many of them about strangers' tokens */
#define PENDING_SOURCE_MAX 16u         /* and so many from one address, or IPv6 network of 64 bits: one flood leaves room for others */
#define PENDING_PACKETS_MAX 1024u
#define PENDING_PACKET_SIZE 2048u      /* SYNs and SYN-ACKs with a message have at most 1280 + 60 bytes */
#define PENDING_USEC (2 * USEC_PER_SEC) /* by then TCP has sent the SYN again */

typedef struct PendingPacket {
        uint32_t question, next;       /* links, see pending.c */
        QueueMsg msg;                  /* msg.payload points to data */
        uint8_t data[PENDING_PACKET_SIZE];
} PendingPacket;

typedef struct PendingSet PendingSet;

_must_use_ int pending_set_new(PendingSet **ret);
PendingSet *pending_set_free(PendingSet *s);
DEFINE_CLEANUP(PendingSet *, pending_set_free);

/* Keeps msg until question is answered. stranger: whence it came, NULL if from somebody known, whom no bound but the last concerns. Returns 1: it is new, has been given the serial in *ret_serial and must be sent; 0: the same was asked already;
 * -ENOBUFS: no room; -EMSGSIZE: the packet is larger than any that needs an answer. */
_must_use_ int pending_set_add(PendingSet *s, const DatapathResolve *question, const struct in6_addr *stranger, const QueueMsg *msg, usec_t now,
                                  uint32_t *ret_serial);
/* The question of this serial, or NULL (never asked, or too late). */
const DatapathResolve *pending_set_question(const PendingSet *s, uint32_t serial);
/* Takes one packet that waits for this serial: copied to *ret, whose msg.payload then points into it. 0: none left, and the question is gone. */
int pending_set_take(PendingSet *s, uint32_t serial, PendingPacket *ret);
/* The serial of a question whose time is over, or 0. */
uint32_t pending_set_expired(const PendingSet *s, usec_t now);
/* Serial of any question, or 0: for ending them all when whoever should answer is gone. */
uint32_t pending_set_any(const PendingSet *s);
uint32_t pending_set_count(const PendingSet *s); /* questions */
