/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One end's word on one connection: what a unit's state, mode, rules and access lists come to. Pure. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "enforcer/unit.h"
#include "policy/reason.h"

typedef struct Decision {
        bool allow;
        bool observed;           /* allowed, but to be told as what would be denied: this end observes, or a rule does that would reject */
        bool port_dependent;
        bool log;                /* the rule that allows is to be recorded when it does */
        Reason reason;           /* observed: why it would have been denied */
        char rule[512];          /* the deciding rule's name, "" for none */
} Decision;

typedef struct PeerTags {
        const TagSet *tags;
        uint16_t announced;
} PeerTags;

/* connect: the unit is the client. port: the server's. */
void decide_peer(const Unit *u, bool connect, const PeerTags *peer, uint8_t protocol, uint16_t port, Decision *ret);
/* The same for a peer without an identity; connect: address is the server's, else the client's. */
void decide_stranger(const Unit *u, bool connect, uint8_t family, const struct in6_addr *address, uint8_t protocol, uint16_t port, Decision *ret);
