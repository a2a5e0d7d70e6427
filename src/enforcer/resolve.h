/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Answers the datapath's questions (ipc/datapath-protocol.h): is this token authentic, what are the pair keys, what do the rules say. No I/O (but
 * for new peer numbers): time comes in, the answer goes out. */

#include <stdint.h>

#include "enforcer/keys.h"
#include "enforcer/names.h"
#include "enforcer/peer-numbers.h"
#include "enforcer/peer.h"
#include "enforcer/unit.h"
#include "enforcer/wall-clock.h"
#include "ipc/datapath-protocol.h"
#include "util/macro.h"

typedef struct Resolver { /* all borrowed */
        const Units *units;
        const Keys *keys;
        Certificates *certificates;
        Peers *peers;
        PeerNumbers *numbers;    /* NULL: none are handed out */
        Names *rules;
        WallClock *clock;        /* NULL: nothing is noted */
} Resolver;

#define RESOLVE_DECISION_USEC (600 * USEC_PER_SEC) /* LOCAL, PLAIN_SYN: nothing but a change ends them, and a change is told; a bound all the same */

/* Fills *ret completely, its header too. Whatever goes wrong is a denial with a reason. ret_local_accept: both ends of a LOCAL question allow without observing or logging,
 * so the kernel may decide later ones: 0 no, 1 for every port, 2 for this port only. */
void resolve(const Resolver *r, const DatapathResolve *question, const PeerTime *time, DatapathResolved *ret, int *ret_local_accept);
