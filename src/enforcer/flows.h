/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The last connections that were decided, newest last: a ring, so a flood forgets the oldest and costs no memory. */

#include <stdbool.h>
#include <stdint.h>

#include "ipc/datapath-protocol.h"
#include "util/macro.h"

#define FLOWS_MAX 4096u

typedef struct Flow {
        uint64_t serial;         /* grows by one, from 1 */
        DatapathFlow record;
        char *unit, *peer_unit;  /* names then, peer_unit may be "" */
        char *peer_labels;       /* formatted, "" when not known */
        bool claimed;
} Flow;

typedef struct FlowLog {
        Flow *flows;             /* FLOWS_MAX of them once the first was added */
        uint64_t last_serial;
        uint64_t n_by_verdict[DATAPATH_FLOW_WOULD_REJECT + 1];
} FlowLog;

void flow_log_done(FlowLog *l);
/* Takes the strings of *f; f->serial is set. Returns the flow in its place (borrowed until it is overwritten), NULL: no memory. */
const Flow *flow_log_add(FlowLog *l, Flow *f);
const Flow *flow_log_get(const FlowLog *l, uint64_t serial); /* NULL: not there (any more) */
uint64_t flow_log_first(const FlowLog *l);                   /* serial of the oldest one kept; last_serial + 1 when empty */

const char *flow_verdict_to_string(uint8_t verdict);
const char *protocol_to_string(uint8_t protocol);
/* "192.0.2.1": from the form of packets (IPv4 as ::ffff:a.b.c.d) */
void address_to_string(uint8_t family, const struct in6_addr *a, char ret[static INET6_ADDRSTRLEN]);
